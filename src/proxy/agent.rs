//! What surrounds the data path in a pod: who this proxy is, where its configuration and certificates come from,
//! when it is ready and how it ends.
//!
//! Two kinds of threads: the traffic workers, and one small runtime here for discovery, certificates, admin and DNS,
//! so that debugging a proxy cannot slow its traffic.

mod arguments;
pub(crate) mod bootstrap;
mod environment;
pub(crate) mod health;
pub(crate) mod http_server;
pub(crate) mod lifecycle;
mod node;
pub(crate) mod proxy_config;
mod saved_state;
pub(crate) mod secrets;
pub(crate) mod status;

use std::path::Path;

pub use arguments::{AgentArguments, NodeType};

/// Why the proxy could not start, or ended other than asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The role is not there yet.
    #[error("not there yet")]
    Unfinished,
}

/// Runs the proxy of one pod until it is told to stop and has drained.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub fn run(_node_type: NodeType, _arguments: AgentArguments) -> Result<(), AgentError> {
    Err(AgentError::Unfinished)
}

/// Runs a proxy on a static Envoy bootstrap file until it is told to stop.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub fn run_static(_bootstrap: &Path, _concurrency: usize) -> Result<(), AgentError> {
    Err(AgentError::Unfinished)
}
