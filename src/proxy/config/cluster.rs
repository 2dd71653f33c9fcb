//! Compiled clusters and endpoint assignments.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use super::assignment::{self, Assignment, DnsTarget};
use super::cluster_transport::{Transport, TransportMatch, compile_match, compile_transport};
use super::field::{FieldError, Within, refuse_fields, refuse_if};
use super::load_balancing::{LbPolicy, SlowStart, compile_lb, locality_weighted, panic_percent};
use super::proto::{self, cluster, core, upstream_http};
use super::source_addresses::SourceAddresses;
use super::upstream_limits::{Keepalive, Outlier, Thresholds};
use crate::tls::context::Secrets;

/// How a cluster finds its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// From the resource itself.
    Static,
    /// From EDS under this name.
    Eds(String),
    /// Names resolved again and again, every address an endpoint.
    StrictDns,
    /// A name resolved again and again, one address at a time.
    LogicalDns,
    /// Where the connection was going.
    OriginalDst,
}

/// HTTP version towards the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    Http1,
    Http2,
    /// As the downstream request came.
    Downstream,
    /// By ALPN.
    Auto,
}

/// A compiled cluster.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) name: Arc<str>,
    pub(crate) stat_name: Arc<str>,
    pub(crate) hash: u64,
    /// Of everything that connections are opened by.
    connect_hash: u64,
    pub(crate) discovery: Discovery,
    pub(crate) assignment: Option<Arc<Assignment>>,
    pub(crate) dns: Vec<DnsTarget>,
    pub(crate) lb: LbPolicy,
    /// New endpoints get traffic slowly.
    pub(crate) slow_start: Option<SlowStart>,
    pub(crate) connect_timeout: Duration,
    pub(crate) http: HttpVersion,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_requests: u32,
    /// Most bytes and most headers of a response head.
    pub(crate) response_head: (usize, usize),
    /// Most requests at once on an HTTP/2 connection.
    pub(crate) h2_streams: Option<u32>,
    /// HTTP/2 connections are asked now and then whether they still live: how often, and how long an answer may take.
    pub(crate) h2_keepalive: Option<Keepalive>,
    pub(crate) thresholds: Thresholds,
    pub(crate) outlier: Option<Outlier>,
    pub(crate) panic_percent: u32,
    /// Localities have their share by weight, however many endpoints they have.
    pub(crate) locality_weighted: bool,
    /// From where connections are made.
    pub(crate) bind: SourceAddresses,
    pub(crate) transports: Vec<TransportMatch>,
    pub(crate) transport: Transport,
    /// Sidecars tell each other who they are on TCP connections.
    pub(crate) metadata_exchange: bool,
    pub(crate) auto_sni: bool,
    pub(crate) keepalive: Option<(Option<u32>, Option<u32>, Option<u32>)>,
    pub(crate) original_dst_header: Option<Box<[u8]>>,
    pub(crate) port_override: Option<u16>,
    /// Host, short name and namespace of the service, for metrics.
    pub(crate) service: Option<(Arc<str>, Arc<str>, Arc<str>)>,
    /// `alpn_override: "false"` in the cluster's metadata stops `istio.alpn`.
    pub(crate) alpn_override: bool,
}

