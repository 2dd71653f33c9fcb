//! Istio's extension `attributegen`: names requests and answers by expressions, for the labels of metrics. Proxies have it built in, so that
//! neither the module nor a machine for it is needed.
//!
//! Source of the rules: Istio's `extensions/attributegen/config.proto`.

use std::fmt;

use sagene_api::istio::extensions::{PluginType, WasmPlugin};
use serde_json::{Map, Value};

/// How the extension is called where it is a part of the proxy (`vm_config.code.local.inline_string`).
pub const MODULE: &str = "envoy.wasm.attributegen";
/// Where Istio publishes the module.
const PUBLISHED: &str = "https://storage.googleapis.com/istio-build/proxy/attributegen-";

/// Whether a plugin is this extension.
pub fn is_attribute_gen(plugin: &WasmPlugin) -> bool {
    plugin.url.strip_prefix(PUBLISHED).is_some_and(|rest| rest.ends_with(".wasm") && !rest.contains('/'))
        && plugin.r#type != PluginType::Network
}

/// Its configuration (`pluginConfig`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeGen {
    /// In the order they are worked out.
    pub attributes: Vec<Generated>,
}

/// One attribute, `filter_state['wasm.NAME']` for expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Its name.
    pub name: String,
    /// It is known as soon as the request is, and not only when the answer is: `phase: ON_REQUEST`.
    pub on_request: bool,
    /// Value and condition, the first that holds wins; no condition always holds.
    pub rules: Vec<(String, Option<String>)>,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct AttributeGenError {
    /// The field, such as `attributes[0].match[1].value`.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl AttributeGen {
    /// Reads the configuration; fields are accepted in both of protobuf's spellings.
    pub fn read(from: &Value) -> Result<Self, AttributeGenError> {
        let fields = object(from, "")?;
        known(fields, "", &["debug", "attributes"])?;
        let attributes = list(fields, "attributes", "")?.iter().enumerate();
        let attributes =
            attributes.map(|(index, each)| Generated::read(each, &format!("attributes[{index}]")));
        Ok(Self { attributes: attributes.collect::<Result<_, _>>()? })
    }

    /// Every condition with its field.
    pub fn conditions(&self) -> impl Iterator<Item = (String, &str)> {
        self.attributes.iter().enumerate().flat_map(|(index, each)| {
            each.rules.iter().enumerate().filter_map(move |(rule, (_, condition))| {
                Some((format!("attributes[{index}].match[{rule}].condition"), condition.as_deref()?))
            })
        })
    }
}

impl Generated {
    fn read(from: &Value, path: &str) -> Result<Self, AttributeGenError> {
        let fields = object(from, path)?;
        known(fields, path, &["output_attribute", "outputAttribute", "phase", "match"])?;
        let name = text(fields, &["output_attribute", "outputAttribute"], path)?;
        let name = name.filter(|name| !name.is_empty());
        let on_request = match text(fields, &["phase"], path)?.as_deref() {
            None | Some("ON_LOG") => false,
            Some("ON_REQUEST") => true,
            Some(other) => {
                return Err(wrong(path, "phase", format!("{other:?} is unknown; give ON_LOG or ON_REQUEST")));
            }
        };
        let rules = list(fields, "match", path)?.iter().enumerate().map(|(index, each)| {
            let path = format!("{path}.match[{index}]");
            let fields = object(each, &path)?;
            known(fields, &path, &["condition", "value"])?;
            let value = text(fields, &["value"], &path)?;
            let value = value.ok_or_else(|| wrong(&path, "value", "is missing"))?;
            Ok((value, text(fields, &["condition"], &path)?.filter(|condition| !condition.is_empty())))
        });
        Ok(Self {
            name: name.ok_or_else(|| wrong(path, "output_attribute", "is missing"))?,
            on_request,
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

fn wrong(path: &str, field: &str, reason: impl fmt::Display) -> AttributeGenError {
    let dot = if path.is_empty() || field.is_empty() { "" } else { "." };
    AttributeGenError { path: format!("{path}{dot}{field}"), reason: reason.to_string() }
}

fn object<'v>(from: &'v Value, path: &str) -> Result<&'v Map<String, Value>, AttributeGenError> {
    from.as_object().ok_or_else(|| wrong(path, "", "must be an object"))
}

fn known(fields: &Map<String, Value>, path: &str, names: &[&str]) -> Result<(), AttributeGenError> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(wrong(path, name, format!("is unknown; known: {}", names.join(", ")))),
        None => Ok(()),
    }
}

fn list<'v>(
    fields: &'v Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<&'v [Value], AttributeGenError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(wrong(path, name, "must be a list")),
    }
}

fn text(
    fields: &Map<String, Value>,
    names: &[&str],
    path: &str,
) -> Result<Option<String>, AttributeGenError> {
    match names.iter().find_map(|name| fields.get(*name)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(path, names[0], "must be a text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_published_module_is_known_and_no_other() {
        let is = |url: &str| is_attribute_gen(&WasmPlugin { url: url.to_owned(), ..WasmPlugin::default() });
        assert!(is(
            "https://storage.googleapis.com/istio-build/proxy/attributegen-359dcd3a19f109c50e97517fe6b1e2676e870c4d.wasm"
        ));
        assert!(!is("https://storage.googleapis.com/istio-build/proxy/stats-359dcd3a.wasm"));
        assert!(!is("https://example.com/attributegen-1.wasm"));
        assert!(!is("oci://example.com/attributegen:1"));
    }

    #[test]
    fn a_configuration_is_read_or_refused_with_its_field() {
        let read = AttributeGen::read(&json!({"attributes": [
            {"output_attribute": "kind", "match": [{"value": "a", "condition": "request.method == 'GET'"}, {"value": "b"}]},
            {"outputAttribute": "early", "phase": "ON_REQUEST"},
        ]}));
        let read = read.expect("read");
        let rules =
            vec![("a".to_owned(), Some("request.method == 'GET'".to_owned())), ("b".to_owned(), None)];
        assert_eq!(read.attributes[0], Generated { name: "kind".to_owned(), on_request: false, rules });
        assert!(read.attributes[1].on_request);
        let conditions: Vec<_> = read.conditions().collect();
        assert_eq!(conditions, [("attributes[0].match[0].condition".to_owned(), "request.method == 'GET'")]);
        for (config, message) in [
            (json!([]), ": must be an object"),
            (json!({"attributes": {}}), "attributes: must be a list"),
            (json!({"attributes": [{}]}), "attributes[0].output_attribute: is missing"),
            (
                json!({"attributes": [{"output_attribute": 1}]}),
                "attributes[0].output_attribute: must be a text",
            ),
            (
                json!({"attributes": [{"output_attribute": "a", "match": [{"condition": "true"}]}]}),
                "attributes[0].match[0].value: is missing",
            ),
            (
                json!({"attributes": [{"output_attribute": "a", "when": 1}]}),
                "attributes[0].when: is unknown; known: output_attribute, outputAttribute, phase, match",
            ),
        ] {
            assert_eq!(AttributeGen::read(&config).expect_err("refused").to_string(), message);
        }
    }
}
