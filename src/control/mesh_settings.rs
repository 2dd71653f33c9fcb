//! The mesh's settings as generators want them: ConfigMap `istio` (key `mesh`) over Istio's defaults.

use sagene_api::istio::mesh_config::MeshConfig;
use sagene_model::Snapshot;
use thiserror::Error;

use crate::{generate::settings::Settings, options::ControlPlaneOptions};

/// Why the ConfigMap cannot be used; what was in force stays.
#[derive(Debug, Error)]
pub(crate) enum MeshSettingsError {
    /// No YAML.
    #[error("ConfigMap {map}, key mesh is not valid YAML")]
    Yaml {
        /// The ConfigMap.
        map: String,
        /// The parser's words.
        #[source]
        source: serde_yaml::Error,
    },
    /// Not of the shape of a MeshConfig.
    #[error("ConfigMap {map}, key mesh")]
    Shape {
        /// The ConfigMap.
        map: String,
        /// Field and problem.
        #[source]
        source: sagene_api::ParseError,
    },
}

/// The MeshConfig in force.
pub(crate) fn mesh_config(
    snapshot: &Snapshot,
    options: &ControlPlaneOptions,
) -> Result<MeshConfig, MeshSettingsError> {
    let name = format!("istio{}", options.revision_suffix());
    let map = || format!("{}/{name}", options.namespace);
    let text = snapshot
        .config_maps
        .get(&options.namespace, &name)
        .and_then(|map| map.spec.data.get("mesh"))
        .map_or("", String::as_str);
    let layer: serde_json::Value = if text.trim().is_empty() {
        serde_json::json!({})
    } else {
        sagene_api::yaml::value(text).map_err(|source| MeshSettingsError::Yaml { map: map(), source })?
    };
    MeshConfig::from_layers([layer]).map_err(|source| MeshSettingsError::Shape { map: map(), source })
}

/// What generators read of it.
pub(crate) fn settings(mesh: &MeshConfig, options: &ControlPlaneOptions) -> Settings {
    let address_allocation = options.address_allocation.is_some();
    Settings { address_allocation, ..Settings::of(mesh, &options.domain, &options.cluster_id) }
}
