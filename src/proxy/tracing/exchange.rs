//! A request and its span.

use std::rc::Rc;
use std::sync::Arc;

use super::config::TracingConfig;
use super::decision::decide;
use super::report::Reporter;
use super::span::Span;
use crate::config::Direction;
use crate::http::exchange::Exchange;
use crate::http::info::TraceIds;

const OPERATION: &[u8] = b"x-envoy-decorator-operation";

impl Exchange {
    /// Decides whether the request is traced, and starts its span.
    pub(crate) fn start_span(&mut self) {
        let manager = self.scene.manager.clone();
        let Some(tracing) = &manager.tracing else { return };
        let decided = decide(&mut self.request.headers, tracing.shares);
        let Some(tracer) = &tracing.tracer else { return };
        let client = self.is_behind_client();
        let worker = self.scene.worker.clone();
        let mut span = Span::start(tracer, &self.request.headers, decided, client, || worker.random());
        span.operation = self.operation(client);
        self.info.trace = Some(TraceIds { trace: span.trace, wide: span.wide, span: span.id });
        self.span = Some(Box::new(span));
    }

    /// Tells the upstream which span called it.
    pub(crate) fn propagate_span(&mut self) {
        let propagates = self.scene.manager.tracing.as_ref().is_some_and(|tracing| tracing.propagates);
        if let Some(span) = self.span.as_deref().filter(|_| propagates) {
            span.inject(&mut self.request.headers);
        }
    }

    /// Ends the span and hands it to the reporter.
    pub(crate) fn finish_span(&mut self) {
        let Some(span) = self.span.take().filter(|span| span.sampled) else { return };
        let manager = self.scene.manager.clone();
        let Some(tracing) = &manager.tracing else { return };
        let error = self.info.response_code == 0 || self.info.response_code >= 500;
        let tags = self.tags(tracing, error);
        let tracer = span.tracer.clone();
        let client = self.is_behind_client();
        let finished = span.finish(client, self.info.start_time, self.info.duration, tags, error);
        let worker: &Rc<_> = &self.scene.worker;
        Reporter::take(worker, &tracer, Arc::new(finished));
    }

    fn is_behind_client(&self) -> bool {
        self.scene.manager.direction == Direction::Outbound
    }

    /// What the request is for: as the route, or in front of the server the client's proxy, calls it.
    fn operation(&self, client: bool) -> String {
        let told = self.request.headers.get_text(OPERATION).filter(|told| !client && !told.is_empty());
        if let Some(told) = told {
            return told.to_owned();
        }
        let decorator = self.route.as_ref().and_then(|(_, route)| route.decorator.as_deref());
        match decorator {
            Some(operation) => operation.to_owned(),
            None if client => format!("egress {}", String::from_utf8_lossy(&self.request.authority)),
            None => "ingress".to_owned(),
        }
    }

    /// Envoy's tags, then the operator's.
    fn tags(&self, tracing: &TracingConfig, error: bool) -> Vec<(String, String)> {
        let mut tags: Vec<(String, String)> = Vec::with_capacity(24);
        let mut tag = |name: &str, value: &str| tags.push((name.to_owned(), value.to_owned()));
        let worker = &self.scene.worker;
        let headers = &self.request.headers;
        let or_dash = |name: &[u8]| headers.get_text(name).unwrap_or("-").to_owned();
        tag("node_id", &worker.own.id);
        tag("zone", &worker.own.zone);
        if let Some(id) = headers.get_text(b"x-request-id") {
            tag("guid:x-request-id", id);
        }
        tag("http.url", &self.url(tracing.path_length));
        tag("http.method", &String::from_utf8_lossy(&self.request.method));
        tag("downstream_cluster", &or_dash(b"x-envoy-downstream-service-cluster"));
        tag("user_agent", &or_dash(b"user-agent"));
        tag("http.protocol", self.info.protocol);
        tag("peer.address", &self.scene.connection.direct_remote.ip().to_string());
        if let Some(id) = headers.get_text(b"x-client-trace-id") {
            tag("guid:x-client-trace-id", id);
        }
        if self.grpc {
            let path = self.request.path.split(|byte| *byte == b'?').next().unwrap_or_default();
            tag("grpc.path", &String::from_utf8_lossy(path));
            tag("grpc.authority", &String::from_utf8_lossy(&self.request.authority));
            tag("grpc.content_type", &or_dash(b"content-type"));
            if let Some(timeout) = headers.get_text(b"grpc-timeout") {
                tag("grpc.timeout", timeout);
            }
            if let Some(code) = self.info.grpc_status {
                tag("grpc.status_code", &code.to_string());
            }
        }
        tag("request_size", &self.info.bytes_received.to_string());
        tag("response_size", &self.info.bytes_sent.to_string());
        tag("component", "proxy");
        if let Some(cluster) = self.info.cluster.as_deref() {
            tag("upstream_cluster", cluster);
            let pool = worker.pool(cluster);
            tag("upstream_cluster.name", pool.as_ref().map_or(cluster, |pool| &pool.cluster.stat_name));
        }
        tag("http.status_code", &self.info.response_code.to_string());
        tag("response_flags", &self.info.flags.short());
        if error {
            tag("error", "true");
        }
        let facts = self.facts();
        for custom in &tracing.tags {
            let value = custom.value(&facts, &worker.own.peer);
            if !value.is_empty() {
                tag(&custom.name, &value);
            }
        }
        tags
    }

    fn url(&self, path_length: usize) -> String {
        let path = &self.request.path[..self.request.path.len().min(path_length)];
        let url = [self.request.scheme.as_bytes(), b"://", &self.request.authority, path].concat();
        String::from_utf8_lossy(&url).into_owned()
    }
}
