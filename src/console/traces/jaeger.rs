//! Asking for traces as Jaeger is asked: `/api/services`, `/api/services/{name}/operations`, `/api/traces`, `/api/traces/{id}`.
//!
//! Source: the JSON that Jaeger's page asks its query service for; scripts of tutorials ask for the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use sagene_api::trace::zipkin::Span;
use serde_json::{Value, json};

use super::TraceStore;
use super::store::service_of;

/// Traces answered where nothing is said, and at most.
const LIMIT: (usize, usize) = (100, 1500);

/// What to look for; times in microseconds since the epoch.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Wanted {
    service: String,
    operation: String,
    /// A JSON object: tags that one span has to have, all of them.
    tags: String,
    start: Option<u64>,
    end: Option<u64>,
    limit: Option<usize>,
}

/// Jaeger's paths, to be nested under `/api`.
pub fn router(store: Arc<TraceStore>) -> Router {
    Router::new()
        .route("/services", get(services))
        .route("/services/{name}/operations", get(operations))
        .route("/traces", get(search))
        .route("/traces/{id}", get(one))
        .with_state(store)
}

async fn services(State(store): State<Arc<TraceStore>>) -> Response {
    data(store.services().into_iter().map(Value::from).collect())
}

async fn operations(State(store): State<Arc<TraceStore>>, Path(name): Path<String>) -> Response {
    let traces = store.latest(LIMIT.1, Some(&name));
    let spans = traces.iter().flatten().filter(|span| service_of(span) == name);
    let names: BTreeSet<&str> = spans.map(|span| span.name.as_str()).collect();
    data(names.into_iter().map(Value::from).collect())
}

async fn search(State(store): State<Arc<TraceStore>>, Query(wanted): Query<Wanted>) -> Response {
    if wanted.service.is_empty() {
        return refused(StatusCode::BAD_REQUEST, "parameter 'service' is required");
    }
    let tags = match wanted.tags.as_str() {
        "" => BTreeMap::new(),
        text => match serde_json::from_str::<BTreeMap<String, String>>(text) {
            Ok(tags) => tags,
            Err(error) => {
                let why = format!("malformed 'tags' parameter, want an object of strings: {error}");
                return refused(StatusCode::BAD_REQUEST, &why);
            }
        },
    };
    let limit = wanted.limit.unwrap_or(LIMIT.0).min(LIMIT.1);
    let found = store.latest(LIMIT.1, Some(&wanted.service)).into_iter();
    let found = found.filter(|spans| spans.iter().any(|span| wanted.matches(span, &tags)));
    data(found.take(limit).map(|spans| trace(&spans)).collect())
}

async fn one(State(store): State<Arc<TraceStore>>, Path(id): Path<String>) -> Response {
    match store.trace(&id) {
        spans if spans.is_empty() => refused(StatusCode::NOT_FOUND, "trace not found"),
        spans => data(vec![trace(&spans)]),
    }
}

impl Wanted {
    fn matches(&self, span: &Span, tags: &BTreeMap<String, String>) -> bool {
        service_of(span) == self.service
            && (self.operation.is_empty() || span.name == self.operation)
            && self.start.is_none_or(|start| span.timestamp >= start)
            && self.end.is_none_or(|end| span.timestamp <= end)
            && tags.iter().all(|(name, value)| span.tags.get(name) == Some(value))
    }
}

fn trace(spans: &[Span]) -> Value {
    let names: BTreeSet<&str> = spans.iter().map(service_of).collect();
    let ids: BTreeMap<&str, String> =
        names.iter().enumerate().map(|(index, name)| (*name, format!("p{}", index + 1))).collect();
    let processes: serde_json::Map<String, Value> =
        ids.iter().map(|(name, id)| (id.clone(), json!({"serviceName": name, "tags": []}))).collect();
    let of = |span: &Span| json_of(span, ids.get(service_of(span)).map(String::as_str).unwrap_or_default());
    json!({
        "traceID": spans.first().map(|span| span.trace_id.as_str()).unwrap_or_default(),
        "spans": spans.iter().map(of).collect::<Vec<Value>>(),
        "processes": processes,
        "warnings": null,
    })
}

fn json_of(span: &Span, process: &str) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    let mut tags: Vec<Value> = span.tags.iter().map(|(name, value)| text(name, value)).collect();
    if !span.kind.is_empty() {
        tags.push(text("span.kind", &span.kind.to_ascii_lowercase()));
    }
    let caused = |id: &String| json!({"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": id});
    let references: Vec<Value> = span.parent_id.iter().map(caused).collect();
    json!({
        "traceID": span.trace_id, "spanID": span.id, "operationName": span.name, "references": references,
        "startTime": span.timestamp, "duration": span.duration, "tags": tags, "logs": [], "processID": process,
        "warnings": null,
    })
}

fn data(entries: Vec<Value>) -> Response {
    let total = entries.len();
    Json(json!({"data": entries, "total": total, "limit": 0, "offset": 0, "errors": null})).into_response()
}

fn refused(status: StatusCode, why: &str) -> Response {
    let error = json!({"code": status.as_u16(), "msg": why});
    let body = json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [error]});
    (status, Json(body)).into_response()
}
