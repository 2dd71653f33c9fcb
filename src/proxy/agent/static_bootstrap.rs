//! Reading a static Envoy bootstrap file.

use std::path::Path;

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;

use super::AgentError;

/// Reads the file as Envoy does.
pub(super) fn read(path: &Path) -> Result<Bootstrap, AgentError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| AgentError::Bootstrap {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(Box::new(error)))?;
    sagene_api::envoy::bootstrap::parse(&text).map_err(|error| failed(Box::new(error)))
}
