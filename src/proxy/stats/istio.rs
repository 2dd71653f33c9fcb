//! The mesh's standard metrics (`istio_requests_total` and its family).

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::filter::peer_metadata::Peer;

/// Upper bounds of the histograms: Envoy's defaults.
const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Labels that requests and connections share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TcpLabels {
    /// `true` = reported by the destination.
    pub(crate) destination: bool,
    pub(crate) source: Arc<Peer>,
    pub(crate) target: Arc<Peer>,
    pub(crate) source_principal: Arc<str>,
    pub(crate) target_principal: Arc<str>,
    /// Host, name, namespace.
    pub(crate) service: (Arc<str>, Arc<str>, Arc<str>),
    pub(crate) mutual_tls: bool,
    pub(crate) flags: crate::http::info::Flags,
}

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestLabels {
    pub(crate) common: TcpLabels,
    pub(crate) code: u16,
    pub(crate) grpc: bool,
    pub(crate) grpc_status: Option<u32>,
}

#[derive(Debug, Default, Clone)]
struct Histogram {
    counts: [u64; BUCKETS.len() + 1],
    sum: f64,
}

impl Histogram {
    fn add(&mut self, value: f64) {
        self.counts[BUCKETS.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.sum += other.sum;
    }
}

#[derive(Debug, Default, Clone)]
struct RequestSeries {
    requests: u64,
    duration: Histogram,
    received: Histogram,
    sent: Histogram,
}

#[derive(Debug, Default, Clone, Copy)]
struct TcpSeries {
    opened: u64,
    closed: u64,
    sent: u64,
    received: u64,
}

/// The metrics of one worker.
#[derive(Debug, Default, Clone)]
pub(crate) struct IstioShard {
    requests: HashMap<RequestLabels, RequestSeries, ahash::RandomState>,
    tcp: HashMap<TcpLabels, TcpSeries, ahash::RandomState>,
}

impl IstioShard {
    pub(crate) fn request(&mut self, labels: RequestLabels, millis: f64, received: u64, sent: u64) {
        let series = self.requests.entry(labels).or_default();
        series.requests += 1;
        series.duration.add(millis);
        series.received.add(received as f64);
        series.sent.add(sent as f64);
    }

    pub(crate) fn tcp_opened(&mut self, labels: &TcpLabels) {
        self.tcp.entry(labels.clone()).or_default().opened += 1;
    }

    pub(crate) fn tcp_bytes(&mut self, labels: &TcpLabels, sent: u64, received: u64) {
        let series = self.tcp.entry(labels.clone()).or_default();
        series.sent += sent;
        series.received += received;
    }

    pub(crate) fn tcp_closed(&mut self, labels: &TcpLabels) {
        self.tcp.entry(labels.clone()).or_default().closed += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (labels, series) in &other.requests {
            let mine = self.requests.entry(labels.clone()).or_default();
            mine.requests += series.requests;
            mine.duration.merge(&series.duration);
            mine.received.merge(&series.received);
            mine.sent.merge(&series.sent);
        }
        for (labels, series) in &other.tcp {
            let mine = self.tcp.entry(labels.clone()).or_default();
            mine.opened += series.opened;
            mine.closed += series.closed;
            mine.sent += series.sent;
            mine.received += series.received;
        }
    }

