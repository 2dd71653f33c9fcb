//! The HTTP ports: 15014 (metrics, version, debug views with authentication) and 8080 (readiness, debug views for this host).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Extension, Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use sagene_base::readiness::Readiness;
use sagene_xds::server::RemoteAddress;
use serde_json::{Value, json};

use super::{Question, ViewError, Viewer, state, view};
use crate::{
    discovery::Discovery,
    metrics::{escape, unix_seconds},
};

/// What the HTTP ports show.
pub(crate) struct Monitor {
    pub(crate) discovery: Arc<Discovery>,
    pub(crate) readiness: Readiness,
}

/// The router of 15014.
pub(crate) fn monitoring(monitor: Arc<Monitor>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route("/ready", get(ready))
        .merge(debug_routes())
        .with_state(monitor)
}

/// The router of 8080.
pub(crate) fn local(monitor: Arc<Monitor>) -> Router {
    Router::new().route("/ready", get(ready)).merge(debug_routes()).with_state(monitor)
}

fn debug_routes() -> Router<Arc<Monitor>> {
    Router::new()
        .route("/debug", get(index))
        .route("/debug/", get(index))
        .route("/debug/{*view}", get(debug_view))
}

async fn ready(State(monitor): State<Arc<Monitor>>) -> Response {
    if monitor.readiness.is_ready() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let unmet: Vec<String> =
        monitor.readiness.unmet().iter().map(|(name, state)| format!("{name}: {state:?}")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", unmet.join(", "))).into_response()
}

async fn version(State(monitor): State<Arc<Monitor>>) -> Response {
    let version = &monitor.discovery.options.version;
    format!("{version}-sagene-Clean\n").into_response()
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> Response {
    let text = monitor.discovery.metrics.render(&monitor.gauges());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

impl Monitor {
    fn gauges(&self) -> Vec<(&'static str, String, f64)> {
        let discovery = &self.discovery;
        let snapshot = discovery.snapshot();
        let authority = &discovery.authorities.current().authority;
        let (root, chain) = (unix_seconds(authority.root_not_after()), unix_seconds(authority.not_after()));
        let now = unix_seconds(std::time::SystemTime::now());
        let version = escape(&discovery.options.version);
        vec![
            ("citadel_server_cert_chain_expiry_seconds", String::new(), chain - now),
            ("citadel_server_cert_chain_expiry_timestamp", String::new(), chain),
            ("citadel_server_root_cert_expiry_seconds", String::new(), root - now),
            ("citadel_server_root_cert_expiry_timestamp", String::new(), root),
            ("istiod_managed_clusters", "cluster_type=\"local\"".to_owned(), 1.0),
            ("pilot_services", String::new(), snapshot.services.len() as f64),
            ("pilot_virt_services", String::new(), snapshot.virtual_services.len() as f64),
            (
                "pilot_total_rejected_configs",
                "type=\"object\"".to_owned(),
                discovery.store.rejected().len() as f64,
            ),
            ("pilot_proxy_queue_time_longest_seconds", String::new(), discovery.longest_wait().as_secs_f64()),
            ("pilot_xds", format!("version=\"{version}\""), discovery.connections.len() as f64),
        ]
    }

    async fn viewer(
        &self,
        remote: Option<RemoteAddress>,
        headers: &HeaderMap,
    ) -> Result<Viewer, Box<Response>> {
        let local = remote.is_some_and(|remote| remote.0.ip().is_loopback());
        if local || !self.discovery.options.debug_endpoint_auth {
            return Ok(Viewer::Local);
        }
        match self.discovery.authenticator.caller_over_http(headers).await {
            Ok(identity) => Ok(Viewer::Identity(identity)),
            Err(error) => {
                let message = sagene_base::task::error_chain(&error);
                Err(Box::new((StatusCode::UNAUTHORIZED, format!("{message}\n")).into_response()))
            }
        }
    }
}

async fn debug_view(
    State(monitor): State<Arc<Monitor>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    remote: Option<Extension<RemoteAddress>>,
    headers: HeaderMap,
) -> Response {
    let viewer = match monitor.viewer(remote.map(|Extension(remote)| remote), &headers).await {
        Ok(viewer) => viewer,
        Err(refusal) => return *refusal,
    };
    let question = Question::parse(&format!("{name}?{}", query.unwrap_or_default()));
    match view(&monitor.discovery, &viewer, &question) {
        Ok(answer) if question.parameter("pretty").is_some() => {
            let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Ok(answer) => Json(answer).into_response(),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &ViewError) -> Response {
    let status = match error {
        ViewError::Unknown(_) | ViewError::UnknownProxy(_) => StatusCode::NOT_FOUND,
        ViewError::Forbidden { .. } => StatusCode::FORBIDDEN,
        ViewError::NoProxy(_) => StatusCode::BAD_REQUEST,
    };
    let body: Value = json!({"error": error.to_string()});
    (status, Json(body)).into_response()
}

async fn index(
    State(monitor): State<Arc<Monitor>>,
    remote: Option<Extension<RemoteAddress>>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = monitor.viewer(remote.map(|Extension(remote)| remote), &headers).await {
        return *refusal;
    }
    let mut page = String::from("<!doctype html><title>Debug views</title><h1>Debug views</h1><ul>");
    for name in state::VIEWS {
        page.push_str(&format!("<li><a href=\"/debug/{name}\">{name}</a></li>"));
    }
    page.push_str("</ul>");
    Html(page).into_response()
}
