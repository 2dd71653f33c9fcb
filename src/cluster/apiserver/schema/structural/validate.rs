//! Validation of a custom object against its structural schema.

use serde_json::Value;

use super::expression;
use crate::apiserver::error::Cause;
use crate::apiserver::schema::{ListMerge, Rules, Schema, SchemaKind};

/// Most causes that one refusal lists.
const CAUSE_LIMIT: usize = 50;

/// Every violation, field by field. Rules written as expressions are checked only where the shape is right; those about changes only
/// where there is an old object.
pub(crate) fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    node(schema, value, "", &mut causes);
    if causes.is_empty() {
        expression::check(schema, value, old, "", &mut causes);
    }
    causes.truncate(CAUSE_LIMIT);
    causes
}

fn valid(schema: &Schema, value: &Value) -> bool {
    let mut causes = Vec::new();
    node(schema, value, "", &mut causes);
    causes.is_empty()
}

fn node(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    // Nodes without rules (metadata) are judged by the object-meta validation.
    let Some(rules) = &schema.rules else { return };
    if value.is_null() && schema.nullable {
        return;
    }
    if let Some(expected) = wrong_type(schema, value) {
        let detail = format!("{path} in body must be of type {expected}: {:?}", type_name(value));
        causes.push(Cause::wrong_type(path, &Value::from(type_name(value)), &detail));
        return;
    }
    match value {
        Value::Object(map) => object(schema, rules, map, path, causes),
        Value::Array(items) => list(schema, rules, items, path, causes),
        Value::String(text) => string(rules, text, path, causes),
        Value::Number(number) => bounds(rules, number, path, causes),
        _ => {}
    }
    if !rules.enumeration.is_empty() && !rules.enumeration.contains(value) {
        let supported: Vec<String> = rules
            .enumeration
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
            .collect();
        causes.push(Cause::not_supported(path, value, &supported));
    }
    combinations(rules, value, path, causes);
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(schema: &Schema, value: &Value) -> Option<&'static str> {
    let (fits, expected) = match &schema.kind {
        SchemaKind::Object { .. } | SchemaKind::Map(_) => (value.is_object(), "object"),
        SchemaKind::List { .. } => (value.is_array(), "array"),
        SchemaKind::Text => (value.is_string(), "string"),
        SchemaKind::Integer { .. } => {
            (value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0), "integer")
        }
        SchemaKind::Number => (value.is_number(), "number"),
        SchemaKind::Boolean => (value.is_boolean(), "boolean"),
        SchemaKind::IntOrString => (value.is_i64() || value.is_u64() || value.is_string(), "integer,string"),
        _ => (true, ""),
    };
    (!fits).then_some(expected)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn object(
    schema: &Schema,
    rules: &Rules,
    map: &serde_json::Map<String, Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    for name in &schema.required {
        if !map.contains_key(name) {
            causes.push(Cause::required(join(path, name), ""));
        }
    }
    for (name, value) in map {
        if let Some(field) = schema.field(name) {
            node(field, value, &join(path, name), causes);
        }
    }
    if let Some(minimum) = rules.min_properties.filter(|minimum| map.len() < *minimum) {
        let detail = format!("{path} in body should have at least {minimum} properties");
        causes.push(Cause::invalid(path, &Value::from(map.len()), &detail));
    }
    if let Some(maximum) = rules.max_properties.filter(|maximum| map.len() > *maximum) {
        causes.push(too_many(path, map.len(), maximum));
    }
}

fn too_many(path: &str, count: usize, maximum: usize) -> Cause {
    let message = format!("Too many: {count}: must have at most {maximum} items");
    Cause { reason: "FieldValueTooMany".to_owned(), message, field: path.to_owned() }
}

