//! Taking spans in: `POST /api/v2/spans` (Zipkin's JSON), `/v1/traces` (OpenTelemetry, protobuf) and OpenTelemetry's gRPC method.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use sagene_api::trace::opentelemetry as otlp;
use sagene_api::trace::zipkin::{Endpoint, Span};

use super::TraceStore;

/// Largest report.
const LIMIT: usize = 8 << 20;

/// Everything that takes spans.
pub fn router(store: Arc<TraceStore>) -> Router {
    Router::new()
        .route("/api/v2/spans", post(zipkin))
        .route("/v1/traces", post(over_http))
        .route(otlp::EXPORT_PATH, post(over_grpc))
        .layer(DefaultBodyLimit::max(LIMIT))
        .with_state(store)
}

async fn zipkin(State(store): State<Arc<TraceStore>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Vec<Span>>(&body) {
        Ok(spans) => {
            store.insert(spans);
            StatusCode::ACCEPTED.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a list of spans: {error}\n")).into_response(),
    }
}

async fn over_http(State(store): State<Arc<TraceStore>>, headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-protobuf") {
        let problem = "only application/x-protobuf is taken here\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, problem).into_response();
    }
    match otlp::ExportTraceServiceRequest::decode(body) {
        Ok(report) => {
            store.insert(spans(report));
            ([("content-type", "application/x-protobuf")], Vec::new()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a report of spans: {error}\n")).into_response(),
    }
}

async fn over_grpc(State(store): State<Arc<TraceStore>>, body: Bytes) -> Response {
    let message = body.get(5..).filter(|_| body.first() == Some(&0));
    let report = message.map(otlp::ExportTraceServiceRequest::decode);
    let (status, frame) = match report {
        Some(Ok(report)) => {
            store.insert(spans(report));
            ("0", vec![0; 5])
        }
        _ => ("3", Vec::new()),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", axum::http::HeaderValue::from_static(status));
    let body = http_body_util::BodyExt::with_trailers(
        http_body_util::Full::new(Bytes::from(frame)),
        std::future::ready(Some(Ok(trailers))),
    );
    ([("content-type", "application/grpc")], Body::new(body)).into_response()
}

/// Spans of OpenTelemetry in Zipkin's shape.
fn spans(report: otlp::ExportTraceServiceRequest) -> Vec<Span> {
    let mut made = Vec::new();
    for of_resource in report.resource_spans {
        let attributes = of_resource.resource.unwrap_or_default().attributes;
        let name = attributes.iter().find(|each| each.key == "service.name");
        let name = name.and_then(|each| each.value.as_ref()?.in_words()).unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        made.extend(spans.map(|span| converted(span, &name)));
    }
    made
}

fn converted(span: otlp::Span, service: &str) -> Span {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let kind = match span.kind() {
        otlp::SpanKind::Server => "SERVER",
        otlp::SpanKind::Client => "CLIENT",
        otlp::SpanKind::Producer => "PRODUCER",
        otlp::SpanKind::Consumer => "CONSUMER",
        otlp::SpanKind::Internal | otlp::SpanKind::Unspecified => "",
    };
    let tags = span.attributes.iter().filter_map(|each| {
        let value = each.value.as_ref()?.in_words()?;
        Some((each.key.clone(), value))
    });
    let mut tags: std::collections::BTreeMap<String, String> = tags.collect();
    if span.status.as_ref().is_some_and(|status| status.code == 2) {
        tags.insert("error".to_owned(), "true".to_owned());
    }
    Span {
        trace_id: hex(&span.trace_id),
        parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        id: hex(&span.span_id),
        kind: kind.to_owned(),
        timestamp: span.start_time_unix_nano / 1000,
        duration: (span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000).max(1),
        name: span.name,
        local_endpoint: Some(Endpoint { service_name: service.to_owned(), ..Endpoint::default() }),
        remote_endpoint: None,
        tags,
        shared: false,
    }
}
