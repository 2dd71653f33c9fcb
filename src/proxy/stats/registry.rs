//! The statistics of all workers, by Envoy's stat names.

use std::net::SocketAddr;

/// One statistic at one moment, under Envoy's name (`cluster.outbound|9080||reviews….upstream_cx_total`).
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Full dotted name.
    pub name: String,
    /// Its value.
    pub value: SampleValue,
}

/// The value of a statistic.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// Cumulative buckets: upper bound and count up to it; then sum and count of everything.
    Histogram {
        /// Upper bound and how many values lay at or below it.
        buckets: Vec<(f64, u64)>,
        /// Sum of all values.
        sum: f64,
        /// How many values.
        count: u64,
    },
}

/// Counters of one endpoint of one cluster, summed over the workers (`/clusters`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointStats {
    /// The endpoint.
    pub address: SocketAddr,
    /// Open connections.
    pub cx_active: u64,
    /// Failed connection attempts.
    pub cx_connect_fail: u64,
    /// Connections opened.
    pub cx_total: u64,
    /// Requests in flight.
    pub rq_active: u64,
    /// Requests that ended with 5xx or a local failure.
    pub rq_error: u64,
    /// Requests that ended otherwise.
    pub rq_success: u64,
    /// Requests that timed out.
    pub rq_timeout: u64,
    /// Requests sent.
    pub rq_total: u64,
}

/// All statistics of the process.
#[derive(Debug, Default)]
pub struct Registry {}

impl Registry {
    /// Every statistic under Envoy's names, sorted (`/stats`).
    pub fn samples(&self) -> Vec<Sample> {
        Vec::new()
    }

    /// Counters of the endpoints of one cluster (`/clusters`).
    pub fn endpoints(&self, _cluster: &str) -> Vec<EndpointStats> {
        Vec::new()
    }

    /// `name: value` lines as Envoy's `/stats` writes them.
    pub fn render_text(&self) -> String {
        String::new()
    }

    /// Prometheus text format: Envoy's statistics as `envoy_*` and the mesh's standard metrics as `istio_*`.
    pub fn render_prometheus(&self) -> String {
        String::new()
    }

    /// Sets every counter to zero (`/reset_counters`).
    pub fn reset_counters(&self) {}
}
