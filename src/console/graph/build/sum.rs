//! Sums over edges and nodes, and how they read as Kiali's rates.

use std::collections::{BTreeMap, BTreeSet};

use super::super::elements::{Edge, Node, Response, Traffic, percent_text, rate_text};
use crate::health::{Health, Outcomes};
use crate::telemetry::{EdgeDelta, EdgeKey};

/// Everything that happened on one drawn edge.
#[derive(Default)]
pub(super) struct EdgeSum {
    delta: EdgeDelta,
    hosts: BTreeMap<(String, String), f64>,
    source_principals: BTreeSet<String>,
    destination_principals: BTreeSet<String>,
}

impl EdgeSum {
    pub(super) fn add(&mut self, key: &EdgeKey, delta: &EdgeDelta) {
        self.delta.merge(delta);
        for (outcome, count) in &delta.requests {
            *self.hosts.entry((outcome.code.clone(), key.service_host.clone())).or_default() += count;
        }
        let known = |principal: &String| (principal != "unknown").then(|| principal.clone());
        self.source_principals.extend(known(&key.source_principal));
        self.destination_principals.extend(known(&key.destination_principal));
    }

    /// Requests, or bytes where there are none: what shares are counted in.
    pub(super) fn amount(&self) -> f64 {
        let requests = self.delta.total_requests();
        if requests > 0.0 { requests } else { self.delta.tcp_sent + self.delta.tcp_received }
    }

    /// Fills in what the edge shows. `sent` is what its source sent in all by this protocol.
    pub(super) fn describe(&self, edge: &mut Edge, protocol: &str, seconds: f64, sent: f64) {
        let outcomes = Outcomes::of(&self.delta);
        edge.health = Some(self.health(&outcomes));
        edge.traffic = self.traffic(protocol, &outcomes, seconds, sent);
        edge.mutual_tls = self.mutual_tls();
        edge.source_principal = only(&self.source_principals);
        edge.dest_principal = only(&self.destination_principals);
        edge.response_time =
            self.delta.duration_quantile(0.95).map(|milliseconds| format!("{milliseconds:.0}"));
        for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            edge.response_times
                .extend(self.delta.duration_quantile(quantile).map(|value| (name, round(value))));
        }
        edge.response_times.extend(self.delta.duration_average().map(|value| ("avg", round(value))));
        if seconds > 0.0 && self.delta.response_bytes > 0.0 {
            edge.throughput = Some(format!("{:.0}", self.delta.response_bytes / seconds));
        }
    }

    fn health(&self, outcomes: &Outcomes) -> Health {
        let bytes = self.delta.tcp_sent + self.delta.tcp_received;
        if outcomes.total == 0.0 && bytes > 0.0 { Health::Healthy } else { outcomes.health() }
    }

    fn mutual_tls(&self) -> Option<String> {
        let (secured, all) = if self.delta.total_requests() > 0.0 {
            (self.delta.mutual_tls_requests, self.delta.total_requests())
        } else {
            (self.delta.mutual_tls_opened, self.delta.tcp_opened)
        };
        (secured > 0.0 && all > 0.0).then(|| format!("{:.0}", 100.0 * secured / all))
    }

    fn traffic(&self, protocol: &str, outcomes: &Outcomes, seconds: f64, sent: f64) -> Traffic {
        let mut rates = BTreeMap::new();
        if protocol == "tcp" {
            rates
                .insert("tcp".to_owned(), per_second(self.delta.tcp_sent + self.delta.tcp_received, seconds));
        } else if !protocol.is_empty() {
            insert_rates(&mut rates, protocol, "", outcomes, seconds);
            rates.insert(format!("{protocol}PercentErr"), percent(outcomes.errors(), outcomes.total));
            rates.insert(format!("{protocol}PercentReq"), percent(self.amount(), sent));
        }
        Traffic { protocol: protocol.to_owned(), rates, responses: self.responses() }
    }

    fn responses(&self) -> BTreeMap<String, Response> {
        let total = self.delta.total_requests();
        let mut responses: BTreeMap<String, Response> = BTreeMap::new();
        let mut flags: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (outcome, count) in &self.delta.requests {
            *flags.entry((&outcome.code, &outcome.flags)).or_default() += count;
        }
        for ((code, flag), count) in flags {
            responses
                .entry(code.to_owned())
                .or_default()
                .flags
                .insert(flag.to_owned(), percent(count, total));
        }
        for ((code, host), count) in &self.hosts {
            responses.entry(code.clone()).or_default().hosts.insert(host.clone(), percent(*count, total));
        }
        responses
    }
}

