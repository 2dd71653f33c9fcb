//! Why the cluster does not run.

use std::net::SocketAddr;

use crate::launcher::LauncherError;

/// A cluster that cannot run. Each message says what is missing and how to get it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] LauncherError),
    /// Another daemon serves this state directory.
    #[error("a cluster already runs in {0}; `sagene cluster status` shows it, `sagene cluster stop` ends it")]
    AlreadyRunning(String),
    /// The kernel or its configuration lacks something.
    #[error("{what} is not available here: {remedy}")]
    Missing {
        /// Such as `user namespaces`.
        what: &'static str,
        /// What to do about it.
        remedy: String,
    },
    /// The API port.
    #[error("127.0.0.1:{} cannot be used for the API server; choose another with --api-port", .address.port())]
    Listen {
        /// What was asked.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A system call failed that normally does not.
    #[error("cannot {action}")]
    System {
        /// Such as `mount /proc`.
        action: String,
        /// Why.
        source: std::io::Error,
    },
    /// The node's network.
    #[error("the pods' network cannot be made")]
    Network(#[from] crate::network::NetworkError),
    /// The API server.
    #[error("the API server cannot start")]
    ApiServer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl RunError {
    pub(crate) fn system<E: Into<std::io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::System { action, source: source.into() }
    }

    /// This error and all its sources in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
