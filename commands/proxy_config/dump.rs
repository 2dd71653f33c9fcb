//! Reading configuration dumps. Envoy writes field names as in its protos (`filter_chains`), other tools in JSON's manner
//! (`filterChains`): both are read, the second is written.

use serde_json::{Map, Value};

/// A `config_dump` answer.
#[derive(Debug, Clone)]
pub(crate) struct Dump(Value);

impl Dump {
    pub(crate) const fn new(value: Value) -> Self {
        Self(value)
    }

    /// The whole answer.
    pub(crate) const fn value(&self) -> &Value {
        &self.0
    }

    /// Sections of a type, by the last part of the type's name: `ClustersConfigDump`.
    pub(crate) fn sections(&self, name: &str) -> impl Iterator<Item = &Value> {
        // With a mask Envoy answers with the bare entries; each is a section of its own then.
        list(&self.0, "configs").filter(move |section| type_of(section).ends_with(name))
    }

    /// Entries that a masked request returns without a section around them.
    pub(crate) fn entries(&self, name: &str) -> impl Iterator<Item = &Value> {
        list(&self.0, "configs").filter(move |section| type_of(section).ends_with(name))
    }
}

/// `@type` of an expanded `Any`.
pub(crate) fn type_of(value: &Value) -> &str {
    value.get("@type").and_then(Value::as_str).unwrap_or_default()
}

/// A field under either spelling; `name` is the JSON one.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).or_else(|| value.get(snake(name))).filter(|value| !value.is_null())
}

/// A field of a field.
pub(crate) fn path<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| field(value, name))
}

/// A text below a path, empty when absent.
pub(crate) fn text<'a>(value: &'a Value, names: &[&str]) -> &'a str {
    path(value, names).and_then(Value::as_str).unwrap_or_default()
}

/// A number below a path; proto JSON writes 64-bit numbers as text.
pub(crate) fn number(value: &Value, names: &[&str]) -> Option<u64> {
    let found = path(value, names)?;
    found.as_u64().or_else(|| found.as_str()?.parse().ok())
}

/// A list field, empty when absent.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    field(value, name).and_then(Value::as_array).into_iter().flatten()
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            out.push('_');
            out.push(character.to_ascii_lowercase());
        } else {
            out.push(character);
        }
    }
    out
}

/// Fields whose content is the user's, not a message: nothing below them is renamed.
const FREE: [&str; 5] = ["metadata", "filterMetadata", "fields", "labels", "attributes"];
/// Maps whose keys are names: their keys stay, their values are messages.
const KEYED: [&str; 4] =
    ["typedPerFilterConfig", "typedExtensionProtocolOptions", "requestHeadersToAdd", "typedFilterMetadata"];

/// Field names in JSON's manner.
pub(crate) fn camel_case(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(camel_case).collect(),
        Value::Object(map) => {
            let renamed = map.iter().map(|(key, value)| {
                let key = camel(key);
                let value = if key == "metadata" && field(value, "filterMetadata").is_some() {
                    filter_metadata(value)
                } else if FREE.contains(&key.as_str()) {
                    value.clone()
                } else if KEYED.contains(&key.as_str()) && value.is_object() {
                    values_only(value)
                } else {
                    camel_case(value)
                };
                (key, value)
            });
            Value::Object(renamed.collect())
        }
        other => other.clone(),
    }
}

fn filter_metadata(value: &Value) -> Value {
    let map = value.as_object().into_iter().flatten();
    Value::Object(map.map(|(key, value)| (camel(key), value.clone())).collect())
}

fn values_only(value: &Value) -> Value {
    let map: Map<String, Value> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), camel_case(value)))
        .collect();
    Value::Object(map)
}

fn camel(key: &str) -> String {
    if key.contains(['.', '/', '@', '-'])
        || !key.contains('_')
        || key.chars().any(|it| it.is_ascii_uppercase())
    {
        return key.to_owned();
    }
    sagene_api::camel_case(key)
}

/// `name.namespace` of the Istio object that filter metadata names, `<unknown>` when its path is not understood, empty without any.
pub(crate) fn istio_config(resource: &Value) -> String {
    let Some(config) =
        path(resource, &["metadata", "filterMetadata", "istio", "config"]).and_then(Value::as_str)
    else {
        return String::new();
    };
    // /apis/networking.istio.io/v1/namespaces/<namespace>/<kind>/<name>
    let pieces: Vec<&str> = config.split('/').collect();
    match pieces.as_slice() {
        ["", "apis", _, _, "namespaces", namespace, _, name] => format!("{name}.{namespace}"),
        _ => "<unknown>".to_owned(),
    }
}
