//! Spans and log records on the wire: Zipkin's JSON, version 2, and the OpenTelemetry protocol's protobuf.

pub mod opentelemetry;
pub mod opentelemetry_logs;
pub mod zipkin;
