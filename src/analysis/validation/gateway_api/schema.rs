//! The words in which the definitions beside this file are written: schemas as CustomResourceDefinitions have them, with less to write.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// The schema of one place.
#[derive(Debug, Clone)]
pub(super) struct Schema(Value);

impl Schema {
    /// As the reader of definitions wants it.
    pub(super) fn into_value(self) -> Value {
        self.0
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    /// What is meant where nothing is written.
    pub(super) fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value)
    }

    /// A text of a certain form; `wanted` says it in words.
    pub(super) fn matching(self, pattern: &str, wanted: &str) -> Self {
        self.with("pattern", pattern).with("x-wanted", wanted)
    }

    /// Elements are told apart by these fields.
    pub(super) fn keyed(self, fields: &[&str]) -> Self {
        self.with("x-kubernetes-list-map-keys", fields)
    }

    /// A rule in the Common Expression Language, and what is said where it is broken. Rules are told of objects with their defaults.
    pub(super) fn rule(mut self, expression: &str, message: &str) -> Self {
        let rule = json!({ "rule": expression, "message": message });
        match self.0.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut) {
            Some(rules) => rules.push(rule),
            None => self.0["x-kubernetes-validations"] = json!([rule]),
        }
        self
    }

    /// No element stands twice.
    pub(super) fn distinct(self) -> Self {
        self.rule("self.all(a, self.exists_one(b, a == b))", "elements must not repeat")
    }

    /// A mapping with these fields too; names that end with `!` are required.
    pub(super) fn and(mut self, more: &[(&str, Self)]) -> Self {
        for (name, schema) in more {
            let plain = name.trim_end_matches('!');
            self.0["properties"][plain] = schema.0.clone();
            if plain != *name
                && let Some(required) = self.0["required"].as_array_mut()
                && !required.iter().any(|known| known == plain)
            {
                required.push(plain.into());
            }
        }
        self
    }
}

/// Anything: what is only known by name.
pub(super) fn any() -> Schema {
    Schema(json!({}))
}

/// True or false.
pub(super) fn boolean() -> Schema {
    Schema(json!({ "type": "boolean" }))
}

/// A text of so many characters.
pub(super) fn text(length: RangeInclusive<u64>) -> Schema {
    Schema(json!({ "type": "string", "minLength": length.start(), "maxLength": length.end() }))
}

/// One of some words.
pub(super) fn one_of(words: &[&str]) -> Schema {
    Schema(json!({ "type": "string", "enum": words }))
}

/// A whole number.
pub(super) fn integer(range: RangeInclusive<i64>) -> Schema {
    Schema(json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() }))
}

/// A list of so many elements.
pub(super) fn list(item: Schema, count: RangeInclusive<u64>) -> Schema {
    Schema(json!({ "type": "array", "items": item.0, "minItems": count.start(), "maxItems": count.end() }))
}

/// A mapping of at most so many entries with names of the user's own.
pub(super) fn map(item: Schema, most: u64) -> Schema {
    Schema(json!({ "type": "object", "additionalProperties": item.0, "maxProperties": most }))
}

/// A mapping with these fields and no others; names that end with `!` are required.
pub(super) fn object(fields: &[(&str, Schema)]) -> Schema {
    Schema(json!({ "type": "object", "properties": {}, "required": [] })).and(fields)
}

/// Writes what is meant where nothing is written, as the API server does before it looks at rules.
pub(super) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
                fill_fields(fields, map);
            } else if let Some(item) = schema.get("additionalProperties") {
                map.values_mut().for_each(|value| fill(item, value));
            }
        }
        Value::Array(items) => {
            if let Some(item) = schema.get("items") {
                items.iter_mut().for_each(|value| fill(item, value));
            }
        }
        _ => {}
    }
}

fn fill_fields(fields: &Map<String, Value>, map: &mut Map<String, Value>) {
    for (name, schema) in fields {
        if let Some(default) = schema.get("default")
            && map.get(name).is_none_or(Value::is_null)
        {
            map.insert(name.clone(), default.clone());
        }
        if let Some(value) = map.get_mut(name) {
            fill(schema, value);
        }
    }
}
