//! The Kubernetes-compatible API server of the embedded cluster.
//!
//! Reading order: `server` (TLS, HTTP) → `http` (paths, verbs, content) → `operations` (create, update, patch, apply, delete, list,
//! watch) → `admission`, `defaults`, `validation`, `managed_fields` → `store`. The in-process client enters at `operations`.

pub(crate) mod actor;
mod admission;
mod after_write;
mod authentication;
mod authorization;
mod bootstrap;
mod defaults;
mod disruption;
pub mod error;
mod http;
mod kinds;
mod managed_fields;
mod metrics;
mod object_meta;
pub(crate) mod operations;
mod patch;
pub mod pki;
mod quota;
mod registry;
mod schema;
pub mod selector;
pub mod server;
mod services;
pub mod store;
mod tokens;
mod validation;
pub mod watch;

use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::api_client::ApiClient;
use crate::pod_runtime::PodRuntimeHandle;

/// What the API server needs to start.
pub struct ApiServerConfig {
    /// Folder for the state file, keys and certificates. Made if missing, private to the user.
    pub state_dir: PathBuf,
    /// Where to serve, already listening (loopback of the host, the node's namespace, …).
    pub listeners: Vec<TcpListener>,
    /// Address by which pods reach the node, if known: a name of the serving certificate.
    pub node_ip: Option<IpAddr>,
    /// The address that pods reach: what the `kubernetes` service leads to.
    pub advertise: std::net::SocketAddr,
    /// Services may have IPv6 addresses beside IPv4 or instead; else every Service has IPv4 alone.
    pub dual_stack: bool,
    /// Where the node agent will be found.
    pub pod_runtime: PodRuntimeHandle,
}

/// Credentials of the cluster's administrator, all PEM.
#[derive(Clone, Debug)]
pub struct AdminCredentials {
    /// The cluster CA certificate.
    pub ca_certificate: String,
    /// Client certificate of `kubernetes-admin` in `system:masters`.
    pub client_certificate: String,
    /// Its private key.
    pub client_key: String,
}

/// A running API server. Dropping it does not stop it; call [`RunningApiServer::shutdown`].
pub struct RunningApiServer {
    /// The in-process client.
    pub client: ApiClient,
    /// For kubeconfigs.
    pub admin: AdminCredentials,
    operations: Arc<operations::Operations>,
    server: server::Server,
}

/// Why the API server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder cannot be used.
    #[error("cannot use the state folder {0}")]
    StateDir(PathBuf, #[source] std::io::Error),
    /// The state file cannot be used.
    #[error("cannot open the cluster's state")]
    State(#[source] store::JournalError),
    /// Keys or certificates cannot be read or made.
    #[error("cannot prepare the cluster's certificates")]
    Certificates(#[source] pki::PkiError),
    /// The listeners cannot be served.
    #[error("cannot serve the API")]
    Serve(#[source] server::ServerError),
    /// The objects that every cluster has could not be made.
    #[error("cannot prepare the cluster's own objects")]
    Bootstrap(#[source] error::ApiError),
}

/// The embedded API server.
pub struct ApiServer;

impl ApiServer {
    /// Opens the state, serves on the listeners, and creates what every cluster has.
    pub async fn start(config: ApiServerConfig) -> Result<RunningApiServer, StartError> {
        let folder = &config.state_dir;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| StartError::StateDir(folder.clone(), error))?;
        let pki = pki::Pki::open(folder, config.node_ip).map_err(StartError::Certificates)?;
        let store = Arc::new(store::Store::open(folder).map_err(StartError::State)?);
        let operations = Arc::new(operations::Operations::new(
            store,
            tokens::TokenKeys::new(&pki.token_key),
            config.dual_stack,
            config.pod_runtime.clone(),
        ));
        let client = ApiClient::new(operations.clone(), actor::Actor::system("system:apiserver"));
        bootstrap::create_missing(&client, config.advertise, &pki.ca_pem)
            .await
            .map_err(StartError::Bootstrap)?;
        let api = http::Api { operations: operations.clone(), pod_runtime: config.pod_runtime };
        let server =
            server::Server::start(&pki, config.listeners, Arc::new(api)).map_err(StartError::Serve)?;
        Ok(RunningApiServer { client, admin: pki.admin, operations, server })
    }
}

impl RunningApiServer {
    /// Stops serving and waits until everything is on disk.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.operations.store.flush().await;
    }
}

#[cfg(test)]
mod tests;
