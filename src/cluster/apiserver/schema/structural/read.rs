//! Reads `openAPIV3Schema` of a CRD version into the schema tree.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::expression;
use crate::apiserver::schema::{ListMerge, Rules, Schema, SchemaKind};

/// Why a CRD's schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub(crate) struct SchemaError {
    /// Where: `openAPIV3Schema.properties[spec].pattern`.
    pub(crate) path: String,
    pub(crate) message: String,
}

/// Reads a structural schema. Unknown keywords are ignored, as the API server prunes them.
pub(crate) fn from_crd(source: &Value) -> Result<Schema, SchemaError> {
    let mut schema = node(source, "openAPIV3Schema", false)?;
    if let SchemaKind::Object { fields, .. } = &mut schema.kind {
        add_object_fields(fields);
    }
    Ok(schema)
}

/// Every object has these, whatever the CRD says about them.
fn add_object_fields(fields: &mut std::collections::BTreeMap<String, Schema>) {
    fields.insert("apiVersion".to_owned(), Schema::of(SchemaKind::Text));
    fields.insert("kind".to_owned(), Schema::of(SchemaKind::Text));
    let meta = "apimachinery.pkg.apis.meta.v1.ObjectMeta";
    fields.insert("metadata".to_owned(), Schema::of(SchemaKind::Reference(meta)));
}

fn node(source: &Value, path: &str, value_rules_only: bool) -> Result<Schema, SchemaError> {
    let flag = |name: &str| source[name].as_bool().unwrap_or(false);
    let mut rules = rules(source, path)?;
    if !value_rules_only {
        rules.expressions = expression::read(source, path)?;
    }
    rules.embedded_resource = flag("x-kubernetes-embedded-resource");
    let mut kind = kind(source, path, value_rules_only)?;
    if rules.embedded_resource
        && let SchemaKind::Object { fields, .. } = &mut kind
    {
        add_object_fields(fields);
    }
    Ok(Schema {
        kind,
        description: source["description"].as_str().unwrap_or("").to_owned(),
        nullable: flag("nullable"),
        atomic: source["x-kubernetes-map-type"] == "atomic",
        required: texts(&source["required"]),
        default: source.get("default").cloned(),
        rules: Some(Box::new(rules)),
    })
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The type. Inside `allOf`, `anyOf`, `oneOf` and `not` (`value_rules_only`) an absent type says nothing about the value.
fn kind(source: &Value, path: &str, value_rules_only: bool) -> Result<SchemaKind, SchemaError> {
    if source["x-kubernetes-int-or-string"] == true {
        return Ok(SchemaKind::IntOrString);
    }
    let has_properties = source["properties"].is_object() || source["required"].is_array();
    Ok(match source["type"].as_str() {
        Some("object") => object(source, path, value_rules_only)?,
        Some("array") => {
            let item = node(&source["items"], &format!("{path}.items"), value_rules_only)?;
            SchemaKind::List { item: Box::new(item), merge: list_merge(source) }
        }
        Some("string") => SchemaKind::Text,
        Some("integer") => SchemaKind::Integer { bits: if source["format"] == "int32" { 32 } else { 64 } },
        Some("number") => SchemaKind::Number,
        Some("boolean") => SchemaKind::Boolean,
        None if value_rules_only && has_properties => object(source, path, true)?,
        None => SchemaKind::Any,
        Some(other) => {
            let message = format!(
                "Unsupported value: {other:?}: supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\""
            );
            return Err(SchemaError { path: format!("{path}.type"), message });
        }
    })
}

fn object(source: &Value, path: &str, value_rules_only: bool) -> Result<SchemaKind, SchemaError> {
    let preserve = value_rules_only || source["x-kubernetes-preserve-unknown-fields"] == true;
    match &source["additionalProperties"] {
        Value::Object(_) if source["properties"].as_object().is_none_or(Map::is_empty) => {
            let item = node(
                &source["additionalProperties"],
                &format!("{path}.additionalProperties"),
                value_rules_only,
            )?;
            return Ok(SchemaKind::Map(Box::new(item)));
        }
        Value::Bool(true) => return Ok(SchemaKind::Map(Box::default())),
        _ => {}
    }
    let mut fields = std::collections::BTreeMap::new();
    for (name, field) in source["properties"].as_object().into_iter().flatten() {
        fields.insert(name.clone(), node(field, &format!("{path}.properties[{name}]"), value_rules_only)?);
    }
    Ok(SchemaKind::Object { fields, preserve })
}

fn list_merge(source: &Value) -> ListMerge {
    match source["x-kubernetes-list-type"].as_str() {
        Some("map") => ListMerge::Map(texts(&source["x-kubernetes-list-map-keys"])),
        Some("set") => ListMerge::Set,
        _ => ListMerge::Atomic,
    }
}

fn rules(source: &Value, path: &str) -> Result<Rules, SchemaError> {
    let size = |name: &str| source[name].as_u64().and_then(|size| usize::try_from(size).ok());
    let number = |name: &str| source[name].as_f64();
    let several = |name: &str| -> Result<Vec<Schema>, SchemaError> {
        let listed = source[name].as_array().into_iter().flatten().enumerate();
        listed.map(|(at, one)| node(one, &format!("{path}.{name}[{at}]"), true)).collect()
    };
    let pattern = match source["pattern"].as_str() {
        Some(pattern) => Some(Arc::new(regex::Regex::new(pattern).map_err(|error| SchemaError {
            path: format!("{path}.pattern"),
            message: format!(
                "Invalid value: {pattern:?}: must be a valid regular expression, but isn't: {error}"
            ),
        })?)),
        None => None,
    };
    Ok(Rules {
        format: source["format"].as_str().unwrap_or("").to_owned(),
        enumeration: source["enum"].as_array().cloned().unwrap_or_default(),
        pattern,
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: source["exclusiveMinimum"] == true,
        exclusive_maximum: source["exclusiveMaximum"] == true,
        multiple_of: number("multipleOf"),
        min_length: size("minLength"),
        max_length: size("maxLength"),
        min_items: size("minItems"),
        max_items: size("maxItems"),
        min_properties: size("minProperties"),
        max_properties: size("maxProperties"),
        unique_items: source["uniqueItems"] == true,
        all_of: several("allOf")?,
        any_of: several("anyOf")?,
        one_of: several("oneOf")?,
        not: if source["not"].is_object() {
            Some(Box::new(node(&source["not"], &format!("{path}.not"), true)?))
        } else {
            None
        },
        embedded_resource: false,
        expressions: Vec::new(),
    })
}
