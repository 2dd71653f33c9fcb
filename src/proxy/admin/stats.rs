//! `/stats`: every statistic, picked and formatted as asked.

use std::fmt::Write;

use regex::Regex;
use serde_json::{Value, json};

use super::AdminServer;
use crate::agent::health::ServerState;
use crate::agent::http_server::Request;
use crate::stats::{Sample, SampleValue};
use sagene_base::memory::resident;

/// Why the question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelectionError {
    /// `filter` is no regular expression.
    #[error("Invalid re2 regex: {0}")]
    Filter(String),
    /// `type` is none.
    #[error("invalid &type= param {0:?}: use All, Counters, Gauges or Histograms")]
    Type(String),
    /// `format` is none.
    #[error("usage: /stats?format=(json|prometheus|text), not {0:?}")]
    Format(String),
}

/// Which statistics to show.
pub(super) struct Selection {
    filter: Option<Regex>,
    used_only: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Counters,
    Gauges,
    Histograms,
}

impl Selection {
    /// Reads `filter`, `usedonly` and `type`.
    pub(super) fn parse(request: &Request) -> Result<Self, SelectionError> {
        match request.parameter("format") {
            None | Some("json" | "text" | "") => {}
            Some(other) => return Err(SelectionError::Format(other.to_owned())),
        }
        Ok(Self {
            filter: request
                .parameter("filter")
                .map(|text| Regex::new(text).map_err(|error| SelectionError::Filter(error.to_string())))
                .transpose()?,
            used_only: request.query.iter().any(|(name, _)| name == "usedonly"),
            kind: match request.parameter("type").unwrap_or("All") {
                "All" => Kind::All,
                "Counters" => Kind::Counters,
                "Gauges" => Kind::Gauges,
                "Histograms" => Kind::Histograms,
                other => return Err(SelectionError::Type(other.to_owned())),
            },
        })
    }

    /// Keeps what was asked for.
    pub(super) fn pick(&self, mut samples: Vec<Sample>) -> Vec<Sample> {
        samples.retain(|sample| self.has_kind(sample) && self.is_used(sample) && self.has_name(sample));
        samples
    }

    fn has_name(&self, sample: &Sample) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_match(&sample.name))
    }

    fn has_kind(&self, sample: &Sample) -> bool {
        match (self.kind, &sample.value) {
            (Kind::All, _) => true,
            (kind, SampleValue::Counter(_)) => kind == Kind::Counters,
            (kind, SampleValue::Gauge(_)) => kind == Kind::Gauges,
            (kind, SampleValue::Histogram { .. }) => kind == Kind::Histograms,
        }
    }

    fn is_used(&self, sample: &Sample) -> bool {
        !self.used_only
            || match &sample.value {
                SampleValue::Counter(value) | SampleValue::Gauge(value) => *value > 0,
                SampleValue::Histogram { count, .. } => *count > 0,
            }
    }
}

/// The data path's statistics and the process's own, sorted by name.
pub(super) fn samples(admin: &AdminServer) -> Vec<Sample> {
    let mut samples = admin.proxy.stats().samples();
    let gauge = |name: &str, value: u64| Sample { name: name.to_owned(), value: SampleValue::Gauge(value) };
    let state = match admin.health.state() {
        ServerState::Live => 0,
        ServerState::Draining => 1,
        ServerState::Initializing => 3,
    };
    let own = [
        gauge("server.concurrency", admin.concurrency as u64),
        gauge("server.live", u64::from(state == 0)),
        gauge("server.memory_physical_size", resident()),
        gauge("server.state", state),
        gauge("server.total_connections", admin.proxy.active_connections() as u64),
        gauge("server.uptime", admin.metrics.uptime().as_secs()),
    ];
    for sample in own {
        if !samples.iter().any(|known| known.name == sample.name) {
            samples.push(sample);
        }
    }
    samples.sort_by(|left, right| left.name.cmp(&right.name));
    samples
}

/// Envoy's lines `name: value`; histograms come last.
pub(super) fn as_text(samples: &[Sample]) -> String {
    let mut text = String::new();
    let mut histograms = String::new();
    for sample in samples {
        // Writing to a string cannot fail.
        let _ = match &sample.value {
            SampleValue::Counter(value) | SampleValue::Gauge(value) => {
                writeln!(text, "{}: {value}", sample.name)
            }
            SampleValue::Histogram { buckets, sum, count } => {
                writeln!(histograms, "{}: {}", sample.name, summary(buckets, *sum, *count))
            }
        };
    }
    text + &histograms
}

/// `B0.5(0) B1(3) … sum count`: cumulative buckets, as Envoy's `histogram_buckets=cumulative`.
fn summary(buckets: &[(f64, u64)], sum: f64, count: u64) -> String {
    if count == 0 {
        return "No recorded values".to_owned();
    }
    let mut text = String::new();
    for (bound, cumulative) in buckets {
        let _ = write!(text, "B{bound}({cumulative},{cumulative}) ");
    }
    let _ = write!(text, "sum({sum}) count({count})");
    text
}

/// `{"stats": [{"name", "value"}, …]}`
pub(super) fn as_json(samples: &[Sample]) -> Value {
    let mut stats = Vec::new();
    let mut histograms = Vec::new();
    for sample in samples {
        match &sample.value {
            SampleValue::Counter(value) | SampleValue::Gauge(value) => {
                stats.push(json!({"name": sample.name, "value": value}));
            }
            SampleValue::Histogram { buckets, sum, count } => {
                let buckets: Vec<Value> = buckets
                    .iter()
                    .map(|(bound, cumulative)| json!({"upper_bound": bound, "cumulative": cumulative}))
                    .collect();
                histograms.push(json!({"name": sample.name, "buckets": buckets, "sum": sum, "count": count}));
            }
        }
    }
    if !histograms.is_empty() {
        stats.push(json!({ "histograms": histograms }));
    }
    json!({ "stats": stats })
}
