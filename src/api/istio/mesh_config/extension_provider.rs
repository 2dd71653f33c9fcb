//! Extension providers: services outside the mesh's own that policies can name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Duration;

shape! {
    /// A provider; exactly one of its kinds is set.
    pub struct ExtensionProvider {
        /// Name, used by policies.
        pub name: String,
        /// External authorization by HTTP.
        pub envoy_ext_authz_http: Option<ExtAuthzHttp>,
        /// External authorization by gRPC.
        pub envoy_ext_authz_grpc: Option<ExtAuthzGrpc>,
        /// Traces in Zipkin's format.
        pub zipkin: Option<ZipkinProvider>,
        /// Deprecated: Lightstep; kept as written.
        pub lightstep: Option<Value>,
        /// Traces for Datadog.
        pub datadog: Option<ServiceProvider>,
        /// Traces, metrics and logs for Stackdriver; kept as written.
        pub stackdriver: Option<Value>,
        /// Deprecated: OpenCensus; kept as written.
        pub opencensus: Option<Value>,
        /// Traces for SkyWalking.
        pub skywalking: Option<ServiceProvider>,
        /// Traces by OpenTelemetry's protocol.
        pub opentelemetry: Option<OpenTelemetryProvider>,
        /// Metrics for Prometheus.
        pub prometheus: Option<PrometheusProvider>,
        /// Access log in a file.
        pub envoy_file_access_log: Option<FileAccessLogProvider>,
        /// HTTP access log by gRPC.
        pub envoy_http_als: Option<AccessLogServiceProvider>,
        /// TCP access log by gRPC.
        pub envoy_tcp_als: Option<AccessLogServiceProvider>,
        /// Access log by OpenTelemetry's protocol.
        pub envoy_otel_als: Option<OtelAccessLogProvider>,
        /// Secrets from another service.
        pub sds: Option<ServiceProvider>,
    }

    /// External authorization by HTTP.
    #[derive(Eq)]
    pub struct ExtAuthzHttp {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Time allowed; absent means 600 s.
        pub timeout: Option<Duration>,
        /// Put before the path.
        pub path_prefix: String,
        /// Whether requests pass when the service fails.
        pub fail_open: bool,
        /// Status of refusals when the service fails; empty means 403.
        pub status_on_error: String,
        /// Whether the route is chosen anew after headers changed.
        pub clear_route_cache: Option<bool>,
        /// Deprecated: as `includeRequestHeadersInCheck`.
        pub include_headers_in_check: Vec<String>,
        /// Headers sent to the service.
        pub include_request_headers_in_check: Vec<String>,
        /// Headers added to what is sent to the service.
        pub include_additional_headers_in_check: BTreeMap<String, String>,
        /// How much of the body is sent.
        pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
        /// Headers of its answer handed on to the application.
        pub headers_to_upstream_on_allow: Vec<String>,
        /// Headers of its answer handed back with refusals.
        pub headers_to_downstream_on_deny: Vec<String>,
        /// Headers of its answer handed back with accepted requests.
        pub headers_to_downstream_on_allow: Vec<String>,
    }

    /// External authorization by gRPC.
    #[derive(Eq)]
    pub struct ExtAuthzGrpc {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Time allowed; absent means 600 s.
        pub timeout: Option<Duration>,
        /// Whether requests pass when the service fails.
        pub fail_open: bool,
        /// Status of refusals when the service fails; empty means 403.
        pub status_on_error: String,
        /// Whether the route is chosen anew after headers changed.
        pub clear_route_cache: Option<bool>,
        /// How much of the body is sent.
        pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
    }

    /// How much of the body is sent.
    #[derive(Eq)]
    pub struct ExtAuthzRequestBody {
        /// Most bytes.
        pub max_request_bytes: u32,
        /// Whether longer bodies are cut instead of refused.
        pub allow_partial_message: bool,
        /// Whether it is sent as bytes.
        pub pack_as_bytes: bool,
    }

    /// A service that needs nothing but its address.
    #[derive(Eq)]
    pub struct ServiceProvider {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Name, where the service is found by name.
        pub name: String,
        /// Port.
        pub port: u32,
        /// Longest path in a tag; zero means 256.
        pub max_tag_length: u32,
        /// Token that authenticates the proxy.
        pub access_token: String,
    }

    /// Traces in Zipkin's format.
    #[derive(Eq)]
    pub struct ZipkinProvider {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Longest path in a tag; zero means 256.
        pub max_tag_length: u32,
        /// Whether trace ids have 64 bits.
        pub enable64bit_trace_id: bool,
        /// Path; empty means `/api/v2/spans`.
        pub path: String,
        /// Which headers carry the context.
        pub trace_context_option: String,
        /// Time allowed; absent means 5 s.
        pub timeout: Option<Duration>,
        /// Headers to send.
        pub headers: Vec<ProviderHeader>,
    }

    /// Traces by OpenTelemetry's protocol.
    #[derive(Eq)]
    pub struct OpenTelemetryProvider {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Longest path in a tag; zero means 256.
        pub max_tag_length: u32,
        /// Send by HTTP instead of gRPC.
        pub http: Option<OtelHttp>,
        /// Settings of gRPC.
        pub grpc: Option<OtelGrpc>,
        /// Where attributes of the resource come from; kept as written.
        pub resource_detectors: Option<Value>,
        /// Sampler; kept as written.
        pub dynatrace_sampler: Option<Value>,
        /// Name of the service in spans; kept as written.
        pub service_attribute_enrichment: Option<Value>,
    }

    /// Sending by HTTP.
    #[derive(Eq)]
    pub struct OtelHttp {
        /// Path.
        pub path: String,
        /// Time allowed.
        pub timeout: Option<Duration>,
        /// Headers to send.
        pub headers: Vec<ProviderHeader>,
    }

    /// Settings of gRPC.
    #[derive(Eq)]
    pub struct OtelGrpc {
        /// Time allowed.
        pub timeout: Option<Duration>,
        /// Metadata to send.
        pub initial_metadata: Vec<ProviderHeader>,
    }

    /// A header to send.
    #[derive(Eq)]
    pub struct ProviderHeader {
        /// Name.
        pub name: String,
        /// Value.
        pub value: Option<String>,
        /// Variable of the environment that holds the value.
        pub env_name: Option<String>,
    }

    /// Metrics for Prometheus.
    #[derive(Eq)]
    pub struct PrometheusProvider {}

    /// Access log in a file.
    pub struct FileAccessLogProvider {
        /// The file.
        pub path: String,
        /// Format; absent means the mesh's.
        pub log_format: Option<FileLogFormat>,
        /// Whether an empty value is left out.
        pub omit_empty_values: bool,
    }

    /// Format of lines; one of the two.
    pub struct FileLogFormat {
        /// As text.
        pub text: Option<String>,
        /// As JSON.
        pub labels: Option<Value>,
    }

    /// Access log by gRPC.
    #[derive(Eq)]
    pub struct AccessLogServiceProvider {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Name of the log.
        pub log_name: String,
        /// Filter state to log.
        pub filter_state_objects_to_log: Vec<String>,
        /// Request headers to log.
        pub additional_request_headers_to_log: Vec<String>,
        /// Response headers to log.
        pub additional_response_headers_to_log: Vec<String>,
        /// Response trailers to log.
        pub additional_response_trailers_to_log: Vec<String>,
    }

    /// Access log by OpenTelemetry's protocol.
    pub struct OtelAccessLogProvider {
        /// Host of the service, `[namespace/]host`.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Name of the log.
        pub log_name: String,
        /// Format.
        pub log_format: Option<FileLogFormat>,
    }
}
