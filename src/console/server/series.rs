//! Sparklines: rates and latencies of one node or edge over the window, step by step.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Shared, api};
use crate::graph::build::build;
use crate::graph::elements::Edge;

/// Points of a sparkline.
const STEPS: u32 = 30;

/// One direction over time; all lists are of equal length, oldest first.
#[derive(Default, Serialize)]
struct Side {
    /// Requests per second.
    rate: Vec<f64>,
    /// Errors per second.
    errors: Vec<f64>,
    /// 95th percentile of duration in milliseconds.
    p95: Vec<f64>,
}

#[derive(Serialize)]
struct Series {
    inbound: Side,
    outbound: Side,
}

pub(super) async fn series(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let options = match api::options(&pairs) {
        Ok(options) => options,
        Err(response) => return *response,
    };
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (node, edge) = (value("node"), value("edge"));
    if node.is_none() && edge.is_none() {
        return api::problem(StatusCode::BAD_REQUEST, "name a node or an edge by its id");
    }
    let steps =
        shared.history.read().unwrap_or_else(|poisoned| poisoned.into_inner()).steps(options.duration, STEPS);
    let mut series = Series { inbound: Side::default(), outbound: Side::default() };
    for window in &steps {
        let graph = build(window, &options, 0);
        let edges = || graph.elements.edges.iter().map(|edge| &edge.data);
        series
            .inbound
            .push(edges().filter(|candidate| edge == Some(&candidate.id) || node == Some(&candidate.target)));
        series.outbound.push(edges().filter(|candidate| node == Some(&candidate.source)));
    }
    Json(series).into_response()
}

impl Side {
    fn push<'a>(&mut self, edges: impl Iterator<Item = &'a Edge>) {
        let (mut rate, mut errors, mut slowest) = (0.0, 0.0, 0.0_f64);
        for edge in edges.filter(|edge| edge.traffic.protocol != "tcp") {
            let number = |name: String| {
                edge.traffic.rates.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0.0)
            };
            let requests: f64 = number(edge.traffic.protocol.clone());
            rate += requests;
            errors += requests * number(format!("{}PercentErr", edge.traffic.protocol)) / 100.0;
            slowest = slowest.max(edge.response_times.get("p95").copied().unwrap_or(0.0));
        }
        self.rate.push(rate);
        self.errors.push(errors);
        self.p95.push(slowest);
    }
}
