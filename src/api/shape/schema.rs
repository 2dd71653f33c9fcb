//! The structural schemas of shapes, as a CustomResourceDefinition accepts them.

use serde_json::{Map, Number, Value, json};

use super::{Field, Table};

/// A text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

/// A whole number: Kubernetes knows formats for signed ones alone.
pub(crate) fn integer(format: Option<&str>, min: Option<u64>, max: Option<u64>) -> Value {
    let mut schema = json!({ "type": "integer" });
    if let Some(format) = format {
        schema["format"] = json!(format);
    }
    if let Some(schema) = schema.as_object_mut() {
        range(schema, min, max);
    }
    schema
}

/// A mapping from texts to what `values` describes.
pub(crate) fn map_of(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// A struct.
pub(crate) fn of_table(table: &Table) -> Value {
    let properties = table.fields.iter().map(|field| (field.name.to_owned(), of_field(field)));
    let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
    let properties: Map<_, _> = properties.collect();
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(properties));
    }
    describe(&mut schema, table.docs);
    if let Some(complete) = table.complete {
        complete(&mut schema);
    }
    Value::Object(schema)
}

fn of_field(field: &Field) -> Value {
    let mut schema = (field.schema)();
    if let Value::Object(schema) = &mut schema {
        // The field's own words win over the type's.
        describe(schema, field.docs);
        if let Some(complete) = field.complete {
            complete(schema);
        }
    }
    schema
}

fn describe(schema: &mut Map<String, Value>, docs: &str) {
    if !docs.is_empty() {
        schema.insert("description".to_owned(), json!(docs));
    }
}

/// Fewest and most letters of a text, or elements of a list.
pub(crate) fn length(schema: &mut Map<String, Value>, min: Option<u32>, max: Option<u32>) {
    let is_list = schema.get("type").is_some_and(|kind| kind == "array");
    let (least, most) = if is_list { ("minItems", "maxItems") } else { ("minLength", "maxLength") };
    bound(schema, least, min.map(Number::from));
    bound(schema, most, max.map(Number::from));
}

/// Least and greatest number.
pub(crate) fn range<N: Into<Number>>(schema: &mut Map<String, Value>, min: Option<N>, max: Option<N>) {
    bound(schema, "minimum", min.map(Into::into));
    bound(schema, "maximum", max.map(Into::into));
}

fn bound(schema: &mut Map<String, Value>, key: &str, value: Option<Number>) {
    if let Some(value) = value {
        schema.insert(key.to_owned(), Value::Number(value));
    }
}

/// The schema of a list's elements, or of a mapping's values.
pub(crate) fn elements(schema: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let key = if schema.contains_key("items") { "items" } else { "additionalProperties" };
    schema.get_mut(key)?.as_object_mut()
}
