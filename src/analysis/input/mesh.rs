//! The mesh-wide settings of what is analysed.

use sagene_api::istio::mesh_config::{MeshConfig, MeshNetworks};
use sagene_model::Mesh;
use serde_json::Value;

use super::Input;

/// Mesh settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// No YAML.
    #[error("not valid YAML")]
    Yaml(#[from] serde_yaml::Error),
    /// Of another shape.
    #[error(transparent)]
    Shape(#[from] sagene_api::ParseError),
}

impl Input {
    /// Takes a MeshConfig (key `mesh` of ConfigMap `istio`) over the defaults.
    ///
    /// # Errors
    /// Text that is no YAML, or not the shape of a MeshConfig; what was in force stays.
    pub fn set_mesh_config(&mut self, yaml: &str) -> Result<(), MeshError> {
        let written: Value = sagene_api::yaml::value(yaml)?;
        let layer = if written.is_null() { Value::Object(serde_json::Map::new()) } else { written };
        let config = MeshConfig::from_layers([layer.clone()])?;
        self.mesh = Mesh::of(&config, &self.mesh.domain, &self.mesh.cluster_id);
        self.mesh_config = config;
        self.mesh_config_written = Some(layer);
        Ok(())
    }

    /// Takes MeshNetworks (key `meshNetworks` of the same ConfigMap).
    ///
    /// # Errors
    /// Text that is no YAML, or not the shape of MeshNetworks; what was in force stays.
    pub fn set_mesh_networks(&mut self, yaml: &str) -> Result<(), MeshError> {
        let written: Value = sagene_api::yaml::value(yaml)?;
        if !written.is_null() {
            self.mesh_networks = Some(sagene_api::object::read_at::<MeshNetworks>(written, "")?);
        }
        Ok(())
    }
}
