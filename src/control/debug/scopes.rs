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

/// A name under which levels are set.
struct Known {
    name: &'static str,
    description: &'static str,
    /// Where what it logs comes from; empty for everything without a scope of its own.
    targets: &'static [&'static str],
}

/// The scopes: Istio's names for what people look into, and the parts of this program.
const SCOPES: [Known; 10] = [
    Known {
        name: "ads",
        description: "What is pushed to proxies, and what they say of it",
        targets: &["sagene_control::discovery", "sagene_xds"],
    },
    Known {
        name: "authorization",
        description: "Policies as they are made for proxies",
        targets: &["sagene_control::generate::authorization"],
    },
    Known { name: "base", description: "Tasks, connections and shutting down", targets: &["sagene_base"] },
    Known {
        name: "control",
        description: "Discovery, certificates, webhooks and what is written into the cluster",
        targets: &["sagene_control"],
    },
    Known { name: "default", description: "Everything without a scope of its own", targets: &[] },
    Known { name: "identity", description: "The certificate authority", targets: &["sagene_identity"] },
    Known {
        name: "security",
        description: "Who asks for certificates and secrets, and what they get",
        targets: &["sagene_control::security"],
    },
    Known { name: "store", description: "Watches of the Kubernetes API", targets: &["sagene_store"] },
    Known {
        name: "validation",
        description: "The webhooks that check and change objects",
        targets: &["sagene_control::webhook"],
    },
    Known { name: "xds", description: "Streams of the discovery protocol", targets: &["sagene_xds"] },
];

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
    Json(SCOPES.iter().map(|known| scope(&levels, known)).collect())
}

async fn one(State(log): State<Arc<LogHandle>>, Path(name): Path<String>) -> Response {
    match find(&name) {
        Some(known) => Json(scope(&log.levels(), known)).into_response(),
        None => unknown(&name),
    }
}

async fn set(
    State(log): State<Arc<LogHandle>>,
    Path(name): Path<String>,
    Json(wanted): Json<Scope>,
) -> Response {
    let Some(known) = find(&name) else { return unknown(&name) };
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
    let set = match known.targets {
        [] => log.set_level(None, level),
        targets => targets.iter().try_for_each(|target| log.set_level(Some(target), level)),
    };
    match set {
        Ok(()) => {
            info!(scope = name, level = %level, "log level set");
            StatusCode::ACCEPTED.into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn find(name: &str) -> Option<&'static Known> {
    SCOPES.iter().find(|known| known.name == name)
}

fn unknown(name: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("unknown scope {name:?}\n")).into_response()
}

fn scope(levels: &LogLevels, known: &Known) -> Scope {
    let level = known.targets.first().map_or(levels.default, |target| in_force(levels, target));
    Scope {
        name: known.name.to_owned(),
        description: known.description.to_owned(),
        output_level: word(level).to_owned(),
        stack_trace_level: "none".to_owned(),
        log_callers: false,
    }
}

/// The level of a target: its own, else that of what it is part of.
fn in_force(levels: &LogLevels, target: &str) -> LevelFilter {
    let mut path = target;
    loop {
        match (levels.targets.get(path), path.rsplit_once("::")) {
            (Some(level), _) => return *level,
            (None, Some((whole, _))) => path = whole,
            (None, None) => return levels.default,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_scope_has_the_level_of_the_whole_until_it_gets_one() {
        let mut levels = LogLevels::parse("warn").expect("a level");
        let level = |levels: &LogLevels, name: &str| scope(levels, find(name).expect(name)).output_level;
        assert_eq!(level(&levels, "ads"), "warn");
        levels.targets.insert("sagene_control".to_owned(), LevelFilter::ERROR);
        assert_eq!((level(&levels, "ads").as_str(), level(&levels, "xds").as_str()), ("error", "warn"));
        levels.targets.insert("sagene_control::discovery".to_owned(), LevelFilter::DEBUG);
        assert_eq!((level(&levels, "ads").as_str(), level(&levels, "security").as_str()), ("debug", "error"));
    }

    #[test]
    fn scopes_are_in_order_and_each_has_its_name_once() {
        let names: Vec<&str> = SCOPES.iter().map(|known| known.name).collect();
        assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    }
}
