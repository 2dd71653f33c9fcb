//! Whether this proxy may receive traffic.
//!
//! Ready once the first complete configuration is in force and, where the mesh gives identities, a certificate is
//! there; each is said explicitly by whoever provides it. Afterwards only an operator (`healthcheck/fail`) or the end
//! of the process takes readiness away: a lost control plane does not, because the last configuration serves on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::{Method, StatusCode};
use sagene_base::readiness::Readiness;

use super::http_server::{Handler, Reply, Request, text};

/// The state of this proxy's readiness; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    readiness: Readiness,
    failed: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
}

impl Health {
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self { readiness, failed: Arc::default(), draining: Arc::default() }
    }

    /// What an operator says: `healthcheck/fail`, `healthcheck/ok`.
    pub(crate) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Relaxed);
    }

    /// The process is ending.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Why it is not ready; `None` when it is.
    pub(crate) fn reason(&self) -> Option<String> {
        if self.draining.load(Relaxed) {
            return Some("server is draining".to_owned());
        }
        if self.failed.load(Relaxed) {
            return Some("an operator failed the health check".to_owned());
        }
        if self.readiness.is_ready() {
            return None;
        }
        let unmet: Vec<&str> = self.readiness.unmet().into_iter().map(|(name, _)| name).collect();
        Some(format!("waiting for {}", unmet.join(", ")))
    }

    /// Envoy's word for the state (`server_info`, `ready`).
    pub(crate) fn state(&self) -> ServerState {
        if self.draining.load(Relaxed) || self.failed.load(Relaxed) {
            ServerState::Draining
        } else if self.readiness.is_ready() {
            ServerState::Live
        } else {
            ServerState::Initializing
        }
    }

    /// The answer of a readiness endpoint.
    pub(crate) fn reply(&self) -> Reply {
        match self.reason() {
            None => text(StatusCode::OK, ""),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    }
}

/// Envoy's server states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerState {
    Live,
    Draining,
    Initializing,
}

impl ServerState {
    /// As Envoy writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::Initializing => "INITIALIZING",
        }
    }
}

/// The port that kubelet asks, 15021; it has nothing but this one path.
#[derive(Debug)]
pub(crate) struct ReadyServer(pub(crate) Health);

impl Handler for ReadyServer {
    async fn handle(&self, request: Request) -> Reply {
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/healthz/ready") => self.0.reply(),
            _ => text(StatusCode::NOT_FOUND, ""),
        }
    }
}