fn list(schema: &Schema, rules: &Rules, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if let Some(maximum) = rules.max_items.filter(|maximum| items.len() > *maximum) {
        causes.push(too_many(path, items.len(), maximum));
    }
    if let Some(minimum) = rules.min_items.filter(|minimum| items.len() < *minimum) {
        let detail = format!("{path} in body should have at least {minimum} items");
        causes.push(Cause::invalid(path, &Value::from(items.len()), &detail));
    }
    let Some((item, merge)) = schema.list() else { return };
    for (at, value) in items.iter().enumerate() {
        let item_path = format!("{path}[{at}]");
        node(item, value, &item_path, causes);
        let duplicate = match merge {
            ListMerge::Atomic => rules.unique_items && items[..at].contains(value),
            ListMerge::Set => items[..at].contains(value),
            ListMerge::Map(keys) => {
                items[..at].iter().any(|other| keys.iter().all(|key| other[key] == value[key]))
            }
        };
        if duplicate {
            causes.push(Cause::duplicate(item_path, value));
        }
    }
}

fn string(rules: &Rules, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = || Value::from(text);
    if let Some(pattern) = &rules.pattern
        && !pattern.is_match(text)
    {
        causes.push(Cause::invalid(
            path,
            &value(),
            &format!("{path} in body should match '{}'", pattern.as_str()),
        ));
    }
    let length = text.chars().count();
    if let Some(minimum) = rules.min_length.filter(|minimum| length < *minimum) {
        causes.push(Cause::invalid(
            path,
            &value(),
            &format!("{path} in body should be at least {minimum} chars long"),
        ));
    }
    if let Some(maximum) = rules.max_length.filter(|maximum| length > *maximum) {
        let message = format!("Too long: may not be more than {maximum} bytes");
        causes.push(Cause { reason: "FieldValueTooLong".to_owned(), message, field: path.to_owned() });
    }
    if rules.format == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
        let detail = format!("{path} in body must be of type date-time: {text:?}");
        causes.push(Cause::invalid(path, &value(), &detail));
    }
}

fn bounds(rules: &Rules, number: &serde_json::Number, path: &str, causes: &mut Vec<Cause>) {
    let value = number.as_f64().unwrap_or(0.0);
    let mut refuse = |detail: String| {
        causes.push(Cause::invalid(
            path,
            &Value::Number(number.clone()),
            &format!("{path} in body {detail}"),
        ));
    };
    if let Some(minimum) = rules.minimum {
        if rules.exclusive_minimum && value <= minimum {
            refuse(format!("should be greater than {minimum}"));
        } else if value < minimum {
            refuse(format!("should be greater than or equal to {minimum}"));
        }
    }
    if let Some(maximum) = rules.maximum {
        if rules.exclusive_maximum && value >= maximum {
            refuse(format!("should be less than {maximum}"));
        } else if value > maximum {
            refuse(format!("should be less than or equal to {maximum}"));
        }
    }
    if let Some(multiple) =
        rules.multiple_of.filter(|multiple| *multiple != 0.0 && (value / multiple).fract() != 0.0)
    {
        refuse(format!("should be a multiple of {multiple}"));
    }
}

fn combinations(rules: &Rules, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut refuse = |detail: &str| {
        let message = format!("Invalid value: \"\": {path:?} must {detail}");
        causes.push(Cause { reason: "FieldValueInvalid".to_owned(), message, field: "<nil>".to_owned() });
    };
    if !rules.any_of.is_empty() && !rules.any_of.iter().any(|one| valid(one, value)) {
        refuse("validate at least one schema (anyOf)");
    }
    if !rules.one_of.is_empty() {
        match rules.one_of.iter().filter(|one| valid(one, value)).count() {
            1 => {}
            0 => refuse("validate one and only one schema (oneOf). Found none valid"),
            many => {
                refuse(&format!("validate one and only one schema (oneOf). Found {many} valid alternatives"))
            }
        }
    }
    if rules.not.as_ref().is_some_and(|not| valid(not, value)) {
        refuse("not validate the schema (not)");
    }
    for one in &rules.all_of {
        node(one, value, path, causes);
    }
}
