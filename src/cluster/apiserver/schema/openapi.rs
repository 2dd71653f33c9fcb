//! The schema tree as OpenAPI v3, as `kubectl explain` and schema-driven clients read it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ListMerge, Schema, SchemaKind, builtin};

/// Every built-in type under its OpenAPI component name (`io.k8s.api.core.v1.Pod`).
pub(crate) fn named_types() -> BTreeMap<String, Value> {
    builtin::names().map(|name| (component_name(name), to_openapi(builtin::by_name(name)))).collect()
}

/// `api.core.v1.Pod` to `io.k8s.api.core.v1.Pod`; the aggregator and API-extension types have roots of their own.
pub(crate) fn component_name(name: &str) -> String {
    let renamed = name
        .replace("apiextensions_apiserver.", "apiextensions-apiserver.")
        .replace("kube_aggregator.", "kube-aggregator.");
    format!("io.k8s.{renamed}")
}

/// One node; built-in types inside it are references.
pub(crate) fn to_openapi(schema: &Schema) -> Value {
    let mut out = Map::new();
    if !schema.description.is_empty() {
        out.insert("description".to_owned(), json!(schema.description));
    }
    let simple = |kind: &str| (kind.to_owned(), "");
    let (kind, format) = match &schema.kind {
        SchemaKind::Any => {
            if schema.rules.is_some() {
                out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
            }
            return Value::Object(out);
        }
        SchemaKind::Reference(name) => {
            out.insert(
                "allOf".to_owned(),
                json!([{"$ref": format!("#/components/schemas/{}", component_name(name))}]),
            );
            return Value::Object(out);
        }
        SchemaKind::Object { fields, preserve } => {
            let properties: Map<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), to_openapi(field))).collect();
            out.insert("properties".to_owned(), Value::Object(properties));
            if *preserve {
                out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
            }
            if !schema.required.is_empty() {
                out.insert("required".to_owned(), json!(schema.required));
            }
            simple("object")
        }
        SchemaKind::Map(item) => {
            out.insert("additionalProperties".to_owned(), to_openapi(item));
            simple("object")
        }
        SchemaKind::List { item, merge } => {
            out.insert("items".to_owned(), to_openapi(item));
            add_list_merge(&mut out, merge);
            simple("array")
        }
        SchemaKind::Text => simple("string"),
        SchemaKind::Bytes => ("string".to_owned(), "byte"),
        SchemaKind::Time => ("string".to_owned(), "date-time"),
        SchemaKind::Integer { bits } => ("integer".to_owned(), if *bits == 32 { "int32" } else { "int64" }),
        SchemaKind::Number => ("number".to_owned(), "double"),
        SchemaKind::Boolean => simple("boolean"),
        SchemaKind::IntOrString => {
            out.insert("x-kubernetes-int-or-string".to_owned(), json!(true));
            return Value::Object(out);
        }
        SchemaKind::Quantity => simple("string"),
    };
    out.insert("type".to_owned(), json!(kind));
    if !format.is_empty() {
        out.insert("format".to_owned(), json!(format));
    }
    if schema.atomic {
        out.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    }
    add_rules(&mut out, schema);
    Value::Object(out)
}

fn add_list_merge(out: &mut Map<String, Value>, merge: &ListMerge) {
    let list_type = match merge {
        ListMerge::Atomic => "atomic",
        ListMerge::Set => "set",
        ListMerge::Map(keys) => {
            out.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            if let [key, ..] = keys.as_slice() {
                out.insert("x-kubernetes-patch-merge-key".to_owned(), json!(key));
                out.insert("x-kubernetes-patch-strategy".to_owned(), json!("merge"));
            }
            "map"
        }
    };
    out.insert("x-kubernetes-list-type".to_owned(), json!(list_type));
}

fn add_rules(out: &mut Map<String, Value>, schema: &Schema) {
    if let Some(default) = &schema.default {
        out.insert("default".to_owned(), default.clone());
    }
    let Some(rules) = &schema.rules else { return };
    if !rules.enumeration.is_empty() {
        out.insert("enum".to_owned(), json!(rules.enumeration));
    }
    if let Some(pattern) = &rules.pattern {
        out.insert("pattern".to_owned(), json!(pattern.as_str()));
    }
    for (name, bound) in [("minimum", rules.minimum), ("maximum", rules.maximum)] {
        if let Some(bound) = bound {
            out.insert(name.to_owned(), json!(bound));
        }
    }
    let sizes = [
        ("minLength", rules.min_length),
        ("maxLength", rules.max_length),
        ("minItems", rules.min_items),
        ("maxItems", rules.max_items),
    ];
    for (name, size) in sizes {
        if let Some(size) = size {
            out.insert(name.to_owned(), json!(size));
        }
    }
    if schema.nullable {
        out.insert("nullable".to_owned(), json!(true));
    }
}
