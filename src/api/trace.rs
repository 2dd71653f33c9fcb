//! Spans on the wire: Zipkin's JSON, version 2, and the OpenTelemetry protocol's protobuf.

pub mod opentelemetry;
pub mod zipkin;
