//! Changes of the standard metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::telemetry::{IstioMetric, MetricsOverrides, TagOperation, Telemetry};

use super::super::Settings;
use super::super::extension::{MetricConfig, StatsPlugin};
use super::{Side, names, provider};

/// Names of the metrics without `istio_`.
const METRICS: [(IstioMetric, &str); 10] = [
    (IstioMetric::RequestCount, "requests_total"),
    (IstioMetric::RequestDuration, "request_duration_milliseconds"),
    (IstioMetric::RequestSize, "request_bytes"),
    (IstioMetric::ResponseSize, "response_bytes"),
    (IstioMetric::TcpOpenedConnections, "tcp_connections_opened_total"),
    (IstioMetric::TcpClosedConnections, "tcp_connections_closed_total"),
    (IstioMetric::TcpSentBytes, "tcp_sent_bytes_total"),
    (IstioMetric::TcpReceivedBytes, "tcp_received_bytes_total"),
    (IstioMetric::GrpcRequestMessages, "request_messages_total"),
    (IstioMetric::GrpcResponseMessages, "response_messages_total"),
];

/// The settings of the filter; `None` where Prometheus is not among the providers.
pub(super) fn plugin(
    levels: &[Arc<Object<Telemetry>>],
    settings: &Settings,
    side: Side,
) -> Option<StatsPlugin> {
    let mut providers: Vec<String> = Vec::new();
    let mut metrics: BTreeMap<String, MetricConfig> = BTreeMap::new();
    let mut interval = None;
    for entry in levels.iter().flat_map(|level| &level.spec.metrics) {
        let own = names(&entry.providers);
        if !own.is_empty() {
            providers = own;
        }
        interval = entry.reporting_interval.or(interval);
        for change in &entry.overrides {
            apply(change, side, &mut metrics);
        }
    }
    let prometheus = |name: &String| {
        name == "prometheus" || provider(settings, name).is_some_and(|found| found.prometheus.is_some())
    };
    if !providers.is_empty() && !providers.iter().any(prometheus) {
        return None;
    }
    Some(StatsPlugin {
        disable_host_header_fallback: false,
        tcp_reporting_duration: interval.map(sagene_api::Duration::to_proto),
        metrics: metrics.into_values().collect(),
    })
}

fn apply(change: &MetricsOverrides, side: Side, metrics: &mut BTreeMap<String, MetricConfig>) {
    let wanted = change.r#match.as_ref();
    if !side.is_meant(wanted.map(|wanted| wanted.mode).unwrap_or_default()) {
        return;
    }
    let custom = wanted.and_then(|wanted| wanted.custom_metric.clone());
    let metric = wanted.and_then(|wanted| wanted.metric).unwrap_or(IstioMetric::AllMetrics);
    let meant: Vec<String> = match custom {
        Some(name) => vec![name],
        None => METRICS
            .iter()
            .filter(|(known, _)| metric == IstioMetric::AllMetrics || *known == metric)
            .map(|(_, name)| (*name).to_owned())
            .collect(),
    };
    for name in meant {
        let config =
            metrics.entry(name.clone()).or_insert_with(|| MetricConfig { name, ..MetricConfig::default() });
        if let Some(disabled) = change.disabled {
            config.drop = disabled;
        }
        for (tag, how) in &change.tag_overrides {
            config.tags_to_remove.retain(|known| known != tag);
            config.dimensions.remove(tag);
            match how.operation {
                TagOperation::Upsert => drop(config.dimensions.insert(tag.clone(), how.value.clone())),
                TagOperation::Remove => config.tags_to_remove.push(tag.clone()),
            }
        }
    }
}
