//! Structural schemas of CRDs: reading them, defaulting, and validation with the API server's messages.

mod expression;
mod read;
mod validate;

use serde_json::Value;

use super::{Schema, SchemaKind};

pub(crate) use expression::ExpressionRule;
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
        assert!(validate(&schema, &object, None).is_empty());

        let wrong = json!({"spec": {"mode": "C", "host": "A1", "port": 1, "weights": [-1, 2]}});
        let messages: Vec<String> =
            validate(&schema, &wrong, None).iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let expected = [
            "spec.host: Invalid value: \"A1\": spec.host in body should match '^[a-z]+$'",
            "spec.mode: Unsupported value: \"C\": supported values: \"A\", \"B\"",
            "spec.weights: Too many: 2: must have at most 1 items",
            "spec.weights[0]: Invalid value: -1: spec.weights[0] in body should be greater than or equal to 0",
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ];
        assert_eq!(messages, expected);
        assert_eq!(validate(&schema, &json!({}), None)[0].message, "Required value");
    }

    #[test]
    fn rules_are_checked_once_the_shape_is_right_and_against_the_old_object() {
        let schema = from_crd(&json!({"type": "object", "properties": {"spec": {"type": "object",
            "x-kubernetes-validations": [
                {"rule": "self.low <= self.high", "message": "low must not be above high", "fieldPath": ".low"},
                {"rule": "self.size() < 5", "messageExpression": "'there are ' + string(self.size()) + ' fields'"}],
            "properties": {
                "low": {"type": "integer"}, "high": {"type": "integer"},
                "name": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable", "reason": "FieldValueForbidden"}]},
                "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": {"type": "object",
                    "properties": {"n": {"type": "integer"}, "v": {"type": "integer",
                        "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}}}},
            }}}}))
        .unwrap();
        let found = |value: Value, old: Option<Value>| -> Vec<String> {
            validate(&schema, &value, old.as_ref())
                .iter()
                .map(|c| format!("{} {}: {}", c.reason, c.field, c.message))
                .collect()
        };
        assert!(found(json!({"spec": {"low": 1, "high": 2, "name": "a"}}), None).is_empty());
        assert_eq!(
            found(json!({"spec": {"low": 3, "high": 2}}), None),
            ["FieldValueInvalid spec.low: Invalid value: \"object\": low must not be above high"]
        );
        assert_eq!(
            found(json!({"spec": {"low": "x", "high": 2}}), None).len(),
            1,
            "no rule is checked on a wrong shape"
        );
        let old = json!({"spec": {"low": 1, "high": 1, "name": "a", "ports": [{"n": 1, "v": 5}, {"n": 2, "v": 1}]}});
        let new = json!({"spec": {"low": 1, "high": 1, "name": "b", "ports": [{"n": 2, "v": 2}, {"n": 1, "v": 4}]}});
        assert_eq!(
            found(new, Some(old)),
            [
                "FieldValueForbidden spec.name: Forbidden: is immutable",
                "FieldValueInvalid spec.ports[1].v: Invalid value: 4: failed rule: self >= oldSelf",
            ]
        );
        let missing = found(json!({"spec": {"low": 3}}), None);
        assert!(missing[0].contains("no such key: high"), "{missing:?}");
        let error = from_crd(&json!({"type": "object", "x-kubernetes-validations": [{"rule": "selff.a"}]}))
            .unwrap_err();
        assert!(error.message.contains("undeclared reference to 'selff'"), "{error}");
    }

    /// Every rule of the Gateway API and of Istio can be read, where the reference data is at hand.
    #[test]
    fn definitions_in_use_can_be_read() {
        for file in ["gateway-api.yaml", "istio.yaml"] {
            let beside =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crds").join(file);
            let Ok(text) = std::fs::read_to_string(&beside) else {
                eprintln!("SKIPPED: no reference CRDs at {}", beside.display());
                return;
            };
            use serde::Deserialize as _;
            let documents =
                serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
            for crd in documents.filter(|crd| crd["kind"] == "CustomResourceDefinition") {
                for version in crd["spec"]["versions"].as_array().unwrap() {
                    let read = from_crd(&version["schema"]["openAPIV3Schema"]);
                    assert!(read.is_ok(), "{}: {:?}", crd["metadata"]["name"], read.err());
                }
            }
        }
    }
}
