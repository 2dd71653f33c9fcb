//! The port that Prometheus reads the proxy's own statistics from, 15090.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::http_server::{Handler, Reply, Request, reply, text};
use super::status::PROMETHEUS_TEXT;
use crate::stats::Registry;

/// Serves `/stats/prometheus` and nothing else.
#[derive(Debug)]
pub(crate) struct PrometheusServer(pub(crate) Arc<Registry>);

impl Handler for PrometheusServer {
    async fn handle(&self, request: Request) -> Reply {
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/stats/prometheus") => {
                reply(StatusCode::OK, PROMETHEUS_TEXT, self.0.render_prometheus())
            }
            _ => text(StatusCode::NOT_FOUND, ""),
        }
    }
}
