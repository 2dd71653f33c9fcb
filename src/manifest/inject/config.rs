//! What injection is configured with: ConfigMap `istio-sidecar-injector` (keys `config` and `values`) and the mesh config.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::ProxyConfig;
use serde_json::{Map, Value, json};

use super::template::{self, Templates};

/// Whether pods take part when neither label nor selector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// `enabled`: inject what the webhook sends. The default.
    #[default]
    Enabled,
    /// `disabled`: inject only what asks for it.
    Disabled,
}

/// Settings of one injector revision.
#[derive(Debug, Clone)]
pub struct InjectConfig {
    /// Key `policy` of `config`.
    pub policy: Policy,
    /// Pods to leave alone: Kubernetes label selectors, key `neverInjectSelector`.
    pub never_inject: Vec<Value>,
    /// Pods to inject: Kubernetes label selectors, key `alwaysInjectSelector`.
    pub always_inject: Vec<Value>,
    /// Annotations every injected pod gets, key `injectedAnnotations`.
    pub injected_annotations: Map<String, Value>,
    /// Templates used when the pod names none, key `defaultTemplates`; `["sidecar"]` by default.
    pub default_templates: Vec<String>,
    /// The operator's own templates, key `templates`.
    pub templates: Templates,
    /// The installation's values (`global`, `pilot`, `sidecarInjectorWebhook`, …).
    pub values: Value,
    /// Mesh config as written, camelCase.
    pub mesh: Value,
    /// ProxyConfigs of the whole cluster; those that concern a pod are merged into its proxy's configuration.
    pub proxy_configs: Vec<Arc<Object<ProxyConfig>>>,
    /// Revision of this injector, `default` when unnamed.
    pub revision: String,
    /// Whether the cluster runs init containers with `restartPolicy: Always` (Kubernetes 1.33 and later). A pod may still say otherwise.
    pub native_sidecars: bool,
}

/// Why the injector's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key of a ConfigMap is not YAML.
    #[error("ConfigMap key {key:?} is not valid YAML")]
    Yaml {
        /// `config`, `values` or `mesh`.
        key: &'static str,
        /// Parser's words.
        #[source]
        source: serde_yaml::Error,
    },
    /// A key of a ConfigMap is YAML of the wrong shape.
    #[error("ConfigMap key {key:?}: {reason}")]
    Shape {
        /// `config`, `values` or `mesh`.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Default for InjectConfig {
    fn default() -> Self {
        Self {
            policy: Policy::Enabled,
            never_inject: Vec::new(),
            always_inject: Vec::new(),
            injected_annotations: Map::new(),
            default_templates: vec!["sidecar".to_owned()],
            templates: Templates::new(),
            values: json!({}),
            mesh: json!({}),
            proxy_configs: Vec::new(),
            revision: "default".to_owned(),
            native_sidecars: true,
        }
    }
}

impl InjectConfig {
    /// Reads the keys `config` and `values` of ConfigMap `istio-sidecar-injector` and the key `mesh` of ConfigMap `istio`.
    /// There are no ProxyConfigs; they are the caller's to add. `values` may be JSON or YAML. Of `templates` those are read that are not Istio's own: these are part of the program.
    ///
    /// # Errors
    /// When a key is not YAML or not of the expected shape.
    pub fn from_config_maps(
        config: &str,
        values: &str,
        mesh: &str,
        revision: &str,
    ) -> Result<Self, ConfigError> {
        let config = parse("config", config)?;
        let policy = match config.get("policy").and_then(Value::as_str) {
            None | Some("enabled" | "") => Policy::Enabled,
            Some("disabled") => Policy::Disabled,
            Some(other) => {
                return Err(shape("config", format!("policy {other:?} is neither enabled nor disabled")));
            }
        };
        let defaults = Self::default();
        Ok(Self {
            policy,
            never_inject: list(&config, "neverInjectSelector"),
            always_inject: list(&config, "alwaysInjectSelector"),
            injected_annotations: config
                .get("injectedAnnotations")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            default_templates: match strings(&config, "defaultTemplates") {
                names if names.is_empty() => defaults.default_templates,
                names => names,
            },
            templates: template::read(config.get("templates").and_then(Value::as_object)),
            values: parse("values", values)?,
            mesh: parse("mesh", mesh)?,
            proxy_configs: Vec::new(),
            revision: if revision.is_empty() { defaults.revision } else { revision.to_owned() },
            native_sidecars: defaults.native_sidecars,
        })
    }
}

fn parse(key: &'static str, text: &str) -> Result<Value, ConfigError> {
    let value: Value = sagene_api::yaml::value(text).map_err(|source| ConfigError::Yaml { key, source })?;
    match value {
        Value::Null => Ok(json!({})),
        Value::Object(_) => Ok(value),
        _ => Err(shape(key, "expected a mapping".to_owned())),
    }
}

fn shape(key: &'static str, reason: String) -> ConfigError {
    ConfigError::Shape { key, reason }
}

fn list(config: &Value, key: &str) -> Vec<Value> {
    config.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn strings(config: &Value, key: &str) -> Vec<String> {
    list(config, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
