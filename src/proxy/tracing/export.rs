//! Spans in the forms that collectors take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;
use sagene_api::trace::opentelemetry as otlp;
use sagene_api::trace::zipkin;

use super::config::{Collector, Format};
use super::context::trace_text;
use super::span::Finished;
use crate::filter::peer_metadata::OwnMetadata;
use crate::http::call::{Call, grpc_frame, post};

/// Longest answer of a collector that is read.
const ANSWER: usize = 64 * 1024;

/// The request that hands over `spans`.
pub(super) fn report<'c>(collector: &'c Collector, spans: &[Arc<Finished>], own: &OwnMetadata) -> Call<'c> {
    let (content_type, body) = match collector.format {
        Format::ZipkinJson => ("application/json", zipkin_json(spans, own)),
        Format::OtlpGrpc => ("application/grpc", grpc_frame(&otlp(collector, spans, own).encode_to_vec())),
        Format::OtlpHttp => ("application/x-protobuf", otlp(collector, spans, own).encode_to_vec().into()),
    };
    let mut request = post(&collector.path, &collector.authority, content_type);
    if collector.format == Format::OtlpGrpc {
        request.version = 2;
        request.headers.set(b"te", b"trailers");
    } else {
        request.headers.set(b"content-length", body.len().to_string().as_bytes());
    }
    for (name, value) in &collector.headers {
        request.headers.set(name.as_bytes(), value.as_bytes());
    }
    Call { cluster: &collector.cluster, request, body, timeout: collector.timeout, longest: ANSWER }
}

fn zipkin_json(spans: &[Arc<Finished>], own: &OwnMetadata) -> Bytes {
    let list: Vec<zipkin::Span> = spans.iter().map(|span| zipkin_span(span, own)).collect();
    // Text and numbers only: this cannot fail.
    serde_json::to_vec(&list).unwrap_or_default().into()
}

/// A span as Zipkin has it, reported by this proxy.
pub(crate) fn zipkin_span(span: &Finished, own: &OwnMetadata) -> zipkin::Span {
    let mut endpoint = zipkin::Endpoint { service_name: own.cluster.clone(), ..zipkin::Endpoint::default() };
    match own.address {
        Some(IpAddr::V4(address)) => endpoint.ipv4 = address.to_string(),
        Some(IpAddr::V6(address)) => endpoint.ipv6 = address.to_string(),
        None => {}
    }
    let microseconds = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    zipkin::Span {
        trace_id: trace_text(span.trace, span.wide),
        parent_id: span.parent.map(|id| format!("{id:016x}")),
        id: format!("{:016x}", span.id),
        kind: if span.client { "CLIENT" } else { "SERVER" }.to_owned(),
        name: span.name.clone(),
        timestamp: microseconds(since_epoch(span.start)),
        duration: microseconds(span.duration).max(1),
        local_endpoint: Some(endpoint),
        remote_endpoint: None,
        tags: span.tags.iter().cloned().collect(),
        shared: span.shared,
    }
}

fn otlp(
    collector: &Collector,
    spans: &[Arc<Finished>],
    own: &OwnMetadata,
) -> otlp::ExportTraceServiceRequest {
    let service = if collector.service.is_empty() { own.cluster.as_str() } else { &collector.service };
    let named = otlp::KeyValue::text("service.name", service);
    let further = collector.resource.iter().map(|(key, value)| otlp::KeyValue::text(&**key, &**value));
    otlp::ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(otlp::Resource { attributes: std::iter::once(named).chain(further).collect() }),
            scope_spans: vec![otlp::ScopeSpans {
                scope: Some(otlp::Scope { name: "envoy".to_owned(), version: String::new() }),
                spans: spans.iter().map(|span| otlp_span(span)).collect(),
            }],
        }],
    }
}

fn otlp_span(span: &Finished) -> otlp::Span {
    use otlp::SpanKind::{Client, Server};
    let start = since_epoch(span.start);
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    otlp::Span {
        trace_id: span.trace.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        trace_state: span.state.clone(),
        parent_span_id: span.parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        name: span.name.clone(),
        kind: if span.client { Client } else { Server } as i32,
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(start + span.duration),
        attributes: span.tags.iter().map(|(key, value)| otlp::KeyValue::text(key, value)).collect(),
        status: span.error.then(|| otlp::Status { message: String::new(), code: 2 }),
    }
}

fn since_epoch(time: SystemTime) -> std::time::Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
