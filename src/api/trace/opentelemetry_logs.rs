//! Log records as the OpenTelemetry protocol carries them, by gRPC ([`EXPORT_PATH`]) and by HTTP (`/v1/logs`).

use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use prost::Message;

/// Path of the gRPC method.
pub const EXPORT_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// What is sent: records by resource and scope.
#[derive(Clone, PartialEq, Message)]
pub struct ExportLogsServiceRequest {
    /// One entry per resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_logs: Vec<ResourceLogs>,
}

/// The answer; empty when everything was taken.
#[derive(Clone, PartialEq, Message)]
pub struct ExportLogsServiceResponse {}

/// Records of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceLogs {
    /// Who they are of.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// By instrumentation.
    #[prost(message, repeated, tag = "2")]
    pub scope_logs: Vec<ScopeLogs>,
}

/// A process or workload.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// Facts.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Records of one instrumentation.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeLogs {
    /// The instrumentation.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// Its records.
    #[prost(message, repeated, tag = "2")]
    pub log_records: Vec<LogRecord>,
}

/// One record.
#[derive(Clone, PartialEq, Message)]
pub struct LogRecord {
    /// When it happened, nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// When it was noticed, nanoseconds since 1970.
    #[prost(fixed64, tag = "11")]
    pub observed_time_unix_nano: u64,
    /// How bad it is; 0 where nothing is said.
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    /// The same in a word.
    #[prost(string, tag = "3")]
    pub severity_text: String,
    /// What is told, mostly a text.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// Facts.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    /// 16 bytes, or none.
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    /// 8 bytes, or none.
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
}
