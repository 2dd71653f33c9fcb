//! ProxyConfig of the mesh configuration (`defaultConfig`): settings each proxy starts with.

use std::collections::BTreeMap;

use serde_json::Value;

use super::merge::merge_deep;
use crate::Duration;
use crate::istio::telemetry::CustomTag;
use crate::object::{ParseError, read_at};

shape_with_defaults! {
    /// Settings a proxy starts with.
    pub struct ProxyConfig {
        /// Folder of generated configuration.
        pub config_path: String = "./etc/istio/proxy".into(),
        /// The proxy's program.
        pub binary_path: String = "/usr/local/bin/envoy".into(),
        /// Name of the service in traces and statistics.
        pub service_cluster: String = "istio-proxy".into(),
        /// How that name is made.
        pub tracing_service_name: TracingServiceName = TracingServiceName::AppLabelAndNamespace,
        /// Time connections get to end when listeners change.
        pub drain_duration: Duration = Duration::from_secs(45),
        /// Time connections get to end when the proxy ends.
        pub termination_drain_duration: Duration = Duration::from_secs(5),
        /// Address of the control plane.
        pub discovery_address: String = "istiod.istio-system.svc:15012".into(),
        /// Deprecated.
        pub zipkin_address: String = String::new(),
        /// Address of a statsd collector; empty means none.
        pub statsd_udp_address: String = String::new(),
        /// Port of the administration interface.
        pub proxy_admin_port: u32 = 15000,
        /// How the control plane is authenticated.
        pub control_plane_auth_policy: AuthenticationPolicy = AuthenticationPolicy::MutualTls,
        /// Longest name of a statistic.
        pub stat_name_length: u32 = 189,
        /// Port of status and merged metrics.
        pub status_port: u32 = 15020,
        /// Worker threads; absent means by CPU limit, zero all cores.
        pub concurrency: Option<i32> = None,
        /// How traffic is captured.
        pub interception_mode: InboundInterceptionMode = InboundInterceptionMode::Redirect,
        /// Traces.
        pub tracing: Option<Tracing> = None,
        /// Environment of the proxy.
        pub proxy_metadata: BTreeMap<String, String> = BTreeMap::new(),
        /// Envoy runtime.
        pub runtime_values: BTreeMap<String, String> = BTreeMap::new(),
        /// Further labels of metrics.
        pub extra_stat_tags: Vec<String> = Vec::new(),
        /// Where gateways stand.
        pub gateway_topology: Option<Topology> = None,
        /// Name of the mesh.
        pub mesh_id: String = String::new(),
        /// Check of the application where there is no kubelet; kept as written.
        pub readiness_probe: Option<Value> = None,
        /// Further statistics that are kept.
        pub proxy_stats_matcher: Option<ProxyStatsMatcher> = None,
        /// Whether the application waits for the proxy.
        pub hold_application_until_proxy_starts: Option<bool> = None,
        /// Further trusted roots, PEM.
        pub ca_certificates_pem: Vec<String> = Vec::new(),
        /// Image.
        pub image: Option<ProxyImage> = None,
        /// Accelerated private keys; kept as written.
        pub private_key_provider: Option<Value> = None,
        /// Headers the proxy adds.
        pub proxy_headers: Option<ProxyHeaders> = None,
        /// Collector of access logs by gRPC.
        pub envoy_access_log_service: Option<RemoteService> = None,
        /// Collector of metrics by gRPC.
        pub envoy_metrics_service: Option<RemoteService> = None,
        /// Time between flushes of log files; absent means 1 s.
        pub file_flush_interval: Option<Duration> = None,
        /// Bytes (in KiB) that flush a log file; absent means 64.
        #[shape(name = "fileFlushMinSizeKb")]
        pub file_flush_min_size_kb: Option<u32> = None,
        /// After this silence a statistic is dropped.
        pub stats_eviction_interval: Option<Duration> = None,
        /// Whether metrics are compressed.
        pub stats_compression: bool = true,
        /// Limits of connections from outside.
        pub connection_settings: Option<ConnectionSettings> = None,
    }
}

