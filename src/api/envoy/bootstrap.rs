//! Reading a bootstrap file as Envoy does: YAML or JSON, field names of either spelling.

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use prost::{Message, Name};
use serde_json::Value;

use super::json::{JsonError, from_json};

/// Why a text is no bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Neither YAML nor JSON.
    #[error("not YAML or JSON")]
    Yaml(#[source] serde_yaml::Error),
    /// A field does not fit.
    #[error("not an Envoy bootstrap")]
    Field(#[source] JsonError),
    /// The converted message cannot be read back.
    #[error("the bootstrap cannot be converted")]
    Convert(#[source] prost::DecodeError),
}

/// Reads the text of a bootstrap file.
///
/// # Errors
/// [`BootstrapError`] names the line, or the path of the field.
pub fn parse(text: &str) -> Result<Bootstrap, BootstrapError> {
    let value: Value = serde_yaml::from_str(text).map_err(BootstrapError::Yaml)?;
    let bytes = from_json(&Bootstrap::full_name(), &value).map_err(BootstrapError::Field)?;
    Bootstrap::decode(bytes.as_slice()).map_err(BootstrapError::Convert)
}
