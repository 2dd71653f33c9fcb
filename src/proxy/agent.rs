//! What surrounds the data path in a pod: who this proxy is, where its configuration and certificates come from,
//! when it is ready and how it ends.
//!
//! Two kinds of threads: the traffic workers, and one small runtime here for discovery, certificates, admin and DNS,
//! so that debugging a proxy cannot slow its traffic.

mod arguments;
pub(crate) mod bootstrap;
mod certificates;
mod control_plane;
mod discovery;
mod environment;
mod file_secrets;
pub(crate) mod health;
pub(crate) mod http_server;
pub(crate) mod lifecycle;
mod node;
mod ports;
mod prometheus;
pub(crate) mod proxy_config;
mod saved_state;
pub(crate) mod secrets;
mod serve;
mod static_bootstrap;
pub(crate) mod status;
mod termination;
#[cfg(test)]
mod testing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use arguments::{AgentArguments, NodeType};
pub use ports::PortError;

use sagene_base::logging::{LogFormat, LogHandle, LogTarget, LoggingError, LoggingOptions};

use crate::dns::DnsError;
use crate::worker::StartError;

/// How long connections may take to end when a proxy with a static bootstrap is told to.
const STATIC_DRAIN: Duration = Duration::from_secs(5);

/// Why the proxy could not start, or ended other than asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The proxy's configuration cannot be used.
    #[error("the proxy's configuration cannot be used")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log could not be set up.
    #[error("cannot set up the log (--proxyLogLevel, --proxyComponentLogLevel, --log_output_level)")]
    Log(#[source] LoggingError),
    /// The static bootstrap cannot be read.
    #[error("cannot read the bootstrap {}", path.display())]
    Bootstrap {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A port could not be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The name server could not start.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// The data path could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The runtime could not be made.
    #[error("cannot start the agent's runtime")]
    Runtime(#[source] std::io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
}

macro_rules! configuration_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for AgentError {
            fn from(error: $error) -> Self {
                Self::Configuration(Box::new(error))
            }
        }
    )*};
}

configuration_errors!(proxy_config::ProxyConfigError, node::IdentityError, status::ProbeError);

/// Runs the proxy of one pod until it is told to stop and has drained.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub fn run(node_type: NodeType, arguments: AgentArguments) -> Result<(), AgentError> {
    let levels = crate::admin::log_specification(
        &arguments.log_output_level,
        &arguments.proxy_log_level,
        &arguments.proxy_component_log_level,
    );
    let log = set_up_log(&levels, arguments.log_as_json)?;
    let environment = environment::Environment::of_process();
    let settings = serve::Settings::resolve(node_type, &arguments, environment, log)?;
    runtime()?.block_on(serve::run(settings))
}

/// Runs a proxy on a static Envoy bootstrap file until it is told to stop.
///
/// # Errors
/// [`AgentError`] when it cannot start.
pub fn run_static(path: &Path, concurrency: usize) -> Result<(), AgentError> {
    let log = set_up_log("info", false)?;
    let bootstrap = static_bootstrap::read(path)?;
    runtime()?.block_on(serve::run_static(bootstrap, concurrency, log))
}

/// `None` when whoever called has set up the log already.
fn set_up_log(levels: &str, json: bool) -> Result<Option<Arc<LogHandle>>, AgentError> {
    let options = LoggingOptions {
        levels: levels.to_owned(),
        target: LogTarget::Stdout,
        format: if json { LogFormat::Json } else { LogFormat::Text },
    };
    match sagene_base::logging::init(&options) {
        Ok(handle) => Ok(Some(Arc::new(handle))),
        Err(LoggingError::AlreadySetUp) => Ok(None),
        Err(error) => Err(AgentError::Log(error)),
    }
}

/// One thread for everything that is not traffic.
fn runtime() -> Result<tokio::runtime::Runtime, AgentError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AgentError::Runtime)
}