/// What a node received and sent, by protocol.
#[derive(Default)]
pub(super) struct NodeSum {
    received: BTreeMap<String, (Outcomes, f64)>,
    sent: BTreeMap<String, (Outcomes, f64)>,
}

impl NodeSum {
    pub(super) fn receives(&mut self, protocol: &str, edge: &EdgeSum) {
        Self::add(&mut self.received, protocol, edge);
    }

    pub(super) fn sends(&mut self, protocol: &str, edge: &EdgeSum) {
        Self::add(&mut self.sent, protocol, edge);
    }

    fn add(side: &mut BTreeMap<String, (Outcomes, f64)>, protocol: &str, edge: &EdgeSum) {
        let (outcomes, bytes) = side.entry(protocol.to_owned()).or_default();
        outcomes.add(&Outcomes::of(&edge.delta));
        *bytes += edge.delta.tcp_sent + edge.delta.tcp_received;
    }

    pub(super) fn describe(&self, node: &mut Node, seconds: f64) {
        node.is_root = self.received.is_empty();
        let judged = if node.is_root { &self.sent } else { &self.received };
        let mut outcomes = Outcomes::default();
        let mut bytes = 0.0;
        for (side, tcp) in judged.values() {
            outcomes.add(side);
            bytes += tcp;
        }
        let health = if outcomes.total == 0.0 && bytes > 0.0 { Health::Healthy } else { outcomes.health() };
        node.is_idle = health == Health::Idle;
        node.health = Some(health);
        let protocols: BTreeSet<&String> = self.received.keys().chain(self.sent.keys()).collect();
        for protocol in protocols.into_iter().filter(|protocol| !protocol.is_empty()) {
            let mut rates = BTreeMap::new();
            for (direction, side) in [("In", &self.received), ("Out", &self.sent)] {
                let Some((outcomes, bytes)) = side.get(protocol) else {
                    continue;
                };
                if protocol == "tcp" {
                    rates.insert(format!("tcp{direction}"), per_second(*bytes, seconds));
                } else {
                    insert_rates(&mut rates, protocol, direction, outcomes, seconds);
                }
            }
            node.traffic.push(Traffic { protocol: protocol.clone(), rates, responses: BTreeMap::new() });
        }
    }
}

/// `http`, `http3xx`, … or `httpIn`, `httpIn3xx`, …; gRPC knows errors only as one.
fn insert_rates(
    rates: &mut BTreeMap<String, String>,
    protocol: &str,
    direction: &str,
    outcomes: &Outcomes,
    seconds: f64,
) {
    let prefix = format!("{protocol}{direction}");
    rates.insert(prefix.clone(), per_second(outcomes.total, seconds));
    let parts: &[(&str, f64)] = match protocol {
        "grpc" => &[("Err", outcomes.grpc_errors), ("NoResponse", outcomes.no_response)],
        _ => &[
            ("3xx", outcomes.redirects),
            ("4xx", outcomes.client_errors),
            ("5xx", outcomes.server_errors),
            ("NoResponse", outcomes.no_response),
        ],
    };
    for (suffix, count) in parts.iter().filter(|(_, count)| *count > 0.0) {
        rates.insert(format!("{prefix}{suffix}"), per_second(*count, seconds));
    }
}

fn per_second(count: f64, seconds: f64) -> String {
    rate_text(if seconds > 0.0 { count / seconds } else { 0.0 })
}

fn percent(part: f64, whole: f64) -> String {
    percent_text(if whole > 0.0 { 100.0 * part / whole } else { 0.0 })
}

fn only(principals: &BTreeSet<String>) -> Option<String> {
    (principals.len() == 1).then(|| principals.first().cloned()).flatten()
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
