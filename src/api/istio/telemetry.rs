//! Telemetry: what the proxies of a namespace or workload report.

use std::collections::BTreeMap;

use super::IstioStatus;
use super::types::{PolicyTargetReference, WorkloadSelector};
use crate::Duration;
use crate::schema::rules;

shape! {
    /// What the selected proxies report.
    #[shape(extend("x-kubernetes-validations" =
        rules::selector_or_target("selector", &["selector", "targetRef", "targetRefs"])))]
    pub struct Telemetry {
        /// Workloads it applies to; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector>,
        /// Deprecated: the one object it attaches to.
        pub target_ref: Option<PolicyTargetReference>,
        /// Objects it attaches to.
        #[shape(length(max = 16))]
        pub target_refs: Vec<PolicyTargetReference>,
        /// Traces.
        pub tracing: Vec<Tracing>,
        /// Metrics.
        pub metrics: Vec<Metrics>,
        /// Access logs.
        pub access_logging: Vec<AccessLogging>,
    }

    /// Traces.
    pub struct Tracing {
        /// Side of the connection.
        pub r#match: Option<ModeMatch>,
        /// Providers; empty means the defaults.
        pub providers: Vec<ProviderRef>,
        /// Share of requests traced, in percent; absent means as the wider scope says.
        #[shape(range(min = 0, max = 100), extend("nullable" = true))]
        pub random_sampling_percentage: Option<f64>,
        /// Whether no spans are sent.
        #[shape(extend("nullable" = true))]
        pub disable_span_reporting: Option<bool>,
        /// Further tags.
        pub custom_tags: BTreeMap<String, CustomTag>,
        /// Whether the request id decides about sampling; absent means yes.
        #[shape(extend("nullable" = true))]
        pub use_request_id_for_trace_sampling: Option<bool>,
        /// Whether Istio's own tags are added; absent means yes.
        #[shape(extend("nullable" = true))]
        pub enable_istio_tags: Option<bool>,
        /// Whether trace headers are left alone.
        #[shape(extend("nullable" = true))]
        pub disable_context_propagation: Option<bool>,
    }

    /// Side of the connection.
    #[derive(Eq)]
    pub struct ModeMatch {
        /// The side.
        pub mode: TelemetryMode,
    }

    /// An extension provider of the mesh configuration.
    #[derive(Eq)]
    #[shape(extend("required" = ["name"]))]
    pub struct ProviderRef {
        /// Its name.
        #[shape(length(min = 1))]
        pub name: String,
    }

    /// A tag of spans.
    #[derive(Eq)]
    #[shape(extend("oneOf" = rules::one_of(&["literal", "environment", "header", "formatter"])))]
    pub struct CustomTag {
        /// A fixed value.
        pub literal: Option<ValueTag>,
        /// A variable of the proxy's environment.
        pub environment: Option<NamedTag>,
        /// A request header.
        pub header: Option<NamedTag>,
        /// A format string of the access log.
        pub formatter: Option<ValueTag>,
    }

    /// A tag by value.
    #[derive(Eq)]
    #[shape(extend("required" = ["value"]))]
    pub struct ValueTag {
        /// The value.
        #[shape(length(min = 1))]
        pub value: String,
    }

    /// A tag by name.
    #[derive(Eq)]
    #[shape(extend("required" = ["name"]))]
    pub struct NamedTag {
        /// The name.
        #[shape(length(min = 1))]
        pub name: String,
        /// Value where there is none of that name.
        pub default_value: String,
    }

    /// Metrics.
    #[derive(Eq)]
    pub struct Metrics {
        /// Providers; empty means the defaults.
        pub providers: Vec<ProviderRef>,
        /// Changes, applied in order.
        pub overrides: Vec<MetricsOverrides>,
        /// Time between reports of TCP metrics; absent means 5 s.
        pub reporting_interval: Option<Duration>,
    }

    /// A change of metrics.
    #[derive(Eq)]
    pub struct MetricsOverrides {
        /// Which metrics; absent means all.
        pub r#match: Option<MetricSelector>,
        /// Whether they are left out.
        #[shape(extend("nullable" = true))]
        pub disabled: Option<bool>,
        /// Changes of labels by name.
        pub tag_overrides: BTreeMap<String, TagOverride>,
    }

    /// Which metrics.
    #[derive(Eq)]
    #[shape(extend("oneOf" = rules::one_of(&["metric", "customMetric"])))]
    pub struct MetricSelector {
        /// One of Istio's.
        pub metric: Option<IstioMetric>,
        /// Another one, by name.
        #[shape(length(min = 1))]
        pub custom_metric: Option<String>,
        /// Side of the connection.
        pub mode: TelemetryMode,
    }

    /// A change of a label.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" = rules::rules(&[
        (
            "value must be set when operation is UPSERT",
            "((has(self.operation) ? self.operation : \"\") == \"UPSERT\") ? (self.value != \"\") : true",
        ),
        (
            "value must not be set when operation is REMOVE",
            "((has(self.operation) ? self.operation : \"\") == \"REMOVE\") ? !has(self.value) : true",
        ),
    ])))]
    pub struct TagOverride {
        /// What is done.
        pub operation: TagOperation,
        /// Value, a CEL expression.
        pub value: String,
    }

    /// Access logs.
    #[derive(Eq)]
    pub struct AccessLogging {
        /// Side of the connection.
        pub r#match: Option<ModeMatch>,
        /// Providers; empty means the defaults.
        pub providers: Vec<ProviderRef>,
        /// Whether nothing is logged.
        #[shape(extend("nullable" = true))]
        pub disabled: Option<bool>,
        /// Which requests are logged; absent means all.
        pub filter: Option<AccessLogFilter>,
    }

    /// Which requests are logged.
    #[derive(Eq)]
    pub struct AccessLogFilter {
        /// CEL expression.
        pub expression: String,
    }
}

string_enum! {
    /// Side of a connection.
    pub enum TelemetryMode {
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
        /// Outbound.
        Client = "CLIENT",
        /// Inbound.
        Server = "SERVER",
    }

    /// Istio's metrics.
    pub enum IstioMetric {
        /// All of them.
        AllMetrics = "ALL_METRICS",
        /// `istio_requests_total`.
        RequestCount = "REQUEST_COUNT",
        /// `istio_request_duration_milliseconds`.
        RequestDuration = "REQUEST_DURATION",
        /// `istio_request_bytes`.
        RequestSize = "REQUEST_SIZE",
        /// `istio_response_bytes`.
        ResponseSize = "RESPONSE_SIZE",
        /// `istio_tcp_connections_opened_total`.
        TcpOpenedConnections = "TCP_OPENED_CONNECTIONS",
        /// `istio_tcp_connections_closed_total`.
        TcpClosedConnections = "TCP_CLOSED_CONNECTIONS",
        /// `istio_tcp_sent_bytes_total`.
        TcpSentBytes = "TCP_SENT_BYTES",
        /// `istio_tcp_received_bytes_total`.
        TcpReceivedBytes = "TCP_RECEIVED_BYTES",
        /// `istio_request_messages_total`.
        GrpcRequestMessages = "GRPC_REQUEST_MESSAGES",
        /// `istio_response_messages_total`.
        GrpcResponseMessages = "GRPC_RESPONSE_MESSAGES",
    }

    /// What is done to a label.
    pub enum TagOperation {
        /// Set.
        Upsert = "UPSERT",
        /// Removed.
        Remove = "REMOVE",
    }
}

resource!(
    Telemetry,
    "telemetry.istio.io",
    "Telemetry",
    "telemetries",
    true,
    ["v1alpha1", "v1"],
    status = IstioStatus
);
