//! Messages of Istio's own filters and of its name table, which Envoy's API does not have.

macro_rules! named {
    ($type:ty, $package:literal, $name:literal) => {
        impl prost::Name for $type {
            const NAME: &'static str = $name;
            const PACKAGE: &'static str = $package;
        }
    };
}

/// An empty message: a choice without settings.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Nothing {}

/// A way to learn who the peer is.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerMethod {
    /// From the baggage header.
    #[prost(message, optional, tag = "1")]
    pub(crate) baggage: Option<Nothing>,
    /// From workload discovery.
    #[prost(message, optional, tag = "2")]
    pub(crate) workload_discovery: Option<Nothing>,
    /// From Istio's own headers.
    #[prost(message, optional, tag = "3")]
    pub(crate) istio_headers: Option<Nothing>,
}

/// `istio.metadata_exchange` for HTTP.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerMetadata {
    /// How the client is learnt.
    #[prost(message, repeated, tag = "1")]
    pub(crate) downstream_discovery: Vec<PeerMethod>,
    /// How the server is learnt.
    #[prost(message, repeated, tag = "2")]
    pub(crate) upstream_discovery: Vec<PeerMethod>,
    /// How the client is told who we are.
    #[prost(message, repeated, tag = "3")]
    pub(crate) downstream_propagation: Vec<PeerMethod>,
    /// How the server is told who we are.
    #[prost(message, repeated, tag = "4")]
    pub(crate) upstream_propagation: Vec<PeerMethod>,
    /// Whether workload discovery is shared with upstream filters.
    #[prost(bool, tag = "5")]
    pub(crate) shared_with_upstream: bool,
}
named!(PeerMetadata, "io.istio.http.peer_metadata", "Config");

/// `istio.metadata_exchange` for TCP.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MetadataExchange {
    /// The ALPN that stands for the exchange.
    #[prost(string, tag = "1")]
    pub(crate) protocol: String,
}
named!(MetadataExchange, "envoy.tcp.metadataexchange.config", "MetadataExchange");

/// `istio.alpn`: which ALPN an upstream connection offers.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Alpn {
    /// One entry per HTTP version.
    #[prost(message, repeated, tag = "1")]
    pub(crate) alpn_override: Vec<AlpnOverride>,
}
named!(Alpn, "istio.envoy.config.filter.http.alpn.v2alpha1", "FilterConfig");

/// The ALPN of one HTTP version.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AlpnOverride {
    /// 0 is HTTP/1.0, 1 HTTP/1.1, 2 HTTP/2.
    #[prost(int32, tag = "1")]
    pub(crate) upstream_protocol: i32,
    /// What is offered, best first.
    #[prost(string, repeated, tag = "2")]
    pub(crate) alpn_override: Vec<String>,
}

/// `istio.stats`: the standard metrics.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatsPlugin {
    /// Whether the Host header may not stand in for an unknown service.
    #[prost(bool, tag = "6")]
    pub(crate) disable_host_header_fallback: bool,
    /// Time between reports of connections.
    #[prost(message, optional, tag = "7")]
    pub(crate) tcp_reporting_duration: Option<prost_types::Duration>,
    /// Changes of single metrics.
    #[prost(message, repeated, tag = "8")]
    pub(crate) metrics: Vec<MetricConfig>,
}
named!(StatsPlugin, "stats", "PluginConfig");

/// How one metric differs from the standard.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MetricConfig {
    /// Labels set, by expression.
    #[prost(btree_map = "string, string", tag = "1")]
    pub(crate) dimensions: std::collections::BTreeMap<String, String>,
    /// Name without `istio_`.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Labels left out.
    #[prost(string, repeated, tag = "3")]
    pub(crate) tags_to_remove: Vec<String>,
    /// Whether the metric is left out.
    #[prost(bool, tag = "5")]
    pub(crate) drop: bool,
}

/// The addresses of every host, for the proxy's DNS server.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NameTable {
    /// By host.
    #[prost(btree_map = "string, message", tag = "1")]
    pub table: std::collections::BTreeMap<String, NameInfo>,
}
named!(NameTable, "istio.networking.nds.v1", "NameTable");

/// What the name table knows of a host.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NameInfo {
    /// Its addresses.
    #[prost(string, repeated, tag = "1")]
    pub ips: Vec<String>,
    /// `Kubernetes` or `External`.
    #[prost(string, tag = "2")]
    pub registry: String,
    /// Name within its namespace.
    #[prost(string, tag = "3")]
    pub shortname: String,
    /// Its namespace.
    #[prost(string, tag = "4")]
    pub namespace: String,
}
