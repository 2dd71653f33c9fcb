//! The agent's own port, 15020: readiness, merged metrics, the application's probes, orderly ends.

mod grpc_probe;
mod http_client;
mod merge;
mod metrics;
mod probes;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};

pub(crate) use merge::ScrapeTarget;
pub(crate) use metrics::AgentMetrics;
pub(crate) use probes::{ProbeError, Probes};

use super::health::Health;
use super::http_server::{Handler, Reply, Request, reply, text};
use super::lifecycle::Lifecycle;
use crate::dns::NameTable;
use crate::stats::Registry;

/// Media type of the Prometheus text format.
pub(crate) const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything the agent's port answers from.
pub(crate) struct StatusServer {
    pub(crate) health: Health,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) probes: Probes,
    pub(crate) stats: Arc<Registry>,
    pub(crate) metrics: Arc<AgentMetrics>,
    /// Where the application's own metrics are, when it asked for them to be merged.
    pub(crate) scrape: Option<ScrapeTarget>,
    pub(crate) names: Arc<ArcSwap<NameTable>>,
}

impl Handler for StatusServer {
    async fn handle(&self, request: Request) -> Reply {
        match (&request.method, request.path.as_str()) {
            (_, "/healthz/ready") => self.health.reply(),
            (&Method::GET, "/metrics") => reply(StatusCode::OK, PROMETHEUS_TEXT, self.metrics.render()),
            (&Method::GET, "/stats/prometheus") => self.merged(&request).await,
            (_, "/quitquitquit") => self.local_post(&request, Lifecycle::quit),
            (_, "/drain") => self.local_post(&request, Lifecycle::drain),
            (&Method::GET, "/debug/ndsz") if request.is_local() => self.name_table(),
            (_, "/debug/ndsz") => text(StatusCode::FORBIDDEN, "Only requests from localhost are allowed\n"),
            (_, path) if path.starts_with("/app-health/") || path.starts_with("/app-lifecycle/") => {
                match self.probes.probe(&request).await {
                    Some(status) => text(status, ""),
                    None => text(StatusCode::NOT_FOUND, format!("no probe is registered for {path}\n")),
                }
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

impl StatusServer {
    /// Orders that only the pod itself may give.
    fn local_post(&self, request: &Request, order: fn(&Lifecycle)) -> Reply {
        if !request.is_local() {
            return text(StatusCode::FORBIDDEN, "Only requests from localhost are allowed\n");
        }
        if request.method != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Only POST is allowed\n");
        }
        order(&self.lifecycle);
        text(StatusCode::OK, "OK\n")
    }

    async fn merged(&self, request: &Request) -> Reply {
        self.metrics.scrape();
        let mut body = self.metrics.render();
        body.push_str(&self.stats.render_prometheus());
        if let Some(target) = &self.scrape {
            match target.fetch(&request.headers).await {
                Ok(application) => {
                    body.push_str(&application);
                    if !application.ends_with('\n') {
                        body.push('\n');
                    }
                }
                Err(error) => {
                    // The proxy's own metrics must not go missing because the application's do.
                    tracing::warn!(%error, "cannot read the application's metrics");
                    self.metrics.scrape_failure();
                }
            }
        }
        reply(StatusCode::OK, PROMETHEUS_TEXT, body)
    }

    /// The name table as JSON, host by host.
    fn name_table(&self) -> Reply {
        let names = self.names.load();
        let table: serde_json::Map<String, serde_json::Value> = names
            .hosts()
            .into_iter()
            .map(|(name, host)| {
                let registry = if host.kubernetes { "Kubernetes" } else { "External" };
                (name.to_owned(), serde_json::json!({ "ips": host.addresses, "registry": registry }))
            })
            .collect();
        let body = serde_json::json!({ "table": table }).to_string();
        reply(StatusCode::OK, "application/json", body)
    }
}