impl Cluster {
    pub(crate) fn compile(
        from: &cluster::Cluster,
        previous: Option<&Arc<Self>>,
        secrets: &Arc<Secrets>,
    ) -> Result<Arc<Self>, FieldError> {
        let mut hasher = std::hash::DefaultHasher::new();
        from.encode_to_vec().hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(same) = previous.filter(|old| old.hash == hash) {
            return Ok(same.clone());
        }
        refuse_unsupported(from)?;
        let discovery = compile_discovery(from)?;
        let options = http_options(from)?;
        let common =
            options.common_http_protocol_options.or(from.common_http_protocol_options).unwrap_or_default();
        let names = options.upstream_http_protocol_options.as_ref();
        let auto_san = names.is_some_and(|names| names.auto_san_validation);
        let (transports, transport) = compile_transports(from, secrets, auto_san)?;
        let (original_dst_header, port_override) = original_dst(from);
        let (assignment, dns) = assignment::compile_inline(from, &discovery)?;
        let override_mode = proto::metadata_text(from.metadata.as_ref(), "istio", "alpn_override");
        Ok(Arc::new(Self {
            name: from.name.as_str().into(),
            stat_name: stat_name(from).into(),
            hash,
            connect_hash: connect_hash(from),
            discovery,
            assignment,
            dns,
            lb: compile_lb(from)?,
            slow_start: SlowStart::of(from),
            connect_timeout: proto::timeout(from.connect_timeout.as_ref(), None)
                .unwrap_or(Duration::from_secs(5)),
            http: http_version(from, &options),
            h2_streams: http2_options(from, &options).and_then(|o| o.max_concurrent_streams.map(|n| n.value)),
            h2_keepalive: http2_options(from, &options)
                .and_then(|options| Keepalive::compile(options.connection_keepalive.as_ref())),
            idle_timeout: proto::timeout(common.idle_timeout.as_ref(), Some(Duration::from_secs(3600))),
            max_requests: proto::uint(
                common.max_requests_per_connection.as_ref().or(from.max_requests_per_connection.as_ref()),
                0,
            ),
            response_head: (
                proto::uint(common.max_response_headers_kb.as_ref(), 80) as usize * 1024,
                proto::uint(common.max_headers_count.as_ref(), 100) as usize,
            ),
            thresholds: Thresholds::compile(from).within("circuit_breakers")?,
            outlier: from
                .outlier_detection
                .as_ref()
                .map(Outlier::compile)
                .transpose()
                .within("outlier_detection")?,
            panic_percent: panic_percent(from),
            locality_weighted: locality_weighted(from),
            bind: SourceAddresses::compile(from.upstream_bind_config.as_ref())
                .within("upstream_bind_config")?,
            transports,
            transport,
            metadata_exchange: compile_filters(from)?,
            auto_sni: options.upstream_http_protocol_options.as_ref().is_some_and(|o| o.auto_sni),
            keepalive: tcp_keepalive(from),
            original_dst_header,
            port_override,
            service: service_of(from.metadata.as_ref()),
            alpn_override: override_mode != Some("false"),
        }))
    }
}

impl Cluster {
    /// Whether connections of the one can serve the other.
    pub(crate) fn connects_like(&self, other: &Self) -> bool {
        self.connect_hash == other.connect_hash
    }
}

fn connect_hash(from: &cluster::Cluster) -> u64 {
    let parts = cluster::Cluster {
        name: from.name.clone(),
        transport_socket: from.transport_socket.clone(),
        transport_socket_matches: from.transport_socket_matches.clone(),
        typed_extension_protocol_options: from.typed_extension_protocol_options.clone(),
        http2_protocol_options: from.http2_protocol_options.clone(),
        upstream_bind_config: from.upstream_bind_config.clone(),
        upstream_connection_options: from.upstream_connection_options,
        ..cluster::Cluster::default()
    };
    let mut hasher = std::hash::DefaultHasher::new();
    parts.encode_to_vec().hash(&mut hasher);
    hasher.finish()
}

fn stat_name(from: &cluster::Cluster) -> &str {
    if from.alt_stat_name.is_empty() { &from.name } else { from.alt_stat_name.trim_end_matches(';') }
}

/// Transports by labels of the endpoint, and the one of all others.
fn compile_transports(
    from: &cluster::Cluster,
    secrets: &Arc<Secrets>,
    auto_san: bool,
) -> Result<(Vec<TransportMatch>, Transport), FieldError> {
    let mut transports = Vec::new();
    for (index, each) in from.transport_socket_matches.iter().enumerate() {
        transports
            .push(compile_match(each, secrets, auto_san).within_item("transport_socket_matches", index)?);
    }
    let other = from.transport_socket.as_ref().map(|socket| compile_transport(socket, secrets, auto_san));
    Ok((transports, other.transpose().within("transport_socket")?.unwrap_or_default()))
}

