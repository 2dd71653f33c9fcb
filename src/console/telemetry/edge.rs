//! Where a series belongs in the mesh: the edge it describes and what it says about it.
//!
//! Labels and their meaning: Istio standard metrics (`reporter`, `source_*`, `destination_*`, `connection_security_policy`, …).

use std::collections::BTreeMap;

use super::exposition::Sample;

/// Which side of the connection reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reporter {
    /// The client's proxy.
    Source,
    /// The server's proxy.
    Destination,
}

/// One end of an edge: a workload and the versioned application it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// Namespace, `unknown` where the peer is not in the mesh.
    pub namespace: String,
    /// Workload name, `unknown` where the peer is not in the mesh.
    pub workload: String,
    /// Canonical service (the app).
    pub app: String,
    /// Canonical revision (the version), `latest` by default.
    pub version: String,
}

impl Peer {
    fn of(sample: &Sample, side: &str) -> Self {
        let label = |suffix: &str| known(sample.label(&format!("{side}_{suffix}")), "unknown");
        Self {
            namespace: label("workload_namespace"),
            workload: label("workload"),
            app: label("canonical_service"),
            version: known(sample.label(&format!("{side}_canonical_revision")), "latest"),
        }
    }

    /// True where telemetry could not say who this is.
    pub fn is_unknown(&self) -> bool {
        self.workload == "unknown"
    }
}

fn known(value: &str, fallback: &str) -> String {
    if value.is_empty() { fallback.to_owned() } else { value.to_owned() }
}

/// An edge of the finest grain: client workload → service → server workload, by protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeKey {
    /// The client.
    pub source: Peer,
    /// SPIFFE identity of the client, `unknown` in plaintext.
    pub source_principal: String,
    /// Fully qualified host of the service.
    pub service_host: String,
    /// Short name of the service, or `PassthroughCluster`, `BlackHoleCluster`.
    pub service_name: String,
    /// Namespace of the service.
    pub service_namespace: String,
    /// The server.
    pub destination: Peer,
    /// SPIFFE identity of the server, `unknown` in plaintext.
    pub destination_principal: String,
    /// `http`, `grpc` or `tcp`.
    pub protocol: String,
}

impl EdgeKey {
    /// The edge a sample speaks of.
    pub fn of(sample: &Sample) -> Self {
        let tcp = sample.name.starts_with("istio_tcp_");
        Self {
            source: Peer::of(sample, "source"),
            source_principal: known(sample.label("source_principal"), "unknown"),
            service_host: known(sample.label("destination_service"), "unknown"),
            service_name: known(sample.label("destination_service_name"), "unknown"),
            service_namespace: known(sample.label("destination_service_namespace"), "unknown"),
            destination: Peer::of(sample, "destination"),
            destination_principal: known(sample.label("destination_principal"), "unknown"),
            protocol: known(sample.label("request_protocol"), if tcp { "tcp" } else { "http" }),
        }
    }
}

/// Response code, response flags and gRPC status of a group of requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// HTTP status; `0` where there was none.
    pub code: String,
    /// Envoy's short response flags; `-` for none.
    pub flags: String,
    /// gRPC status number; empty where the request was not gRPC.
    pub grpc: String,
}

/// What happened on an edge during some time: counters as differences.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeDelta {
    /// Requests by outcome.
    pub requests: BTreeMap<Outcome, f64>,
    /// Requests that travelled with mutual TLS (known on the server's side only).
    pub mutual_tls_requests: f64,
    /// Duration histogram: upper bound in microseconds (`u64::MAX` is +Inf) → cumulative requests.
    pub duration_buckets: BTreeMap<u64, f64>,
    /// Sum of durations in milliseconds, and how many they were.
    pub duration_sum: f64,
    /// Number of durations in `duration_sum`.
    pub duration_count: f64,
    /// Bytes of requests.
    pub request_bytes: f64,
    /// Bytes of responses.
    pub response_bytes: f64,
    /// TCP bytes the server sent.
    pub tcp_sent: f64,
    /// TCP bytes the server received.
    pub tcp_received: f64,
    /// TCP connections opened.
    pub tcp_opened: f64,
    /// TCP connections opened with mutual TLS.
    pub mutual_tls_opened: f64,
}