shape! {
    /// Traces.
    pub struct Tracing {
        /// Zipkin collector.
        pub zipkin: Option<TracingAddress>,
        /// Lightstep; kept as written.
        pub lightstep: Option<Value>,
        /// Datadog agent.
        pub datadog: Option<TracingAddress>,
        /// Stackdriver; kept as written.
        pub stackdriver: Option<Value>,
        /// OpenCensus agent; kept as written.
        pub open_census_agent: Option<Value>,
        /// Further tags.
        pub custom_tags: BTreeMap<String, CustomTag>,
        /// Longest path in a tag; zero means 256.
        pub max_path_tag_length: u32,
        /// Share of requests traced, in percent; absent means 1.
        pub sampling: Option<f64>,
        /// TLS towards the collector; kept as written.
        pub tls_settings: Option<Value>,
        /// Whether Istio's own tags are added; absent means yes.
        pub enable_istio_tags: Option<bool>,
    }

    /// Where spans are sent.
    #[derive(Eq)]
    pub struct TracingAddress {
        /// `host:port`.
        pub address: String,
    }

    /// Where gateways stand.
    #[derive(Eq)]
    pub struct Topology {
        /// Trusted proxies in front.
        pub num_trusted_proxies: u32,
        /// What happens to X-Forwarded-Client-Cert.
        pub forward_client_cert_details: ForwardClientCertDetails,
        /// Whether connections begin with a PROXY protocol header.
        pub proxy_protocol: Option<ProxyProtocolConfiguration>,
    }

    /// Connections begin with a PROXY protocol header.
    #[derive(Eq)]
    pub struct ProxyProtocolConfiguration {}

    /// Further statistics that are kept.
    #[derive(Eq)]
    pub struct ProxyStatsMatcher {
        /// By prefix.
        pub inclusion_prefixes: Vec<String>,
        /// By suffix.
        pub inclusion_suffixes: Vec<String>,
        /// By RE2 expression.
        pub inclusion_regexps: Vec<String>,
    }

    /// Image.
    #[derive(Eq)]
    pub struct ProxyImage {
        /// `default`, `distroless` or `debug`.
        pub image_type: String,
    }

    /// Headers the proxy adds; absent means added.
    #[derive(Eq)]
    pub struct ProxyHeaders {
        /// X-Forwarded-Client-Cert.
        pub forwarded_client_cert: ForwardClientCertDetails,
        /// What X-Forwarded-Client-Cert says; kept as written.
        pub set_current_client_cert_details: Option<Value>,
        /// X-Request-Id.
        pub request_id: Option<HeaderSwitch>,
        /// Server.
        pub server: Option<ServerHeader>,
        /// X-Envoy-Attempt-Count.
        pub attempt_count: Option<HeaderSwitch>,
        /// X-Envoy-* for debugging.
        pub envoy_debug_headers: Option<HeaderSwitch>,
        /// X-Envoy-Peer-Metadata.
        pub metadata_exchange_headers: Option<Value>,
        /// Whether names of headers keep their case.
        pub preserve_http1_header_case: Option<bool>,
    }

    /// Whether a header is added.
    #[derive(Eq)]
    pub struct HeaderSwitch {
        /// Whether it is left out.
        pub disabled: Option<bool>,
    }

    /// Header `Server`.
    #[derive(Eq)]
    pub struct ServerHeader {
        /// Whether it is left out.
        pub disabled: Option<bool>,
        /// Its value; empty means `istio-envoy`.
        pub value: String,
    }

    /// A collector by gRPC.
    #[derive(Eq)]
    pub struct RemoteService {
        /// `host:port`.
        pub address: String,
        /// TLS; kept as written.
        pub tls_settings: Option<Value>,
        /// Keepalive; kept as written.
        pub tcp_keepalive: Option<Value>,
    }

    /// Limits of connections from outside.
    #[derive(Eq)]
    pub struct ConnectionSettings {
        /// A set of limits.
        pub profile: ConnectionProfile,
    }
}

string_enum! {
    /// How the name of a service in traces is made.
    pub enum TracingServiceName {
        /// `<app label>.<namespace>`.
        AppLabelAndNamespace = "APP_LABEL_AND_NAMESPACE",
        /// The canonical name.
        CanonicalNameOnly = "CANONICAL_NAME_ONLY",
        /// `<canonical name>.<namespace>`.
        CanonicalNameAndNamespace = "CANONICAL_NAME_AND_NAMESPACE",
    }

    /// How the control plane is authenticated.
    pub enum AuthenticationPolicy {
        /// Not at all.
        None = "NONE",
        /// By mutual TLS.
        MutualTls = "MUTUAL_TLS",
        /// As the wider scope says.
        Inherit = "INHERIT",
    }

    /// How traffic is captured.
    pub enum InboundInterceptionMode {
        /// By address translation.
        Redirect = "REDIRECT",
        /// By policy routing; the source address stays.
        Tproxy = "TPROXY",
        /// Not at all.
        None = "NONE",
    }

    /// What happens to X-Forwarded-Client-Cert.
    pub enum ForwardClientCertDetails {
        /// The default of the proxy's role.
        Undefined = "UNDEFINED",
        /// Removed.
        Sanitize = "SANITIZE",
        /// Forwarded over mutual TLS.
        ForwardOnly = "FORWARD_ONLY",
        /// Forwarded over mutual TLS, with the client's added.
        AppendForward = "APPEND_FORWARD",
        /// Replaced by the client's.
        SanitizeSet = "SANITIZE_SET",
        /// Forwarded always.
        AlwaysForwardOnly = "ALWAYS_FORWARD_ONLY",
    }

    /// A set of limits.
    pub enum ConnectionProfile {
        /// By the proxy's role.
        Unspecified = "UNSPECIFIED",
        /// Trusted peers.
        Sidecar = "SIDECAR",
        /// Unknown peers.
        Edge = "EDGE",
    }
}

impl ProxyConfig {
    /// This configuration with `overlay` (an annotation, a resource) put over it.
    pub fn overlaid(&self, overlay: Value) -> Result<Self, ParseError> {
        let mut merged = serde_json::to_value(self).unwrap_or_default();
        merge_deep(&mut merged, overlay);
        read_at(merged, "")
    }
}