/// Time, interval and probes, as far as they are given.
fn tcp_keepalive(from: &cluster::Cluster) -> Option<(Option<u32>, Option<u32>, Option<u32>)> {
    let keepalive = from.upstream_connection_options.as_ref()?.tcp_keepalive.as_ref()?;
    Some((
        keepalive.keepalive_time.as_ref().map(|value| value.value),
        keepalive.keepalive_interval.as_ref().map(|value| value.value),
        keepalive.keepalive_probes.as_ref().map(|value| value.value),
    ))
}

/// The header that names the endpoint, and the port that is taken instead of the original one.
fn original_dst(from: &cluster::Cluster) -> (Option<Box<[u8]>>, Option<u16>) {
    let Some(cluster::cluster::LbConfig::OriginalDstLbConfig(config)) = &from.lb_config else {
        return (None, None);
    };
    let name = match config.http_header_name.as_str() {
        "" => "x-envoy-original-dst-host",
        name => name,
    };
    let header = config.use_http_header.then(|| name.to_ascii_lowercase().into_bytes().into());
    let port = config.upstream_port_override.as_ref().and_then(|port| u16::try_from(port.value).ok());
    (header, port)
}

fn compile_discovery(from: &cluster::Cluster) -> Result<Discovery, FieldError> {
    use cluster::cluster::{ClusterDiscoveryType, DiscoveryType};
    let kind = match &from.cluster_discovery_type {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind)
            .map_err(|_| FieldError::new("type", format!("{kind} is not a discovery type")))?,
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            return Err(FieldError::new("cluster_type", format!("{:?} is not supported", custom.name)));
        }
    };
    Ok(match kind {
        DiscoveryType::Static => Discovery::Static,
        DiscoveryType::StrictDns => Discovery::StrictDns,
        DiscoveryType::LogicalDns => Discovery::LogicalDns,
        DiscoveryType::OriginalDst => Discovery::OriginalDst,
        DiscoveryType::Eds => {
            let service = from.eds_cluster_config.as_ref().map_or("", |eds| eds.service_name.as_str());
            Discovery::Eds(if service.is_empty() { from.name.clone() } else { service.to_owned() })
        }
    })
}

fn http_options(from: &cluster::Cluster) -> Result<upstream_http::HttpProtocolOptions, FieldError> {
    let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    for (name, any) in &from.typed_extension_protocol_options {
        if proto::short_type(&any.type_url) != key {
            let reason = format!("{} is not supported; known: {key}", any.type_url);
            return Err(FieldError::new(format!("typed_extension_protocol_options[{name:?}]"), reason));
        }
    }
    let found = from.typed_extension_protocol_options.get(key).map(proto::decode).transpose();
    found.within("typed_extension_protocol_options").map(Option::unwrap_or_default)
}

#[allow(deprecated, reason = "control planes still say it so")]
fn http2_options<'c>(
    from: &'c cluster::Cluster,
    options: &'c upstream_http::HttpProtocolOptions,
) -> Option<&'c core::Http2ProtocolOptions> {
    use upstream_http::http_protocol_options::UpstreamProtocolOptions as Options;
    use upstream_http::http_protocol_options::explicit_http_config::ProtocolConfig;
    match &options.upstream_protocol_options {
        Some(Options::ExplicitHttpConfig(explicit)) => match &explicit.protocol_config {
            Some(ProtocolConfig::Http2ProtocolOptions(http2)) => Some(http2),
            _ => None,
        },
        Some(Options::UseDownstreamProtocolConfig(both)) => both.http2_protocol_options.as_ref(),
        Some(Options::AutoConfig(both)) => both.http2_protocol_options.as_ref(),
        None => from.http2_protocol_options.as_ref(),
    }
}

