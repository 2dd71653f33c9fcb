//! The admin server on 15000: what the proxy has, does and did, under Envoy's paths and shapes.
//!
//! It listens on loopback only and runs on the agent's threads, so that no question here can slow traffic. Nothing
//! secret is shown: private keys are replaced before they leave.

mod certs;
mod clusters;
mod config_dump;
mod json;
mod listeners;
mod logging;
mod memory;
mod server_info;
mod stats;

#[cfg(test)]
mod tests;

pub(crate) use logging::specification as log_specification;

use std::sync::Arc;

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use envoy_types::pb::google::protobuf::Any;
use http::{Method, StatusCode};
use sagene_base::logging::LogHandle;

use crate::agent::bootstrap::any;
use crate::agent::health::Health;
use crate::agent::http_server::{Handler, Reply, Request, reply, text};
use crate::agent::lifecycle::Lifecycle;
use crate::agent::status::{AgentMetrics, PROMETHEUS_TEXT};
use crate::config::{Origin, RawResource, ResourceState, type_url};
use crate::worker::Proxy;

/// Everything the admin server answers from.
pub(crate) struct AdminServer {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) started: std::time::SystemTime,
    pub(crate) health: Health,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: Arc<AgentMetrics>,
    /// Absent where logging was set up by somebody else.
    pub(crate) log: Option<Arc<LogHandle>>,
    pub(crate) concurrency: usize,
}

/// A path, whether it changes something (and so needs POST), and what it is for.
const PATHS: [(&str, bool, &str); 22] = [
    ("/", false, "Admin home page"),
    ("/certs", false, "print certs on machine"),
    ("/clusters", false, "upstream cluster status"),
    ("/config_dump", false, "dump current Envoy configs (experimental)"),
    ("/drain_listeners", true, "drain listeners"),
    ("/healthcheck/fail", true, "cause the server to fail health checks"),
    ("/healthcheck/ok", true, "cause the server to pass health checks"),
    ("/help", false, "print out list of admin commands"),
    ("/hot_restart_version", false, "print the hot restart compatibility version"),
    ("/init_dump", false, "dump current Envoy init manager information (experimental)"),
    ("/listeners", false, "print listener info"),
    ("/logging", false, "query/change logging levels (a change needs POST)"),
    ("/memory", false, "print current allocation/heap usage"),
    ("/quitquitquit", true, "exit the server"),
    ("/ready", false, "print server state, return 200 if LIVE, otherwise return 503"),
    ("/reset_counters", true, "reset all counters to zero"),
    ("/runtime", false, "print runtime values"),
    ("/server_info", false, "print server version/status information"),
    ("/spans", false, "print the spans of the last traced requests, as Zipkin has them"),
    ("/stats", false, "print server stats"),
    ("/stats/prometheus", false, "print server stats in prometheus format"),
    ("/stats/recentlookups", false, "not kept; always empty"),
];

impl Handler for AdminServer {
    async fn handle(&self, request: Request) -> Reply {
        let path = match request.path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let Some((_, changes, _)) = PATHS.iter().find(|(known, ..)| *known == path) else {
            return text(StatusCode::NOT_FOUND, format!("invalid path. {}", help()));
        };
        match (&request.method, *changes) {
            (&Method::POST, _) | (&Method::GET, false) => self.answer(path, &request).await,
            _ => text(StatusCode::METHOD_NOT_ALLOWED, format!("Method Not Allowed: {path} needs POST\n")),
        }
    }
}

impl AdminServer {
    async fn answer(&self, path: &str, request: &Request) -> Reply {
        match path {
            "/certs" => json_reply(&certs::report(self.proxy.config())),
            "/clusters" if wants_json(request) => json_reply(&clusters::as_json(self)),
            "/clusters" => text(StatusCode::OK, clusters::as_text(self)),
            "/config_dump" => match config_dump::dump(self, request) {
                Ok(value) => json_reply(&value),
                Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            },
            "/drain_listeners" => self.drain(request),
            "/healthcheck/fail" => self.set_failed(true),
            "/healthcheck/ok" => self.set_failed(false),
            "/spans" => json_reply(&serde_json::json!(self.proxy.recent_spans())),
            "/hot_restart_version" => text(StatusCode::OK, "disabled"),
            "/init_dump" => json_reply(&serde_json::json!({})),
            "/listeners" if wants_json(request) => json_reply(&listeners::as_json(&self.proxy)),
            "/listeners" => text(StatusCode::OK, listeners::as_text(&self.proxy)),
            "/logging" => self.logging(request),
            "/memory" => json_reply(&memory::report()),
            "/quitquitquit" => {
                self.lifecycle.quit();
                text(StatusCode::OK, "OK\n")
            }
            "/ready" => self.ready(),
            "/reset_counters" => {
                self.proxy.stats().reset_counters();
                text(StatusCode::OK, "OK\n")
            }
            "/runtime" => json_reply(&serde_json::json!({"layers": [], "entries": {}})),
            "/server_info" => json_reply(&server_info::report(self)),
            "/stats" => self.stats(request),
            "/stats/prometheus" => self.prometheus(),
            "/stats/recentlookups" => text(StatusCode::OK, ""),
            _ => text(StatusCode::OK, help()),
        }
    }

