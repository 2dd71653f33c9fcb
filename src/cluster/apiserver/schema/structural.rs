//! Structural schemas of CRDs: reading them, defaulting, and validation with the API server's messages.

mod read;
mod validate;

use serde_json::Value;

use super::{Schema, SchemaKind};

pub(crate) use read::from_crd;
pub(crate) use validate::validate;

/// Puts defaults in where fields are absent (or null and not nullable), outside in.
pub(crate) fn apply_defaults(schema: &Schema, value: &mut Value) {
    match (&schema.kind, value) {
        (SchemaKind::Object { fields, .. }, Value::Object(map)) => {
            for (name, field) in fields {
                if let Some(default) = &field.default {
                    let absent = map.get(name).is_none_or(|value| value.is_null() && !field.nullable);
                    if absent {
                        map.insert(name.clone(), default.clone());
                    }
                }
                if let Some(value) = map.get_mut(name) {
                    apply_defaults(field, value);
                }
            }
        }
        (SchemaKind::Map(item), Value::Object(map)) => {
            map.values_mut().for_each(|value| apply_defaults(item, value))
        }
        (SchemaKind::List { item, .. }, Value::Array(items)) => {
            items.iter_mut().for_each(|value| apply_defaults(item, value))
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::schema::check_fields;

    #[test]
    fn a_structural_schema_defaults_prunes_and_validates() {
        let schema = from_crd(&json!({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "properties": {
            "mode": {"type": "string", "enum": ["A", "B"], "default": "A"},
            "port": {"x-kubernetes-int-or-string": true},
            "host": {"type": "string", "pattern": "^[a-z]+$", "minLength": 1},
            "weights": {"type": "array", "maxItems": 1, "items": {"type": "integer", "minimum": 0, "format": "int32"}},
        }, "oneOf": [{"required": ["host"]}, {"required": ["port"]}]}}}))
        .unwrap();
        let mut object = json!({"spec": {"host": "a", "other": 1}});
        assert_eq!(check_fields(&schema, &mut object).unknown, ["spec.other"]);
        apply_defaults(&schema, &mut object);
        assert_eq!(object, json!({"spec": {"host": "a", "mode": "A"}}));
        assert!(validate(&schema, &object).is_empty());

        let wrong = json!({"spec": {"mode": "C", "host": "A1", "port": 1, "weights": [-1, 2]}});
        let messages: Vec<String> =
            validate(&schema, &wrong).iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let expected = [
            "spec.host: Invalid value: \"A1\": spec.host in body should match '^[a-z]+$'",
            "spec.mode: Unsupported value: \"C\": supported values: \"A\", \"B\"",
            "spec.weights: Too many: 2: must have at most 1 items",
            "spec.weights[0]: Invalid value: -1: spec.weights[0] in body should be greater than or equal to 0",
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ];
        assert_eq!(messages, expected);
        assert_eq!(validate(&schema, &json!({}))[0].message, "Required value");
    }
}
