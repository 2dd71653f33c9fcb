//! Istio's ProxyConfig as the agent uses it: mesh defaults, what injection wrote, what the pod's annotation says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The merged configuration: what the agent itself needs as fields, the whole for the control plane.
#[derive(Debug, Clone)]
pub(crate) struct ProxyConfig {
    /// Where discovery is: `istiod.istio-system.svc:15012`.
    pub(crate) discovery_address: String,
    /// How long listeners drain when the process is told to end.
    pub(crate) termination_drain_duration: Duration,
    /// Traffic threads; `None` = not said.
    pub(crate) concurrency: Option<usize>,
    /// Port of the admin server.
    pub(crate) proxy_admin_port: u16,
    /// Port of the agent: metrics, probes.
    pub(crate) status_port: u16,
    /// Service cluster of the node; empty = derived.
    pub(crate) service_cluster: String,
    /// Where state is kept.
    pub(crate) config_path: String,
    /// More variables.
    pub(crate) proxy_metadata: BTreeMap<String, String>,
    /// `zipkin` address for the bootstrap; empty = none.
    pub(crate) zipkin_address: String,
    /// Everything, as it goes into the node's metadata.
    pub(crate) all: Map<String, Value>,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyConfigError {
    /// Not YAML.
    #[error("{origin} is not YAML")]
    Yaml {
        /// Which of the sources.
        origin: &'static str,
        source: serde_yaml::Error,
    },
    /// Not a map.
    #[error("{0} is not a map of settings")]
    NotAMap(&'static str),
    /// A field that cannot be honored.
    #[error("proxy configuration: {0}")]
    Field(String),
    /// The mesh file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    File { path: std::path::PathBuf, source: std::io::Error },
}

const MESH_FILE: &str = "the mesh configuration file";
const VARIABLE: &str = "PROXY_CONFIG";
const ANNOTATION: &str = "annotation proxy.istio.io/config";

impl ProxyConfig {
    /// Merges the sources; later ones win field by field, `proxyMetadata` name by name.
    pub(crate) fn resolve(
        mesh_file: &Path,
        variable: &str,
        annotation: &str,
    ) -> Result<Self, ProxyConfigError> {
        let mut all = mesh_default(mesh_file)?;
        merge(&mut all, parse(VARIABLE, variable)?);
        merge(&mut all, parse(ANNOTATION, annotation)?);
        Self::understand(all)
    }

    fn understand(all: Map<String, Value>) -> Result<Self, ProxyConfigError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Fields {
            discovery_address: String,
            termination_drain_duration: String,
            concurrency: Option<usize>,
            proxy_admin_port: u16,
            status_port: u16,
            service_cluster: String,
            config_path: String,
            proxy_metadata: BTreeMap<String, String>,
            tracing: Option<Tracing>,
        }
        impl Default for Fields {
            fn default() -> Self {
                Self {
                    discovery_address: "istiod.istio-system.svc:15012".to_owned(),
                    termination_drain_duration: "5s".to_owned(),
                    concurrency: None,
                    proxy_admin_port: 15000,
                    status_port: 15020,
                    service_cluster: String::new(),
                    config_path: "./etc/istio/proxy".to_owned(),
                    proxy_metadata: BTreeMap::new(),
                    tracing: None,
                }
            }
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Tracing {
            zipkin: Option<Zipkin>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Zipkin {
            address: String,
        }
        let fields: Fields = serde_json::from_value(Value::Object(all.clone()))
            .map_err(|error| ProxyConfigError::Field(error.to_string()))?;
        let drain = &fields.termination_drain_duration;
        Ok(Self {
            termination_drain_duration: parse_duration(drain).ok_or_else(|| {
                ProxyConfigError::Field(format!(
                    "terminationDrainDuration {drain:?}: expected a duration such as \"5s\""
                ))
            })?,
            discovery_address: fields.discovery_address,
            concurrency: fields.concurrency,
            proxy_admin_port: fields.proxy_admin_port,
            status_port: fields.status_port,
            service_cluster: fields.service_cluster,
            config_path: fields.config_path,
            proxy_metadata: fields.proxy_metadata,
            zipkin_address: fields.tracing.and_then(|tracing| tracing.zipkin).unwrap_or_default().address,
            all,
        })
    }
}

/// Proto JSON's durations (`5s`, `0.5s`) and the Go forms that people write (`1m30s`, `500ms`).
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..number_end].parse().ok()?;
        rest = &rest[number_end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit_end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.trim().is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// `defaultConfig` of the mesh configuration; empty when there is no file.
fn mesh_default(path: &Path) -> Result<Map<String, Value>, ProxyConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => {
            return Err(ProxyConfigError::File { path: path.to_owned(), source });
        }
    };
    match parse(MESH_FILE, &text)?.remove("defaultConfig") {
        Some(Value::Object(map)) => Ok(map),
        _ => Ok(Map::new()),
    }
}

fn parse(origin: &'static str, text: &str) -> Result<Map<String, Value>, ProxyConfigError> {
    match serde_yaml::from_str(text).map_err(|source| ProxyConfigError::Yaml { origin, source })? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(ProxyConfigError::NotAMap(origin)),
    }
}

fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_win_and_metadata_is_merged_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mesh = folder.path().join("mesh");
        std::fs::write(
            &mesh,
            "defaultConfig:\n  concurrency: 4\n  statusPort: 15020\n  proxyMetadata: {A: '1'}\n",
        )
        .unwrap();
        let config = ProxyConfig::resolve(
            &mesh,
            "{\"concurrency\":2,\"discoveryAddress\":\"istiod.mesh.svc:15012\",\"proxyMetadata\":{\"B\":\"2\"}}\n",
            "terminationDrainDuration: 1m30s\n",
        )
        .unwrap();
        assert_eq!(config.concurrency, Some(2));
        assert_eq!(config.discovery_address, "istiod.mesh.svc:15012");
        assert_eq!(config.proxy_metadata.len(), 2);
        assert_eq!(config.termination_drain_duration, Duration::from_secs(90));
        let missing = ProxyConfig::resolve(&folder.path().join("none"), "", "").unwrap();
        assert_eq!(
            (missing.status_port, missing.termination_drain_duration),
            (15020, Duration::from_secs(5))
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error =
            |variable: &str| ProxyConfig::resolve(Path::new("/none"), variable, "").unwrap_err().to_string();
        assert_eq!(error("[1]"), "PROXY_CONFIG is not a map of settings");
        assert!(error("terminationDrainDuration: soon").contains("terminationDrainDuration \"soon\""));
        assert!(error("statusPort: http").contains("proxy configuration"));
    }
}
