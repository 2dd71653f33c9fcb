//! Asking for traces, under Zipkin's paths (`/api/v2/traces`, `/trace/{id}`, `/services`).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::TraceStore;

/// Traces answered where nothing is said, and at most.
const LIMIT: (usize, usize) = (50, 500);

/// What to look for.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wanted {
    limit: Option<usize>,
    service_name: Option<String>,
}

/// The page's own paths.
pub fn router(store: Arc<TraceStore>) -> Router {
    Router::new()
        .route("/kiali/api/traces/", get(list))
        .route("/kiali/api/traces/{id}", get(one))
        .with_state(store)
}

/// Zipkin's paths.
pub fn zipkin(store: Arc<TraceStore>) -> Router {
    Router::new()
        .route("/traces", get(list))
        .route("/trace/{id}", get(one))
        .route("/services", get(services))
        .with_state(store)
}

async fn list(State(store): State<Arc<TraceStore>>, Query(wanted): Query<Wanted>) -> Response {
    found(&store, &wanted)
}

async fn one(State(store): State<Arc<TraceStore>>, Path(id): Path<String>) -> Response {
    trace(&store, &id)
}

async fn services(State(store): State<Arc<TraceStore>>) -> Response {
    Json(store.services()).into_response()
}

/// The latest traces that are wanted.
pub(crate) fn found(store: &TraceStore, wanted: &Wanted) -> Response {
    let limit = wanted.limit.unwrap_or(LIMIT.0).min(LIMIT.1);
    let service = wanted.service_name.as_deref().filter(|name| !name.is_empty());
    Json(store.latest(limit, service)).into_response()
}

/// One trace.
pub(crate) fn trace(store: &TraceStore, id: &str) -> Response {
    match store.trace(id) {
        spans if spans.is_empty() => (StatusCode::NOT_FOUND, "no such trace\n").into_response(),
        spans => Json(spans).into_response(),
    }
}
