//! The mesh's standard metrics (`istio_requests_total` and its family).

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt::Write;
use std::sync::Arc;

use super::overrides::{Changed, METRICS};
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

/// Label sets that a worker finds by address.
const RECENT: usize = 16;
/// Series of requests of one worker.
const MOST_SERIES: usize = 10_000;

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
    /// Changes of the standard labels.
    pub(crate) changed: Option<Changed>,
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
    requests: HashMap<RequestLabels, usize, ahash::RandomState>,
    series: Vec<RequestSeries>,
    /// The label sets that requests had last, with their series: found by address, without reading them.
    recent: Vec<(RequestLabels, usize)>,
    /// Which of the recent ones is replaced next.
    oldest: usize,
    tcp: HashMap<TcpLabels, TcpSeries, ahash::RandomState>,
}

impl IstioShard {
    pub(crate) fn request(&mut self, labels: RequestLabels, millis: f64, received: u64, sent: u64) {
        let index = match self.recent.iter().find(|(known, _)| known.is_same(&labels)) {
            Some((_, index)) => *index,
            None => self.remember(labels),
        };
        let Some(series) = self.series.get_mut(index) else { return };
        series.requests += 1;
        series.duration.add(millis);
        series.received.add(received as f64);
        series.sent.add(sent as f64);
    }

    /// The series of labels that were not seen lately.
    fn remember(&mut self, labels: RequestLabels) -> usize {
        let index = self.index(&labels);
        if self.recent.len() < RECENT {
            self.recent.push((labels, index));
        } else {
            self.oldest = (self.oldest + 1) % RECENT;
            self.recent[self.oldest] = (labels, index);
        }
        index
    }

    /// The series of labels. Peers say themselves who they are: past a limit they all count as unknown.
    fn index(&mut self, labels: &RequestLabels) -> usize {
        if let Some(index) = self.requests.get(labels) {
            return *index;
        }
        let mut labels = labels.clone();
        if self.series.len() >= MOST_SERIES {
            labels.common.source = Arc::default();
            labels.common.target = Arc::default();
            if let Some(index) = self.requests.get(&labels) {
                return *index;
            }
        }
        self.series.push(RequestSeries::default());
        self.requests.insert(labels, self.series.len() - 1);
        self.series.len() - 1
    }

    fn requests(&self) -> impl Iterator<Item = (&RequestLabels, &RequestSeries)> {
        self.requests.iter().filter_map(|(labels, index)| Some((labels, self.series.get(*index)?)))
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
        for (labels, series) in other.requests() {
            let index = self.index(labels);
            let Some(mine) = self.series.get_mut(index) else { continue };
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
        let requests = |metric, pick: fn(&RequestSeries) -> u64| {
            rows(self.requests(), metric, RequestLabels::text, pick, |a, b| *a += b)
        };
        write_counters(out, 0, requests(0, |s| s.requests));
        for (metric, pick) in [
            (1, (|s| &s.duration) as fn(&RequestSeries) -> &Histogram),
            (2, |s| &s.received),
            (3, |s| &s.sent),
        ] {
            let value = |s: &RequestSeries| pick(s).clone();
            let made = rows(self.requests(), metric, RequestLabels::text, value, |a, b| a.merge(&b));
            write_histograms(out, metric, made);
        }
        for (metric, pick) in [
            (4, (|s| s.opened) as fn(&TcpSeries) -> u64),
            (5, |s| s.closed),
            (6, |s| s.sent),
            (7, |s| s.received),
        ] {
            let text = |labels: &TcpLabels, metric| labels.text("tcp", metric, &[]);
            write_counters(out, metric, rows(self.tcp.iter(), metric, text, pick, |a, b| *a += b));
        }
    }
}

/// The values of one metric by their labels; series that only differ in labels left out are added up.
fn rows<'s, L: 's, S: 's, V>(
    series: impl Iterator<Item = (&'s L, &'s S)>,
    metric: usize,
    text: impl Fn(&L, usize) -> Option<String>,
    value: impl Fn(&S) -> V,
    add: impl Fn(&mut V, V),
) -> BTreeMap<String, V> {
    let mut made: BTreeMap<String, V> = BTreeMap::new();
    for (labels, series) in series {
        let Some(labels) = text(labels, metric) else { continue };
        match made.entry(labels) {
            Entry::Occupied(mut known) => add(known.get_mut(), value(series)),
            Entry::Vacant(free) => drop(free.insert(value(series))),
        }
    }
    made
}

