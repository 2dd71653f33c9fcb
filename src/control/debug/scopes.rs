//! ControlZ: the log scopes of the running process, read and set over HTTP on the loopback address alone (`--ctrlz_port`).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use sagene_base::logging::{LogHandle, LogLevels, parse_level};
use serde::{Deserialize, Serialize};
use tracing::{info, level_filters::LevelFilter};

/// Scopes by name, and what they log.
const SCOPES: [(&str, &str); 6] = [
    ("default", "Everything without a scope of its own"),
    ("base", "Tasks, connections and shutting down"),
    ("control", "Discovery, certificates, webhooks and what is written into the cluster"),
    ("identity", "The certificate authority"),
    ("store", "Watches of the Kubernetes API"),
    ("xds", "Streams of the discovery protocol"),
];
/// Before the names of the scopes that are parts of this program.
const PREFIX: &str = "sagene_";

/// A scope, in istiod's JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Scope {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    output_level: String,
    #[serde(default)]
    stack_trace_level: String,
    #[serde(default)]
    log_callers: bool,
}

/// The router of the port.
pub(crate) fn router(log: Arc<LogHandle>) -> Router {
    Router::new()
        .route("/scopej", get(list))
        .route("/scopej/", get(list))
        .route("/scopej/{scope}", get(one).put(set))
        .with_state(log)
}

async fn list(State(log): State<Arc<LogHandle>>) -> Json<Vec<Scope>> {
    let levels = log.levels();
    Json(SCOPES.iter().map(|(name, description)| scope(&levels, name, description)).collect())
}

async fn one(State(log): State<Arc<LogHandle>>, Path(name): Path<String>) -> Response {
    match SCOPES.iter().find(|(known, _)| *known == name) {
        Some((name, description)) => Json(scope(&log.levels(), name, description)).into_response(),
        None => unknown(&name),
    }
}

async fn set(
    State(log): State<Arc<LogHandle>>,
    Path(name): Path<String>,
    Json(wanted): Json<Scope>,
) -> Response {
    if !SCOPES.iter().any(|(known, _)| *known == name) {
        return unknown(&name);
    }
    let refused = |text: String| (StatusCode::BAD_REQUEST, text).into_response();
    if !matches!(wanted.stack_trace_level.as_str(), "" | "none") || wanted.log_callers {
        return refused("stack traces and callers are not logged: use stack_trace_level none\n".to_owned());
    }
    if wanted.output_level.is_empty() {
        return StatusCode::ACCEPTED.into_response();
    }
    let Some(level) = parse_level(&wanted.output_level) else {
        let text = format!("{:?} is no level: use none, error, warn, info or debug\n", wanted.output_level);
        return refused(text);
    };
    let target = (name != "default").then_some(name.as_str());
    match log.set_level(target, level) {
        Ok(()) => {
            info!(scope = name, level = %level, "log level set");
            StatusCode::ACCEPTED.into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn unknown(name: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("unknown scope {name:?}\n")).into_response()
}

fn scope(levels: &LogLevels, name: &str, description: &str) -> Scope {
    let own = levels.targets.get(&format!("{PREFIX}{name}"));
    Scope {
        name: name.to_owned(),
        description: description.to_owned(),
        output_level: word(*own.unwrap_or(&levels.default)).to_owned(),
        stack_trace_level: "none".to_owned(),
        log_callers: false,
    }
}

/// Istio's word for a level.
fn word(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::OFF => "none",
        LevelFilter::ERROR => "error",
        LevelFilter::WARN => "warn",
        LevelFilter::INFO => "info",
        _ => "debug",
    }
}
