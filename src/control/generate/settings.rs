//! The mesh-wide settings that generators read.

use sagene_api::Duration;
use sagene_api::istio::networking::traffic_policy::connection_pool::TcpKeepalive;
use sagene_api::istio::networking::virtual_service::HttpRetry;
use sagene_model::Mesh;

/// How far request paths are normalized before anything looks at them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathNormalization {
    /// Not at all.
    None,
    /// RFC 3986, and `\` becomes `/`.
    #[default]
    Base,
    /// And `//` becomes `/`.
    MergeSlashes,
    /// And `%2F` and `%5C` are decoded before.
    DecodeAndMergeSlashes,
}

/// How lines of the access log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLogEncoding {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// Settings of the whole mesh; the defaults are Istio's.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the shapes mean by.
    pub mesh: Mesh,
    /// Port of the sidecar's outbound listener.
    pub proxy_listen_port: u16,
    /// Port of the sidecar's inbound listener.
    pub proxy_inbound_listen_port: u16,
    /// Time allowed to connect.
    pub connect_timeout: Duration,
    /// Time allowed to tell the protocol of a connection; zero means no limit.
    pub protocol_detection_timeout: Duration,
    /// Keepalive of connections to endpoints.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// File of the access log; empty means none.
    pub access_log_file: String,
    /// Format of its lines; empty means Istio's.
    pub access_log_format: String,
    /// How its lines look.
    pub access_log_encoding: AccessLogEncoding,
    /// Whether connections without a filter chain go unlogged.
    pub disable_envoy_listener_log: bool,
    /// Whether requests are traced.
    pub enable_tracing: bool,
    /// Share of requests traced, in percent.
    pub trace_sampling: f64,
    /// Whether traffic for unknown hosts may leave.
    pub outbound_allow_any: bool,
    /// Whether inbound traffic goes to 127.0.0.1 instead of the pod's address.
    pub inbound_localhost: bool,
    /// Time between DNS queries of proxies.
    pub dns_refresh_rate: Duration,
    /// Whether HTTP/1.1 requests are sent over HTTP/2 by default.
    pub h2_upgrade: bool,
    /// How far paths are normalized.
    pub path_normalization: PathNormalization,
    /// Retries where a route says nothing; `None` means Istio's two.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// Preference of near endpoints where outlier detection is on.
    pub locality_load_balancing: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh: Mesh::default(),
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            connect_timeout: Duration::from_secs(10),
            protocol_detection_timeout: Duration::ZERO,
            tcp_keepalive: None,
            access_log_file: String::new(),
            access_log_format: String::new(),
            access_log_encoding: AccessLogEncoding::Text,
            disable_envoy_listener_log: false,
            enable_tracing: true,
            trace_sampling: 1.0,
            outbound_allow_any: true,
            inbound_localhost: false,
            dns_refresh_rate: Duration::from_secs(60),
            h2_upgrade: false,
            path_normalization: PathNormalization::Base,
            default_http_retry_policy: None,
            locality_load_balancing: true,
        }
    }
}
