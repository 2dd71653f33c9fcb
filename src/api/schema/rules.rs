//! Builders for the parts of a schema that shapes attach to themselves: CEL rules and "at most one of" groups.

use serde_json::{Value, json};

/// One CEL validation rule and the message shown when it does not hold.
pub fn rule(message: &str, rule: &str) -> Value {
    json!([{ "message": message, "rule": rule }])
}

/// Several CEL rules, as (message, rule).
pub fn rules(rules: &[(&str, &str)]) -> Value {
    rules.iter().map(|(message, rule)| json!({ "message": message, "rule": rule })).collect()
}

/// A protobuf `oneof`: none of the fields, or exactly one of them.
pub fn one_of(fields: &[&str]) -> Value {
    let required = |field: &&str| json!({ "required": [field] });
    let none = json!({ "not": { "anyOf": fields.iter().map(required).collect::<Value>() } });
    std::iter::once(none).chain(fields.iter().map(required)).collect()
}

/// The range of port numbers, for fields whose own type is wider.
pub fn port() -> Value {
    rule("port must be between 1-65535", "0 < self && self <= 65535")
}

/// The rule for kinds that attach to workloads by label or to objects by reference, never by both.
pub fn selector_or_target(selector: &str, fields: &[&str]) -> Value {
    let sum: Vec<String> = fields.iter().map(|field| format!("(has(self.{field}) ? 1 : 0)")).collect();
    rule(&format!("only one of targetRefs or {selector} can be set"), &format!("{} <= 1", sum.join(" + ")))
}
