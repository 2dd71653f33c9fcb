//! Spans as the OpenTelemetry protocol carries them, by gRPC ([`EXPORT_PATH`]) and by HTTP (`/v1/traces`).

use prost::{Enumeration, Message, Oneof};

/// Path of the gRPC method.
pub const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What is sent: spans by resource and scope.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceRequest {
    /// One entry per resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The answer; empty when everything was taken.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceResponse {}

/// Spans of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// Who they are of.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// By instrumentation.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// A process or workload.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// Facts, among them `service.name`.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Spans of one instrumentation.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The instrumentation.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Its spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// An instrumentation.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// One span.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// `tracestate` of the W3C's trace context.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// 8 bytes; empty for the first span of a trace.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// What was done.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Which side.
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// Facts.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// How it went.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

/// Which side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Not said.
    Unspecified = 0,
    /// Work within a process.
    Internal = 1,
    /// The side that answers.
    Server = 2,
    /// The side that asks.
    Client = 3,
    /// Puts into a queue.
    Producer = 4,
    /// Takes from a queue.
    Consumer = 5,
}

/// How a span went.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// In words.
    #[prost(string, tag = "2")]
    pub message: String,
    /// 0 unset, 1 fine, 2 an error.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

/// A fact.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of some type.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// The value; lists and maps are left out.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4")]
    pub value: Option<Value>,
}

/// A plain value.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Flag(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Whole(i64),
    /// A number.
    #[prost(double, tag = "4")]
    Number(f64),
}

impl KeyValue {
    /// A fact in words.
    pub fn text(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: Some(AnyValue { value: Some(Value::Text(value.into())) }) }
    }
}

impl AnyValue {
    /// The value in words; `None` for lists and maps.
    pub fn in_words(&self) -> Option<String> {
        Some(match self.value.as_ref()? {
            Value::Text(text) => text.clone(),
            Value::Flag(flag) => flag.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
        })
    }
}
