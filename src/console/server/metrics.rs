//! Metrics by service and by workload: success rate, volume, errors, percentiles of the duration.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Shared;
use super::api::options;
use crate::telemetry::{EdgeDelta, EdgeKey, Reporter};

/// One line of a table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    /// Requests a second.
    rate: f64,
    /// Share of requests without 5xx, in percent; absent without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<f64>,
    /// Requests a second with 4xx and with 5xx.
    rate4xx: f64,
    rate5xx: f64,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    /// Bytes a second over TCP.
    tcp_sent: f64,
    tcp_received: f64,
}

#[derive(Debug, Serialize)]
struct Metrics {
    services: Vec<Row>,
    workloads: Vec<Row>,
}

/// What each side says of one service or workload.
#[derive(Debug, Default)]
struct Sides {
    source: EdgeDelta,
    destination: EdgeDelta,
}

pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let duration = match options(&pairs) {
        Ok(options) => options.duration,
        Err(response) => return *response,
    };
    let window = shared.window(duration);
    let table = |key: &dyn Fn(&EdgeKey) -> (String, String)| {
        let mut groups: BTreeMap<(String, String), Sides> = BTreeMap::new();
        for (edge, reporter, delta) in &window.edges {
            let group = groups.entry(key(edge)).or_default();
            match reporter {
                Reporter::Source => group.source.merge(delta),
                Reporter::Destination => group.destination.merge(delta),
            }
        }
        let seconds = window.seconds.max(f64::MIN_POSITIVE);
        groups.into_iter().map(|(key, sides)| row(key, &sides, seconds)).collect()
    };
    let services = table(&|edge| (edge.service_namespace.clone(), edge.service_name.clone()));
    let workloads = table(&|edge| (edge.destination.namespace.clone(), edge.destination.workload.clone()));
    Json(Metrics { services, workloads }).into_response()
}

/// The server's word counts where it has one.
fn row((namespace, name): (String, String), sides: &Sides, seconds: f64) -> Row {
    let silent = sides.destination.total_requests() == 0.0 && sides.destination.tcp_sent == 0.0;
    let delta = if silent { &sides.source } else { &sides.destination };
    let total = delta.total_requests();
    let hundred = |first: char| -> f64 {
        let found = delta.requests.iter().filter(|(outcome, _)| outcome.code.starts_with(first));
        found.map(|(_, count)| count).sum()
    };
    // Without an answer there is no code; that is an error of the server's side, too.
    let unanswered: f64 =
        delta.requests.iter().filter(|(outcome, _)| outcome.code == "0").map(|(_, count)| count).sum();
    let failed = hundred('5') + unanswered;
    Row {
        namespace,
        name,
        rate: total / seconds,
        success: (total > 0.0).then(|| (total - failed) / total * 100.0),
        rate4xx: hundred('4') / seconds,
        rate5xx: failed / seconds,
        p50: delta.duration_quantile(0.5),
        p90: delta.duration_quantile(0.9),
        p99: delta.duration_quantile(0.99),
        tcp_sent: delta.tcp_sent / seconds,
        tcp_received: delta.tcp_received / seconds,
    }
}
