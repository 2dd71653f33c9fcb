//! From a type to a structural schema as Kubernetes wants it: nothing but inlined objects, no `null` types, no defaults, and
//! integer bounds instead of formats Kubernetes does not know.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The structural schema of `T`.
pub fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    normalize(&mut schema);
    schema
}

fn normalize(schema: &mut Value) {
    if schema == &Value::Bool(true) {
        *schema = json!({ "x-kubernetes-preserve-unknown-fields": true });
    }
    let Value::Object(map) = schema else { return };
    for key in ["$schema", "$defs", "title", "default"] {
        map.remove(key);
    }
    drop_null(map);
    integer_bounds(map);
    open_maps(map);
    join_lines(map);
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(normalize);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            normalize(inner);
        }
    }
}

/// An optional field is one that may be absent; `null` is not a value of its own.
fn drop_null(map: &mut Map<String, Value>) {
    if let Some(types) = map.get("type").and_then(Value::as_array) {
        let kind = types.iter().find(|kind| *kind != "null").cloned();
        map.insert("type".to_owned(), kind.unwrap_or_default());
    }
    if let Some(values) = map.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    let Some(branches) = map.get("anyOf").and_then(Value::as_array) else { return };
    let is_null = |branch: &Value| branch["type"] == "null";
    let [inner] = branches.iter().filter(|branch| !is_null(branch)).collect::<Vec<_>>()[..] else { return };
    if branches.len() == 2
        && let Value::Object(inner) = inner.clone()
    {
        map.remove("anyOf");
        for (key, value) in inner {
            // The field's own words win over the type's.
            map.entry(key).or_insert(value);
        }
        drop_null(map);
    }
}

fn integer_bounds(map: &mut Map<String, Value>) {
    let bounds = match map.get("format").and_then(Value::as_str) {
        Some("uint32") => Some((json!(0), Some(json!(u32::MAX)))),
        Some("uint64" | "uint") => Some((json!(0), None)),
        Some("uint16") => Some((json!(0), Some(json!(u16::MAX)))),
        _ => None,
    };
    if let Some((minimum, maximum)) = bounds {
        map.remove("format");
        map.entry("minimum").or_insert(minimum);
        if let Some(maximum) = maximum {
            map.entry("maximum").or_insert(maximum);
        }
    }
}

/// Maps with numbers as keys are maps like all others in JSON.
fn open_maps(map: &mut Map<String, Value>) {
    if let Some(Value::Object(patterns)) = map.remove("patternProperties")
        && let Some(inner) = patterns.into_iter().next().map(|(_, inner)| inner)
    {
        map.insert("additionalProperties".to_owned(), inner);
    }
    if map.get("additionalProperties").is_some_and(|inner| inner == false || inner == true) {
        map.remove("additionalProperties");
    }
}

fn join_lines(map: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}
