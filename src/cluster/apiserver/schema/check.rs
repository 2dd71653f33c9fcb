//! What decoding into Go structs does in Kubernetes: unknown fields are dropped (and reported), nulls are absent, wrong types are
//! refused with the field named.

use serde_json::Value;

use super::{Schema, SchemaKind};

/// What was found in a decoded object.
#[derive(Debug, Default)]
pub(crate) struct FieldReport {
    /// `unknown field "spec.foo"`.
    pub(crate) unknown: Vec<String>,
    /// The first value of a wrong type: path and what was expected.
    pub(crate) wrong_type: Option<String>,
}

/// Drops unknown fields and nulls in place and reports them. Fields whose parent says "preserve" stay.
pub(crate) fn check_fields(schema: &Schema, value: &mut Value) -> FieldReport {
    let mut report = FieldReport::default();
    check(schema, value, &mut String::new(), &mut report);
    report
}

fn check(schema: &Schema, value: &mut Value, path: &mut String, report: &mut FieldReport) {
    let node = schema.resolved();
    match (&node.kind, value) {
        (SchemaKind::Any, _) => {}
        (SchemaKind::Object { fields, preserve }, Value::Object(map)) => {
            map.retain(|name, value| {
                let Some(field) = fields.get(name) else {
                    if !preserve {
                        report.unknown.push(format!("{}{name}", dotted(path)));
                    }
                    return *preserve;
                };
                // A null is an absent field, except that structural schemas refuse it where there is no default to put in.
                !value.is_null() || field.nullable || (field.rules.is_some() && field.default.is_none())
            });
            for (name, value) in map.iter_mut() {
                if let Some(field) = fields.get(name) {
                    descend(field, value, path, &format!(".{name}"), report);
                }
            }
        }
        (SchemaKind::Map(item), Value::Object(map)) => {
            for (name, value) in map.iter_mut() {
                set_zero(item, value);
                descend(item, value, path, &format!(".{name}"), report);
            }
        }
        (SchemaKind::List { item, .. }, Value::Array(items)) => {
            for (at, value) in items.iter_mut().enumerate() {
                set_zero(item, value);
                descend(item, value, path, &format!("[{at}]"), report);
            }
        }
        (_, value) => check_scalar(node, value, path, report),
    }
}

/// A null in a list or a map of a built-in type is what Go makes of it: the zero value of the item's type. Structural schemas judge it themselves.
fn set_zero(schema: &Schema, value: &mut Value) {
    let node = schema.resolved();
    if !value.is_null() || node.rules.is_some() || node.nullable {
        return;
    }
    *value = match &node.kind {
        SchemaKind::Text | SchemaKind::Bytes => Value::from(""),
        SchemaKind::Integer { .. } | SchemaKind::Number | SchemaKind::IntOrString => Value::from(0),
        SchemaKind::Quantity => Value::from("0"),
        SchemaKind::Boolean => Value::from(false),
        SchemaKind::Object { .. } | SchemaKind::Map(_) => Value::Object(serde_json::Map::new()),
        SchemaKind::List { .. } => Value::Array(Vec::new()),
        SchemaKind::Time | SchemaKind::Any | SchemaKind::Reference(_) => return,
    };
}

fn dotted(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}.") }
}

fn descend(schema: &Schema, value: &mut Value, path: &mut String, step: &str, report: &mut FieldReport) {
    if value.is_null() {
        return;
    }
    let length = path.len();
    path.push_str(if path.is_empty() { step.trim_start_matches('.') } else { step });
    check(schema, value, path, report);
    path.truncate(length);
}

/// Scalars, and containers of the wrong type. Values of structural schemas are judged by `validate` with its own words.
fn check_scalar(node: &Schema, value: &mut Value, path: &str, report: &mut FieldReport) {
    let expected = match &node.kind {
        SchemaKind::Text | SchemaKind::Bytes => (!value.is_string()).then_some("string"),
        SchemaKind::Time => (!value.is_string()).then_some("Time"),
        SchemaKind::Integer { bits } => {
            if let Some(float) = value.as_f64()
                && !value.is_i64()
                && float.fract() == 0.0
                && float.abs() < 9e15
            {
                *value = Value::from(float as i64);
            }
            let fits = value.as_i64().is_some_and(|number| *bits == 64 || i32::try_from(number).is_ok());
            (!fits).then_some(if *bits == 32 { "int32" } else { "int64" })
        }
        SchemaKind::Number => (!value.is_number()).then_some("float64"),
        SchemaKind::Boolean => (!value.is_boolean()).then_some("bool"),
        SchemaKind::IntOrString => (!value.is_i64() && !value.is_string()).then_some("IntOrString"),
        SchemaKind::Quantity => {
            if value.is_number() {
                *value = Value::String(value.to_string());
            }
            (!value.is_string()).then_some("Quantity")
        }
        SchemaKind::Object { .. } => Some("object"),
        SchemaKind::Map(_) => Some("map"),
        SchemaKind::List { .. } => Some("array"),
        SchemaKind::Any | SchemaKind::Reference(_) => None,
    };
    if let Some(expected) = expected
        && node.rules.is_none()
        && report.wrong_type.is_none()
    {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        report.wrong_type =
            Some(format!("json: cannot unmarshal {found} into Go struct field {path} of type {expected}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_named_and_dropped() {
        let schema = crate::apiserver::schema::builtin("", "v1", "Service");
        let mut service = json!({"spec": {"ports": [{"port": 80, "colour": 1}], "type": null}, "extra": 1});
        let report = check_fields(&schema, &mut service);
        assert_eq!(report.unknown, ["extra", "spec.ports[0].colour"]);
        assert_eq!(service, json!({"spec": {"ports": [{"port": 80}]}}));
        let mut nulls = json!({"metadata": {"labels": {"a": null}}, "spec": {"ports": [null], "externalIPs": ["192.0.2.1", null]}});
        assert_eq!(check_fields(&schema, &mut nulls).wrong_type, None);
        let as_in_go = json!({"metadata": {"labels": {"a": ""}}, "spec": {"ports": [{}], "externalIPs": ["192.0.2.1", ""]}});
        assert_eq!(nulls, as_in_go);
        let report = check_fields(&schema, &mut json!({"spec": {"ports": [{"port": "80"}]}}));
        assert!(report.wrong_type.unwrap().contains("spec.ports[0].port of type int32"));
    }
}
