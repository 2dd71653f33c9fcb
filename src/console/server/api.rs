//! The REST handlers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::json;

use super::{Shared, metrics, namespaces as changes, series, traces};
use crate::graph::build::build;
use crate::graph::{Graph, GraphOptions, decorate};

type Pairs = Query<Vec<(String, String)>>;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/status", get(status))
        .route("/auth/info", get(|| async { Json(json!({ "strategy": "anonymous" })) }))
        .route("/namespaces", get(namespaces))
        .route("/namespaces/graph", get(graph))
        .route("/namespaces/{name}/injection", put(changes::set_injection))
        .route("/series", get(series::series))
        .route("/metrics", get(metrics::metrics))
        .route("/traces/", get(traces::list))
        .route("/traces/{id}", get(traces::one))
}

/// Answers what does not exist.
pub(super) async fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "no such path; the page is at /kiali/, the graph at /kiali/api/namespaces/graph",
    )
}

/// An error as Kiali words it: `{"error": …}`.
pub(super) fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// The question in a query string.
pub(super) fn options(pairs: &[(String, String)]) -> Result<GraphOptions, Box<Response>> {
    GraphOptions::from_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(|error| Box::new(problem(StatusCode::BAD_REQUEST, &error.to_string())))
}

/// The graph that answers `options` now, decorated.
pub(super) fn answer(shared: &Shared, options: &GraphOptions) -> Graph {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut graph = build(&shared.window(options.duration), options, now.as_secs());
    decorate::decorate(&mut graph, shared.mesh.as_ref());
    graph
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "source": shared.source, "status": { "Kiali version": version, "Mesh name": "Sagene" } }))
        .into_response()
}

async fn namespaces(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.mesh.namespaces()).into_response()
}

async fn graph(State(shared): State<Arc<Shared>>, Query(pairs): Pairs) -> Response {
    match options(&pairs) {
        Ok(options) => Json(answer(&shared, &options)).into_response(),
        Err(response) => *response,
    }
}