fn write_counters(out: &mut String, metric: usize, series: BTreeMap<String, u64>) {
    let name = METRICS[metric];
    if !series.is_empty() {
        let _ = writeln!(out, "# TYPE istio_{name} counter");
    }
    for (labels, value) in series {
        let _ = writeln!(out, "istio_{name}{{{labels}}} {value}");
    }
}

fn write_histograms(out: &mut String, metric: usize, series: BTreeMap<String, Histogram>) {
    let name = METRICS[metric];
    if !series.is_empty() {
        let _ = writeln!(out, "# TYPE istio_{name} histogram");
    }
    for (labels, histogram) in series {
        let mut total = 0;
        for (bound, count) in BUCKETS.iter().zip(histogram.counts) {
            total += count;
            let _ = writeln!(out, "istio_{name}_bucket{{{labels},le=\"{bound}\"}} {total}");
        }
        total += histogram.counts[BUCKETS.len()];
        let _ = writeln!(out, "istio_{name}_bucket{{{labels},le=\"+Inf\"}} {total}");
        let _ = writeln!(out, "istio_{name}_sum{{{labels}}} {}", histogram.sum);
        let _ = writeln!(out, "istio_{name}_count{{{labels}}} {total}");
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
    /// The labels of one metric; `None` where it is left out.
    fn text(&self, protocol: &str, metric: usize, more: &[(&str, String)]) -> Option<String> {
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
        let flags = self.flags.short();
        let labels = labels.into_iter().chain([("response_flags", &*flags)]);
        let labels = labels.chain(more.iter().map(|(name, value)| (*name, value.as_str())));
        let mut text = String::with_capacity(768);
        let mut write = |name: &str, value: &str| {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{name}=\"{}\"", escape(value));
        };
        let Some(changed) = &self.changed else {
            labels.for_each(|(name, value)| write(name, value));
            return Some(text);
        };
        let mut labels: Vec<(&str, String)> = labels.map(|(name, value)| (name, value.to_owned())).collect();
        for (tag, value) in changed.set(metric) {
            labels.retain(|(name, _)| *name != tag);
            labels.push((tag, value.to_owned()));
        }
        if !changed.apply(metric, &mut labels) {
            return None;
        }
        labels.iter().for_each(|(name, value)| write(name, value));
        Some(text)
    }
}

impl TcpLabels {
    /// Whether these are the same objects, not only equal ones. Quick, and `false` now and then for equal ones.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && Arc::ptr_eq(&self.target, &other.target)
            && Arc::ptr_eq(&self.source_principal, &other.source_principal)
            && Arc::ptr_eq(&self.target_principal, &other.target_principal)
            && Arc::ptr_eq(&self.service.0, &other.service.0)
            && Arc::ptr_eq(&self.service.1, &other.service.1)
            && (self.destination, self.mutual_tls, self.flags)
                == (other.destination, other.mutual_tls, other.flags)
            && self.changed == other.changed
    }
}

impl RequestLabels {
    fn is_same(&self, other: &Self) -> bool {
        (self.code, self.grpc, self.grpc_status) == (other.code, other.grpc, other.grpc_status)
            && self.common.is_same(&other.common)
    }

    fn text(&self, metric: usize) -> Option<String> {
        let status = self.grpc_status.filter(|_| self.grpc).map(|code| code.to_string()).unwrap_or_default();
        let more = [("response_code", self.code.to_string()), ("grpc_response_status", status)];
        self.common.text(if self.grpc { "grpc" } else { "http" }, metric, &more)
    }
}
