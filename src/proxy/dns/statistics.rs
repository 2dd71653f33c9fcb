//! Counters of the name server, for the agent's metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the name server did since start.
#[derive(Debug, Default)]
pub struct DnsStatistics {
    requests: AtomicU64,
    upstream_requests: AtomicU64,
    upstream_failures: AtomicU64,
}

impl DnsStatistics {
    /// Queries received (`istio_agent_dns_requests_total`).
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Queries passed on (`istio_agent_dns_upstream_requests_total`).
    pub fn upstream_requests(&self) -> u64 {
        self.upstream_requests.load(Relaxed)
    }

    /// Queries passed on that no server answered (`istio_agent_dns_upstream_failures_total`).
    pub fn upstream_failures(&self) -> u64 {
        self.upstream_failures.load(Relaxed)
    }

    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn upstream_request(&self) {
        self.upstream_requests.fetch_add(1, Relaxed);
    }

    pub(super) fn upstream_failure(&self) {
        self.upstream_failures.fetch_add(1, Relaxed);
    }
}