/// What a cluster may say that would have to be honored, and is not.
fn refuse_unsupported(from: &cluster::Cluster) -> Result<(), FieldError> {
    let health_checks = !from.health_checks.is_empty();
    refuse_if(health_checks, "health_checks", "active health checks are not supported yet")?;
    let subsets = from.lb_subset_config.is_some();
    refuse_if(subsets, "lb_subset_config", "is not supported; use one cluster for each subset")?;
    let matcher = from.transport_socket_matcher.is_some();
    refuse_if(matcher, "transport_socket_matcher", "is not supported; use transport_socket_matches")?;
    refuse_fields!(
        from,
        use_tcp_for_dns_lookups,
        typed_dns_resolver_config,
        close_connections_on_host_health_failure,
        ignore_health_on_host_removal,
        upstream_config,
        preconnect_policy,
        connection_pool_per_downstream_connection,
    );
    if let Some(common) = &from.common_lb_config {
        refuse_fields!(common, close_connections_on_host_set_change, override_host_status);
    }
    if let Some(bind) = &from.upstream_bind_config {
        refuse_fields!(bind, freebind, socket_options, additional_source_addresses);
    }
    Ok(())
}

fn http_version(from: &cluster::Cluster, options: &upstream_http::HttpProtocolOptions) -> HttpVersion {
    use upstream_http::http_protocol_options::UpstreamProtocolOptions as Options;
    use upstream_http::http_protocol_options::explicit_http_config::ProtocolConfig;
    match &options.upstream_protocol_options {
        Some(Options::ExplicitHttpConfig(explicit)) => match &explicit.protocol_config {
            Some(ProtocolConfig::Http2ProtocolOptions(_)) => HttpVersion::Http2,
            _ => HttpVersion::Http1,
        },
        Some(Options::UseDownstreamProtocolConfig(_)) => HttpVersion::Downstream,
        Some(Options::AutoConfig(_)) => HttpVersion::Auto,
        None if from.http2_protocol_options.is_some() => HttpVersion::Http2,
        None if from.protocol_selection == 1 => HttpVersion::Downstream,
        None => HttpVersion::Http1,
    }
}

/// Whether the filter for metadata exchange is there, the only one known for upstream connections.
fn compile_filters(from: &cluster::Cluster) -> Result<bool, FieldError> {
    for (index, filter) in from.filters.iter().enumerate() {
        let any = filter.typed_config.as_ref();
        let any =
            any.ok_or_else(|| FieldError::new(format!("filters[{index}].typed_config"), "is missing"))?;
        let any = super::typed_struct::unwrap(any).within_item("filters", index)?;
        if proto::short_type(&any.type_url) != "envoy.tcp.metadataexchange.config.MetadataExchange" {
            let reason = format!("{} is not supported; known: istio.metadata_exchange", any.type_url);
            return Err(FieldError::new(format!("filters[{index}].typed_config"), reason));
        }
    }
    Ok(!from.filters.is_empty())
}

pub(super) fn text_fields(from: &envoy_types::pb::google::protobuf::Struct) -> BTreeMap<String, String> {
    use envoy_types::pb::google::protobuf::value::Kind;
    from.fields
        .iter()
        .filter_map(|(key, value)| match value.kind.as_ref() {
            Some(Kind::StringValue(text)) => Some((key.clone(), text.clone())),
            _ => None,
        })
        .collect()
}

fn service_of(from: Option<&core::Metadata>) -> Option<(Arc<str>, Arc<str>, Arc<str>)> {
    use envoy_types::pb::google::protobuf::value::Kind;
    let Kind::ListValue(list) = from?.filter_metadata.get("istio")?.fields.get("services")?.kind.as_ref()?
    else {
        return None;
    };
    let Kind::StructValue(first) = list.values.first()?.kind.as_ref()? else { return None };
    let fields = text_fields(first);
    let get = |key: &str| Arc::from(fields.get(key).map_or("", String::as_str));
    Some((get("host"), get("name"), get("namespace")))
}