impl EdgeDelta {
    /// Adds what `sample` says happened `change` times.
    pub fn record(&mut self, sample: &Sample, change: f64) {
        let mutual_tls = sample.label("connection_security_policy") == "mutual_tls";
        match sample.name.as_str() {
            "istio_requests_total" => {
                *self.requests.entry(outcome(sample)).or_default() += change;
                if mutual_tls {
                    self.mutual_tls_requests += change;
                }
            }
            "istio_request_duration_milliseconds_bucket" => {
                if let Some(bound) = bucket_bound(sample.label("le")) {
                    *self.duration_buckets.entry(bound).or_default() += change;
                }
            }
            "istio_request_duration_milliseconds_sum" => self.duration_sum += change,
            "istio_request_duration_milliseconds_count" => self.duration_count += change,
            "istio_request_bytes_sum" => self.request_bytes += change,
            "istio_response_bytes_sum" => self.response_bytes += change,
            "istio_tcp_sent_bytes_total" => self.tcp_sent += change,
            "istio_tcp_received_bytes_total" => self.tcp_received += change,
            "istio_tcp_connections_opened_total" => {
                self.tcp_opened += change;
                if mutual_tls {
                    self.mutual_tls_opened += change;
                }
            }
            _ => {}
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &EdgeDelta) {
        self.merge_share(other, 1.0);
    }

    /// Adds a share (0 to 1) of everything in `other`.
    pub fn merge_share(&mut self, other: &EdgeDelta, share: f64) {
        for (outcome, count) in &other.requests {
            *self.requests.entry(outcome.clone()).or_default() += count * share;
        }
        for (bound, count) in &other.duration_buckets {
            *self.duration_buckets.entry(*bound).or_default() += count * share;
        }
        self.mutual_tls_requests += other.mutual_tls_requests * share;
        self.duration_sum += other.duration_sum * share;
        self.duration_count += other.duration_count * share;
        self.request_bytes += other.request_bytes * share;
        self.response_bytes += other.response_bytes * share;
        self.tcp_sent += other.tcp_sent * share;
        self.tcp_received += other.tcp_received * share;
        self.tcp_opened += other.tcp_opened * share;
        self.mutual_tls_opened += other.mutual_tls_opened * share;
    }

    /// Number of requests, whatever came of them.
    pub fn total_requests(&self) -> f64 {
        self.requests.values().sum()
    }

    /// Duration below which the share `quantile` (0 to 1) of requests stayed, in milliseconds, interpolated within its bucket as
    /// Prometheus' `histogram_quantile` does. `None` without requests.
    pub fn duration_quantile(&self, quantile: f64) -> Option<f64> {
        let total = *self.duration_buckets.values().next_back()?;
        if total <= 0.0 {
            return None;
        }
        let rank = quantile * total;
        let (mut lower_bound, mut below) = (0.0, 0.0);
        for (bound, cumulative) in &self.duration_buckets {
            if *bound == u64::MAX {
                return Some(lower_bound);
            }
            let upper_bound = *bound as f64 / 1000.0;
            if *cumulative >= rank {
                let within = (cumulative - below).max(f64::MIN_POSITIVE);
                return Some(
                    lower_bound + (upper_bound - lower_bound) * ((rank - below) / within).clamp(0.0, 1.0),
                );
            }
            (lower_bound, below) = (upper_bound, *cumulative);
        }
        Some(lower_bound)
    }

    /// Mean duration in milliseconds; `None` without requests.
    pub fn duration_average(&self) -> Option<f64> {
        (self.duration_count > 0.0).then(|| self.duration_sum / self.duration_count)
    }
}

fn outcome(sample: &Sample) -> Outcome {
    Outcome {
        code: known(sample.label("response_code"), "0"),
        flags: known(sample.label("response_flags"), "-"),
        grpc: sample.label("grpc_response_status").to_owned(),
    }
}

/// Bucket bounds as whole microseconds, so that they can be keys.
fn bucket_bound(text: &str) -> Option<u64> {
    if text == "+Inf" {
        return Some(u64::MAX);
    }
    text.parse::<f64>().ok().map(|milliseconds| (milliseconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_interpolates_within_the_bucket() {
        let delta = EdgeDelta {
            duration_buckets: BTreeMap::from([
                (1_000, 0.0),
                (5_000, 50.0),
                (10_000, 100.0),
                (u64::MAX, 100.0),
            ]),
            ..EdgeDelta::default()
        };
        assert_eq!(delta.duration_quantile(0.5), Some(5.0));
        assert_eq!(delta.duration_quantile(0.75), Some(7.5));
        assert_eq!(EdgeDelta::default().duration_quantile(0.5), None);
    }
}
