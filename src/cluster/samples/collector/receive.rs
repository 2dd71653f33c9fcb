//! Taking reports in, by gRPC and by HTTP, and handing them to the exporters.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use sagene_api::trace::opentelemetry::{
    EXPORT_PATH as TRACES, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use sagene_api::trace::opentelemetry_logs::{
    EXPORT_PATH as LOGS, ExportLogsServiceRequest, ExportLogsServiceResponse,
};

use super::super::curl::{self, Connecting};
use super::super::grpc::{INVALID_ARGUMENT, asked, failed, frame, unary};
use super::config::{Config, Exporter};
use super::print::{self, Printed};

/// Largest report.
const LIMIT: usize = 16 << 20;
const PROTOBUF: &str = "application/x-protobuf";

/// Everything that takes reports.
pub(super) fn routes(config: Arc<Config>) -> Router {
    Router::new()
        .route(LOGS, post(logs_by_grpc))
        .route(TRACES, post(traces_by_grpc))
        .route("/v1/logs", post(logs_by_http))
        .route("/v1/traces", post(traces_by_http))
        .layer(DefaultBodyLimit::max(LIMIT))
        .with_state(config)
}

async fn logs_by_grpc(State(config): State<Arc<Config>>, body: Bytes) -> Response {
    let Some(report) = asked::<ExportLogsServiceRequest>(&body) else {
        return failed(INVALID_ARGUMENT, "want one ExportLogsServiceRequest");
    };
    hand_on(&config.logs, LOGS, &report);
    unary(&ExportLogsServiceResponse {})
}

async fn traces_by_grpc(State(config): State<Arc<Config>>, body: Bytes) -> Response {
    let Some(report) = asked::<ExportTraceServiceRequest>(&body) else {
        return failed(INVALID_ARGUMENT, "want one ExportTraceServiceRequest");
    };
    hand_on(&config.traces, TRACES, &report);
    unary(&ExportTraceServiceResponse {})
}

async fn logs_by_http(State(config): State<Arc<Config>>, headers: HeaderMap, body: Bytes) -> Response {
    by_http(&headers, body, |report: ExportLogsServiceRequest| hand_on(&config.logs, LOGS, &report))
}

async fn traces_by_http(State(config): State<Arc<Config>>, headers: HeaderMap, body: Bytes) -> Response {
    by_http(&headers, body, |report: ExportTraceServiceRequest| hand_on(&config.traces, TRACES, &report))
}

fn by_http<M: Message + Default>(headers: &HeaderMap, body: Bytes, take: impl FnOnce(M)) -> Response {
    if headers.get("content-type").is_none_or(|kind| kind != PROTOBUF) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("only {PROTOBUF} is taken here\n"))
            .into_response();
    }
    match M::decode(body) {
        Ok(report) => {
            take(report);
            ([("content-type", PROTOBUF)], Vec::new()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a report: {error}\n")).into_response(),
    }
}

/// To every exporter; who sends is not made to wait for another collector.
fn hand_on<M: Message + Printed>(exporters: &[Exporter], path: &'static str, report: &M) {
    for exporter in exporters {
        match exporter {
            Exporter::Debug { name, verbosity } => print::print(report, name, *verbosity),
            Exporter::Otlp { url } => {
                tokio::spawn(send(url.clone(), path, frame(report)));
            }
        }
    }
}

async fn send(url: String, path: &str, body: Bytes) {
    let connecting = Connecting { http2: true, insecure: true, ..Connecting::default() };
    let url = format!("{url}{path}");
    let sent = match curl::client(&connecting, &url) {
        Ok(client) => client
            .post(&url)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .send()
            .await
            .map_err(|error| sagene_base::task::error_chain(&error)),
        Err(problem) => Err(problem),
    };
    match sent {
        Ok(answer) if answer.status() == StatusCode::OK => {}
        Ok(answer) => super::log(&format!("Exporting failed\t{url}: HTTP status {}", answer.status())),
        Err(problem) => super::log(&format!("Exporting failed\t{url}: {problem}")),
    }
}
