//! Strategic merge patch: lists merge by the keys of the built-in types, directives (`$patch`, `$retainKeys`,
//! `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) do the rest.

use serde_json::{Map, Value};

use crate::apiserver::schema::{ListMerge, Schema};

/// Applies `patch` to `object`.
pub(super) fn merge(schema: &Schema, object: &mut Value, patch: &Value) -> Result<(), String> {
    let Some(patch) = patch.as_object() else {
        return Err("a strategic merge patch must be a JSON object".to_owned());
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(map) = object.as_object_mut() else { return Ok(()) };
    merge_map(schema, map, patch)
}

fn merge_map(
    schema: &Schema,
    object: &mut Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<(), String> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *object = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(format!("unknown patch directive {other:?}")),
    }
    if let Some(retained) = patch.get("$retainKeys").and_then(Value::as_array) {
        object.retain(|name, _| retained.iter().any(|kept| kept == name.as_str()));
    }
    for (name, wanted) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            delete_primitives(object.get_mut(list), wanted);
        } else if !name.starts_with('$') {
            merge_field(schema.field(name), object, name, wanted)?;
        }
    }
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix("$setElementOrder/") {
            reorder(schema.field(list), object.get_mut(list), order);
        }
    }
    Ok(())
}

fn merge_field(
    schema: Option<&Schema>,
    object: &mut Map<String, Value>,
    name: &str,
    wanted: &Value,
) -> Result<(), String> {
    static ANY: Schema = Schema {
        kind: crate::apiserver::schema::SchemaKind::Any,
        description: String::new(),
        nullable: false,
        atomic: false,
        required: Vec::new(),
        default: None,
        rules: None,
    };
    let schema = schema.unwrap_or(&ANY);
    match wanted {
        Value::Null => {
            object.remove(name);
        }
        Value::Object(patch) => {
            let current = object.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if !current.is_object() {
                *current = Value::Object(Map::new());
            }
            let deletes = patch.get("$patch").is_some_and(|directive| directive == "delete");
            if let Some(current) = current.as_object_mut() {
                merge_map(schema, current, patch)?;
            }
            if deletes {
                object.remove(name);
            }
        }
        Value::Array(items) => merge_list(schema, object, name, items)?,
        scalar => {
            object.insert(name.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(
    schema: &Schema,
    object: &mut Map<String, Value>,
    name: &str,
    patch: &[Value],
) -> Result<(), String> {
    let replaces = patch.iter().any(|item| item["$patch"] == "replace");
    let merge = schema.list().filter(|_| !replaces);
    match merge {
        Some((item, ListMerge::Map(keys))) => {
            let list = object.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
            let Some(list) = list.as_array_mut() else { return Err(format!("{name} is not a list")) };
            let key = keys.first().map_or("name", String::as_str);
            patch.iter().try_for_each(|wanted| merge_item(item, list, key, wanted, name))
        }
        Some((_, ListMerge::Set)) => {
            let list = object.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
            let Some(list) = list.as_array_mut() else { return Err(format!("{name} is not a list")) };
            for wanted in patch {
                if !list.contains(wanted) {
                    list.push(wanted.clone());
                }
            }
            Ok(())
        }
        _ => {
            let items = patch.iter().filter(|item| item["$patch"] != "replace").cloned().collect();
            object.insert(name.to_owned(), Value::Array(items));
            Ok(())
        }
    }
}

fn merge_item(
    schema: &Schema,
    list: &mut Vec<Value>,
    key: &str,
    wanted: &Value,
    name: &str,
) -> Result<(), String> {
    let Some(patch) = wanted.as_object() else { return Err(format!("{name} must hold objects")) };
    let Some(identity) = patch.get(key) else {
        return Err(format!("map: {wanted} does not contain declared merge key: {key}"));
    };
    let at = list.iter().position(|item| item.get(key) == Some(identity));
    match (at, patch.get("$patch").and_then(Value::as_str)) {
        (Some(at), Some("delete")) => {
            list.remove(at);
        }
        (None, Some("delete")) => {}
        (Some(at), _) => {
            if let Some(current) = list[at].as_object_mut() {
                merge_map(schema, current, patch)?;
            }
        }
        (None, _) => {
            let mut item = Map::new();
            merge_map(schema, &mut item, patch)?;
            list.push(Value::Object(item));
        }
    }
    Ok(())
}

fn delete_primitives(list: Option<&mut Value>, unwanted: &Value) {
    if let (Some(list), Some(unwanted)) = (list.and_then(Value::as_array_mut), unwanted.as_array()) {
        list.retain(|item| !unwanted.contains(item));
    }
}

/// Puts the listed items in the listed order; others keep their place behind their predecessor.
fn reorder(schema: Option<&Schema>, list: Option<&mut Value>, order: &Value) {
    let (Some(list), Some(order)) = (list.and_then(Value::as_array_mut), order.as_array()) else { return };
    let key = match schema.and_then(Schema::list) {
        Some((_, ListMerge::Map(keys))) => keys.first().cloned(),
        _ => None,
    };
    let rank = |item: &Value| {
        order.iter().position(|wanted| match &key {
            Some(key) => wanted.get(key).is_some() && wanted.get(key) == item.get(key),
            None => wanted == item,
        })
    };
    let mut listed: Vec<Value> = list.iter().filter(|item| rank(item).is_some()).cloned().collect();
    listed.sort_by_key(&rank);
    let mut listed = listed.into_iter();
    for slot in list.iter_mut().filter(|item| rank(item).is_some()) {
        if let Some(next) = listed.next() {
            *slot = next;
        }
    }
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::schema::builtin;

    fn patched(mut object: Value, patch: Value) -> Value {
        merge(&builtin("apps", "v1", "Deployment"), &mut object, &patch).unwrap();
        object
    }

    #[test]
    fn lists_merge_by_key_and_follow_directives() {
        let spec = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let live = spec(
            json!([{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"}]),
        );
        let patch = json!({"spec": {"template": {"spec": {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [{"name": "a", "env": [{"name": "X", "$patch": "delete"}, {"name": "Y", "value": "2"}]},
                {"name": "b", "$patch": "delete"}, {"name": "c", "image": "3"}],
        }}}});
        let expected = spec(
            json!([{"name": "c", "image": "3"}, {"name": "a", "image": "1", "env": [{"name": "Y", "value": "2"}]}]),
        );
        assert_eq!(patched(live, patch), expected);
    }

    #[test]
    fn retain_keys_null_and_replace() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}});
        let patch = json!({"metadata": {"labels": {"a": null}}, "spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        let expected =
            json!({"metadata": {"labels": {"b": "2"}}, "spec": {"strategy": {"type": "Recreate"}}});
        assert_eq!(patched(live, patch), expected);
    }
}
