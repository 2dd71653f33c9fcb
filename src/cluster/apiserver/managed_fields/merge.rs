//! Merging an applied configuration into the live object, and taking out what is no longer applied.

use serde_json::{Map, Value};

use super::compare::{Shape, child, item_schema, shape};
use super::field_set::FieldSet;
use crate::apiserver::schema::Schema;

/// `live` with everything that `config` says.
pub(super) fn merge(schema: &Schema, live: &Value, config: &Value) -> Value {
    match (shape(schema, live), shape(schema, config)) {
        (Shape::Fields(live), Shape::Fields(config)) => {
            let mut merged = live.clone();
            for (name, wanted) in config {
                let value = live
                    .get(name)
                    .map_or_else(|| wanted.clone(), |live| merge(child(schema, name), live, wanted));
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Shape::Items(live), Shape::Items(config)) => Value::Array(merge_items(schema, &live, &config)),
        _ => config.clone(),
    }
}

/// Items of both, in an order that keeps the config's and, between its items, the live one.
fn merge_items(schema: &Schema, live: &[(String, &Value)], config: &[(String, &Value)]) -> Vec<Value> {
    let item = item_schema(schema);
    let merged = |(element, wanted): &(String, &Value)| {
        let current = live.iter().find(|(other, _)| other == element);
        current.map_or_else(|| (*wanted).clone(), |(_, live)| merge(item, live, wanted))
    };
    let mut result = Vec::with_capacity(live.len() + config.len());
    let mut next = 0;
    for (element, value) in live {
        match config.iter().position(|(other, _)| other == element) {
            None => result.push((*value).clone()),
            Some(at) if at >= next => {
                result.extend(config[next..=at].iter().map(&merged));
                next = at + 1;
            }
            Some(_) => {}
        }
    }
    result.extend(config[next..].iter().map(&merged));
    result
}

/// Removes the fields in `dropped` unless `others` still own them or something below them.
pub(super) fn remove(schema: &Schema, value: &mut Value, dropped: &FieldSet, others: &FieldSet) {
    let none = FieldSet::default();
    for (element, below) in &dropped.children {
        if below.is_empty() {
            continue;
        }
        let kept = others.children.get(element).unwrap_or(&none);
        if let Some(name) = element.strip_prefix("f:") {
            let field_schema = child(schema, name);
            let Some(map) = value.as_object_mut() else { continue };
            remove_field(field_schema, map, name, below, kept);
        } else {
            remove_item(schema, value, element, below, kept);
        }
    }
}

fn remove_field(
    schema: &Schema,
    map: &mut Map<String, Value>,
    name: &str,
    dropped: &FieldSet,
    kept: &FieldSet,
) {
    if let Some(value) = map.get_mut(name) {
        let had_items = !is_bare(value);
        remove(schema, value, dropped, kept);
        let emptied = had_items && is_bare(value) && kept.is_empty();
        if (dropped.owned && kept.is_empty()) || emptied {
            map.remove(name);
        }
    }
}

fn is_bare(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn remove_item(schema: &Schema, value: &mut Value, element: &str, dropped: &FieldSet, kept: &FieldSet) {
    let Shape::Items(items) = shape(schema, value) else { return };
    let Some(at) = items.iter().position(|(other, _)| other == element) else { return };
    let item_schema = item_schema(schema);
    let Some(list) = value.as_array_mut() else { return };
    remove(item_schema, &mut list[at], dropped, kept);
    if dropped.owned && kept.is_empty() {
        list.remove(at);
    }
}
