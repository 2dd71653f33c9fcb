//! The one thing the console changes: whether pods of a namespace get a sidecar.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::api::problem;

/// What is wished for.
#[derive(Debug, Deserialize)]
pub(super) struct Injection {
    enabled: bool,
}

/// `PUT /namespaces/{name}/injection`: `{"enabled": true}`.
pub(super) async fn set_injection(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<Injection>,
) -> Response {
    // Pages of other origins cannot set this header without asking first.
    if !headers.contains_key("x-sagene-console") {
        return problem(StatusCode::FORBIDDEN, "changes need the header x-sagene-console");
    }
    if !shared.mesh.namespaces().iter().any(|namespace| namespace.name == name) {
        return problem(StatusCode::NOT_FOUND, "no such namespace");
    }
    match shared.mesh.set_injection(&name, wanted.enabled).await {
        Ok(()) => Json(json!({ "name": name, "enabled": wanted.enabled })).into_response(),
        Err(reason) => problem(StatusCode::BAD_GATEWAY, &reason),
    }
}