    /// The resources of one type: those of the bootstrap that the agent serves itself, then the data path's.
    fn resources(&self, type_url: &str) -> Vec<RawResource> {
        let known = self.proxy.config().resources(type_url);
        let mut all: Vec<RawResource> = self
            .static_resources(type_url)
            .into_iter()
            .filter(|(name, _)| !known.iter().any(|raw| raw.origin == Origin::Static && raw.name == *name))
            .map(|(name, resource)| RawResource {
                name,
                version: String::new(),
                last_updated: self.started,
                origin: Origin::Static,
                state: ResourceState::Active,
                resource: Some(resource),
                error: None,
            })
            .collect();
        all.extend(known);
        all
    }

    fn static_resources(&self, type_url: &str) -> Vec<(String, Any)> {
        let Some(resources) = &self.bootstrap.static_resources else {
            return Vec::new();
        };
        match type_url {
            type_url::CLUSTER => {
                resources.clusters.iter().map(|cluster| (cluster.name.clone(), any(cluster))).collect()
            }
            type_url::LISTENER => {
                resources.listeners.iter().map(|listener| (listener.name.clone(), any(listener))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn ready(&self) -> Reply {
        let state = self.health.state();
        let status = match state {
            crate::agent::health::ServerState::Live => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        text(status, format!("{}\n", state.as_str()))
    }

    fn set_failed(&self, failed: bool) -> Reply {
        self.health.set_failed(failed);
        text(StatusCode::OK, "OK\n")
    }

    /// `graceful` lets clients go elsewhere while the proxy serves on; without it nothing more is accepted from now on, and
    /// the pod is not ready any more. The process stays.
    fn drain(&self, request: &Request) -> Reply {
        let asked = |name: &str| request.query.iter().any(|(key, _)| key == name);
        let inbound_only = asked("inboundonly");
        if !asked("graceful") {
            self.proxy.close_listeners(inbound_only);
            self.health.set_failed(true);
            return text(StatusCode::OK, "OK\n");
        }
        self.proxy.send_away(inbound_only);
        self.lifecycle.drain();
        text(StatusCode::OK, "OK\n")
    }

    fn logging(&self, request: &Request) -> Reply {
        let Some(log) = &self.log else {
            return text(StatusCode::NOT_IMPLEMENTED, "log levels of this process cannot be changed\n");
        };
        if request.query.is_empty() {
            return text(StatusCode::OK, logging::list(log));
        }
        if request.method != Method::POST {
            return text(
                StatusCode::METHOD_NOT_ALLOWED,
                "Method Not Allowed: changing log levels needs POST\n",
            );
        }
        match logging::change(log, &request.query) {
            Ok(()) => text(StatusCode::OK, logging::list(log)),
            Err(error) => text(StatusCode::BAD_REQUEST, format!("error: {error}\n{}", logging::USAGE)),
        }
    }

    fn stats(&self, request: &Request) -> Reply {
        if request.parameter("format") == Some("prometheus") {
            return self.prometheus();
        }
        let selection = match stats::Selection::parse(request) {
            Ok(selection) => selection,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let samples = selection.pick(stats::samples(self));
        if wants_json(request) {
            return json_reply(&stats::as_json(&samples));
        }
        text(StatusCode::OK, stats::as_text(&samples))
    }

    fn prometheus(&self) -> Reply {
        reply(StatusCode::OK, PROMETHEUS_TEXT, self.proxy.stats().render_prometheus())
    }
}

fn wants_json(request: &Request) -> bool {
    request.parameter("format") == Some("json")
}

/// Envoy indents its JSON by one space.
fn json_reply(value: &serde_json::Value) -> Reply {
    let mut body = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut body, formatter);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => {
            body.push(b'\n');
            reply(StatusCode::OK, "application/json", body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn help() -> String {
    let mut help = String::from("admin commands are:\n");
    for (path, changes, purpose) in PATHS {
        let post = if changes { " (POST)" } else { "" };
        help.push_str(&format!("  {path}{post}: {purpose}\n"));
    }
    help
}
