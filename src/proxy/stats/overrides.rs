//! Changes of the mesh's standard metrics (`stats.PluginConfig`): metrics left out, labels set by expression or left out.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::config::proto::{self, Any};
use crate::config::{FieldError, Within, refuse_if};
use crate::filter::cel::{Cel, CelFacts};

/// The metrics that exist, without `istio_`; their places are what the code calls them by.
pub(crate) const METRICS: [&str; 8] = [
    "requests_total",
    "request_duration_milliseconds",
    "request_bytes",
    "response_bytes",
    "tcp_connections_opened_total",
    "tcp_connections_closed_total",
    "tcp_sent_bytes_total",
    "tcp_received_bytes_total",
];

/// Metrics that Istio has and this proxy does not count; changes of them change nothing.
const NOT_COUNTED: [&str; 2] = ["request_messages_total", "response_messages_total"];

/// `stats.PluginConfig`.
#[derive(Clone, PartialEq, prost::Message)]
struct PluginConfig {
    #[prost(bool, tag = "6")]
    disable_host_header_fallback: bool,
    #[prost(message, repeated, tag = "8")]
    metrics: Vec<MetricConfig>,
}

/// One of its metrics.
#[derive(Clone, PartialEq, prost::Message)]
struct MetricConfig {
    #[prost(btree_map = "string, string", tag = "1")]
    dimensions: BTreeMap<String, String>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    tags_to_remove: Vec<String>,
    #[prost(string, tag = "4")]
    r#match: String,
    #[prost(bool, tag = "5")]
    drop: bool,
}

/// The compiled settings of `istio.stats`.
#[derive(Debug, Clone)]
pub(crate) struct IstioStatsConfig {
    /// Whether the Host header may stand in for an unknown service.
    pub(crate) host_header_fallback: bool,
    changes: Option<Arc<Changes>>,
}

/// What differs from the standard, by place in [`METRICS`].
#[derive(Debug, Default)]
struct Changes {
    drop: [bool; METRICS.len()],
    remove: Vec<(usize, String)>,
    /// By expression; one that this proxy does not understand has no value.
    set: Vec<(usize, String, Option<Cel>)>,
}

/// The changes as they are for one request: part of the key of its series.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    changes: Arc<Changes>,
    /// Of `set`, in its order.
    values: Vec<String>,
}

impl PartialEq for Changed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.changes, &other.changes) && self.values == other.values
    }
}

impl Eq for Changed {}

impl Hash for Changed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.changes) as usize).hash(state);
        self.values.hash(state);
    }
}

impl IstioStatsConfig {
    pub(crate) fn compile(any: &Any) -> Result<Self, FieldError> {
        let from: PluginConfig = proto::decode(any)?;
        let mut changes = Changes::default();
        for (index, metric) in from.metrics.iter().enumerate() {
            changes.add(metric).within_item("typed_config.metrics", index)?;
        }
        let none = !changes.drop.contains(&true) && changes.remove.is_empty() && changes.set.is_empty();
        Ok(Self {
            host_header_fallback: !from.disable_host_header_fallback,
            changes: (!none).then(|| Arc::new(changes)),
        })
    }

    /// What differs for a request; `None` where nothing does.
    pub(crate) fn changed(&self, facts: &CelFacts<'_>) -> Option<Changed> {
        let changes = self.changes.as_ref()?;
        let value = |(_, _, expression): &(usize, String, Option<Cel>)| {
            expression.as_ref().and_then(|it| it.text(facts)).unwrap_or_else(|| "unknown".to_owned())
        };
        Some(Changed { changes: changes.clone(), values: changes.set.iter().map(value).collect() })
    }
}

impl Changes {
    fn add(&mut self, metric: &MetricConfig) -> Result<(), FieldError> {
        refuse_if(!metric.r#match.is_empty(), "match", "is not supported; all requests are counted alike")?;
        let meant: Vec<usize> = match metric.name.as_str() {
            "" => (0..METRICS.len()).collect(),
            name if NOT_COUNTED.contains(&name) => return Ok(()),
            name => {
                let found = METRICS.iter().position(|known| *known == name);
                let unknown = || {
                    FieldError::new("name", format!("{name:?} is not known; known: {}", METRICS.join(", ")))
                };
                vec![found.ok_or_else(unknown)?]
            }
        };
        for place in meant {
            self.drop[place] |= metric.drop;
            self.remove.extend(metric.tags_to_remove.iter().map(|tag| (place, tag.clone())));
            for (tag, expression) in &metric.dimensions {
                let compiled = Cel::compile(expression);
                if let Err(error) = &compiled {
                    tracing::warn!(tag, error = error.reason, "a metric's tag has no value");
                }
                self.set.push((place, tag.clone(), compiled.ok()));
            }
        }
        Ok(())
    }
}

impl Changed {
    /// Changes the labels of one metric. `false` = the metric is left out.
    pub(crate) fn apply(&self, metric: usize, labels: &mut Vec<(&str, String)>) -> bool {
        labels.retain(|(name, _)| {
            !self.changes.remove.iter().any(|(place, tag)| *place == metric && tag == name)
        });
        !self.changes.drop[metric]
    }

    /// Labels of one metric set by expression.
    pub(crate) fn set(&self, metric: usize) -> impl Iterator<Item = (&str, &str)> {
        let all = self.changes.set.iter().zip(&self.values);
        all.filter(move |((place, ..), _)| *place == metric)
            .map(|((_, tag, _), value)| (tag.as_str(), value.as_str()))
    }
}