    /// Prometheus text.
    pub(crate) fn render(&self, out: &mut String) {
        let requests: Vec<_> = self.requests.iter().map(|(labels, series)| (labels.text(), series)).collect();
        write_counters(out, "istio_requests_total", requests.iter().map(|(l, s)| (l, s.requests)));
        write_histograms(
            out,
            "istio_request_duration_milliseconds",
            requests.iter().map(|(l, s)| (l, &s.duration)),
        );
        write_histograms(out, "istio_request_bytes", requests.iter().map(|(l, s)| (l, &s.received)));
        write_histograms(out, "istio_response_bytes", requests.iter().map(|(l, s)| (l, &s.sent)));
        let tcp: Vec<_> = self.tcp.iter().map(|(labels, series)| (labels.text("tcp"), series)).collect();
        write_counters(out, "istio_tcp_connections_opened_total", tcp.iter().map(|(l, s)| (l, s.opened)));
        write_counters(out, "istio_tcp_connections_closed_total", tcp.iter().map(|(l, s)| (l, s.closed)));
        write_counters(out, "istio_tcp_sent_bytes_total", tcp.iter().map(|(l, s)| (l, s.sent)));
        write_counters(out, "istio_tcp_received_bytes_total", tcp.iter().map(|(l, s)| (l, s.received)));
    }
}

fn write_counters<'s>(out: &mut String, name: &str, series: impl Iterator<Item = (&'s String, u64)>) {
    let mut series = series.peekable();
    if series.peek().is_some() {
        let _ = writeln!(out, "# TYPE {name} counter");
    }
    for (labels, value) in series {
        let _ = writeln!(out, "{name}{{{labels}}} {value}");
    }
}

fn write_histograms<'s>(
    out: &mut String,
    name: &str,
    series: impl Iterator<Item = (&'s String, &'s Histogram)>,
) {
    let mut series = series.peekable();
    if series.peek().is_some() {
        let _ = writeln!(out, "# TYPE {name} histogram");
    }
    for (labels, histogram) in series {
        let mut total = 0;
        for (bound, count) in BUCKETS.iter().zip(histogram.counts) {
            total += count;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {total}");
        }
        total += histogram.counts[BUCKETS.len()];
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {total}");
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum);
        let _ = writeln!(out, "{name}_count{{{labels}}} {total}");
    }
}

/// Escapes a label value.
pub(crate) fn escape(value: &str) -> std::borrow::Cow<'_, str> {
    if value.bytes().any(|b| matches!(b, b'"' | b'\\' | b'\n')) {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
    } else {
        value.into()
    }
}

impl TcpLabels {
    fn text(&self, protocol: &str) -> String {
        let (s, t) = (&self.source, &self.target);
        let security = match (self.destination, self.mutual_tls) {
            (false, _) => "unknown",
            (true, true) => "mutual_tls",
            (true, false) => "none",
        };
        let labels: [(&str, &str); 22] = [
            ("reporter", if self.destination { "destination" } else { "source" }),
            ("source_workload", &s.workload),
            ("source_canonical_service", &s.canonical_service),
            ("source_canonical_revision", &s.canonical_revision),
            ("source_workload_namespace", &s.namespace),
            ("source_principal", &self.source_principal),
            ("source_app", &s.app),
            ("source_version", &s.version),
            ("source_cluster", &s.cluster),
            ("destination_workload", &t.workload),
            ("destination_workload_namespace", &t.namespace),
            ("destination_principal", &self.target_principal),
            ("destination_app", &t.app),
            ("destination_version", &t.version),
            ("destination_service", &self.service.0),
            ("destination_canonical_service", &t.canonical_service),
            ("destination_canonical_revision", &t.canonical_revision),
            ("destination_service_name", &self.service.1),
            ("destination_service_namespace", &self.service.2),
            ("destination_cluster", &t.cluster),
            ("request_protocol", protocol),
            ("connection_security_policy", security),
        ];
        let mut text = String::with_capacity(768);
        for (name, value) in labels {
            let _ = write!(text, "{name}=\"{}\",", escape(value));
        }
        let _ = write!(text, "response_flags=\"{}\"", self.flags.short());
        text
    }
}

impl RequestLabels {
    fn text(&self) -> String {
        let mut text = self.common.text(if self.grpc { "grpc" } else { "http" });
        let status = self.grpc_status.filter(|_| self.grpc).map(|code| code.to_string()).unwrap_or_default();
        let _ = write!(text, ",response_code=\"{}\",grpc_response_status=\"{status}\"", self.code);
        text
    }
}
