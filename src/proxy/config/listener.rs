//! Compiled listeners and filter chains, and Envoy's order of choosing a chain.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use super::access_log::AccessLog;
use super::field::{FieldError, Within, refuse_fields, refuse_if};
use super::http_manager::HttpManager;
use super::matcher::Cidr;
use super::network_filter::{NetworkFilters, TcpProxy};
use super::proto::{self, listener, tls};
use super::socket_options::SocketOption;
use crate::tls::context::{DownstreamTls, Secrets};

/// Which way the traffic of a listener goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Not said (gateways of plain Envoy).
    Unspecified,
    /// To the workload.
    Inbound,
    /// From the workload.
    Outbound,
}

/// A compiled listener.
#[derive(Debug)]
pub struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) bind_to_port: bool,
    pub(crate) use_original_dst: bool,
    pub(crate) original_dst_filter: bool,
    /// Takes connections to any address that the kernel is told to bring here.
    pub(crate) transparent: bool,
    /// Of its sockets.
    pub(crate) socket_options: Vec<SocketOption>,
    /// Upstreams see the client's address: `SO_MARK` of connections in its name, 0 = none.
    pub(crate) original_source: Option<u32>,
    pub(crate) tls_inspector: Option<Disabled>,
    pub(crate) http_inspector: Option<Disabled>,
    /// Connections begin with a PROXY header.
    pub(crate) proxy_protocol: Option<ProxyHeader>,
    pub(crate) filters_timeout: Option<Duration>,
    pub(crate) continue_on_timeout: bool,
    pub(crate) direction: Direction,
    /// Bytes of a request or response that may wait.
    pub(crate) buffer_limit: usize,
    pub(crate) chains: Vec<Arc<FilterChain>>,
    pub(crate) default_chain: Option<Arc<FilterChain>>,
    pub(crate) access_logs: Vec<Arc<AccessLog>>,
}

/// What is expected of PROXY headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProxyHeader {
    /// Connections without one are served, too.
    pub(crate) optional: bool,
}

impl ProxyHeader {
    fn compile(from: &proto::listener_filter::proxy_protocol::v3::ProxyProtocol) -> Result<Self, FieldError> {
        refuse_if(!from.rules.is_empty(), "rules", "extensions of the PROXY header are not kept")?;
        refuse_if(from.pass_through_tlvs.is_some(), "pass_through_tlvs", "is not supported")?;
        refuse_if(!from.disallowed_versions.is_empty(), "disallowed_versions", "is not supported")?;
        Ok(Self { optional: from.allow_requests_without_proxy_protocol })
    }
}

/// Destination ports for which a listener filter does not run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disabled(Vec<(i32, i32)>);

impl Disabled {
    pub(crate) fn covers(&self, port: u16) -> bool {
        self.0.iter().any(|(start, end)| (*start..*end).contains(&i32::from(port)))
    }
}

/// A compiled filter chain. Chains that did not change are shared between versions of their listener.
#[derive(Debug)]
pub struct FilterChain {
    pub(crate) hash: u64,
    pub(crate) rule: ChainMatch,
    pub(crate) tls: Option<Arc<DownstreamTls>>,
    /// Time for its handshake.
    pub(crate) handshake: Duration,
    pub(crate) filters: NetworkFilters,
    pub(crate) terminal: Terminal,
}

/// What ends a filter chain.
#[derive(Debug)]
pub(crate) enum Terminal {
    Http(Arc<HttpManager>),
    Tcp(Arc<TcpProxy>),
    /// No filter at all: the connection is closed.
    Close,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChainMatch {
    port: Option<u16>,
    destinations: Vec<Cidr>,
    server_names: Vec<String>,
    transport: String,
    alpn: Vec<String>,
    direct_sources: Vec<Cidr>,
    source_type: i32,
    sources: Vec<Cidr>,
    source_ports: Vec<u32>,
}

/// What is known of a connection when its chain is chosen.
#[derive(Debug, Clone)]
pub(crate) struct ChainQuery<'q> {
    pub(crate) destination: SocketAddr,
    pub(crate) source: SocketAddr,
    pub(crate) direct_source: SocketAddr,
    pub(crate) server_name: &'q str,
    pub(crate) tls: bool,
    pub(crate) alpn: &'q [String],
}

impl Listener {
    /// Compiles a listener; chains equal to those of `previous` are taken over.
    pub(crate) fn compile(
        from: &listener::Listener,
        previous: Option<&Listener>,
        secrets: &Arc<Secrets>,
    ) -> Result<Self, FieldError> {
        refuse_unsupported(from)?;
        let mut addresses = Vec::new();
        let main = from.address.as_ref().ok_or_else(|| FieldError::new("address", "is missing"))?;
        addresses.push(proto::socket_address(main).within("address")?);
        for (index, extra) in from.additional_addresses.iter().enumerate() {
            if let Some(address) = &extra.address {
                addresses.push(proto::socket_address(address).within_item("additional_addresses", index)?);
                refuse_fields!(extra, socket_options);
            }
        }
        let direction = match from.traffic_direction {
            1 => Direction::Inbound,
            2 => Direction::Outbound,
            _ => Direction::Unspecified,
        };
        let mut compiled = Self {
            name: listener_name(from).into(),
            addresses,
            bind_to_port: from.bind_to_port.as_ref().is_none_or(|b| b.value)
                && from
                    .deprecated_v1
                    .as_ref()
                    .and_then(|v1| v1.bind_to_port.as_ref())
                    .is_none_or(|b| b.value),
            use_original_dst: from.use_original_dst.as_ref().is_some_and(|b| b.value),
            original_dst_filter: false,
            socket_options: SocketOption::compile_all(&from.socket_options)?,
            transparent: from.transparent.as_ref().is_some_and(|b| b.value),
            original_source: None,
            tls_inspector: None,
            http_inspector: None,
            proxy_protocol: None,
            filters_timeout: proto::timeout(
                from.listener_filters_timeout.as_ref(),
                Some(Duration::from_secs(15)),
            ),
            continue_on_timeout: from.continue_on_listener_filters_timeout,
            direction,
            buffer_limit: proto::uint(from.per_connection_buffer_limit_bytes.as_ref(), 1 << 20) as usize,
            chains: Vec::new(),
            default_chain: None,
            access_logs: super::access_log::compile_all(&from.access_log)?,
        };
        for (index, filter) in from.listener_filters.iter().enumerate() {
            compiled.add_listener_filter(filter).within_item("listener_filters", index)?;
        }
        for (index, chain) in from.filter_chains.iter().enumerate() {
            let chain = FilterChain::compile(chain, direction, previous, secrets)
                .within_item("filter_chains", index)?;
            if compiled.chains.iter().any(|other| other.rule == chain.rule) {
                let reason = "has the same match as an earlier chain of this listener";
                return Err(FieldError::new(format!("filter_chains[{index}].filter_chain_match"), reason));
            }
            compiled.chains.push(chain);
        }
        if let Some(chain) = &from.default_filter_chain {
            compiled.default_chain = Some(
                FilterChain::compile(chain, direction, previous, secrets).within("default_filter_chain")?,
            );
        }
        Ok(compiled)
    }

    fn add_listener_filter(&mut self, filter: &listener::ListenerFilter) -> Result<(), FieldError> {
        use listener::listener_filter::ConfigType;
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
            return Err(FieldError::new("typed_config", "is missing"));
        };
        let disabled = filter.filter_disabled.as_ref().map(compile_disabled).transpose()?.unwrap_or_default();
        match proto::short_type(&any.type_url) {
            "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" => {
                self.original_dst_filter = true
            }
            "envoy.extensions.filters.listener.original_src.v3.OriginalSrc" => {
                let from: proto::listener_filter::original_src::v3::OriginalSrc = proto::decode(any)?;
                refuse_if(from.bind_port, "typed_config.bind_port", "the client's port is not kept")?;
                self.original_source = Some(from.mark);
            }
            "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" => {
                self.tls_inspector = Some(disabled)
            }
            "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" => {
                self.http_inspector = Some(disabled)
            }
            "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol" => {
                let from = proto::decode(any)?;
                self.proxy_protocol = Some(ProxyHeader::compile(&from).within("typed_config")?);
            }
            other => {
                let known = "original_dst, original_src, tls_inspector, http_inspector, proxy_protocol";
                return Err(FieldError::new(
                    "typed_config",
                    format!("{other} is not supported; known listener filters: {known}"),
                ));
            }
        }
        Ok(())
    }

    /// Every chain, the default one last.
    pub(crate) fn all_chains(&self) -> impl Iterator<Item = &Arc<FilterChain>> {
        self.chains.iter().chain(self.default_chain.as_ref())
    }

    /// The chain for a connection, by Envoy's order: destination port, destination address, server name, transport
    /// protocol, application protocol, direct source, source type, source address, source port. Each step keeps the
    /// most specific chains only and never goes back.
    pub(crate) fn choose(&self, query: &ChainQuery<'_>) -> Option<&Arc<FilterChain>> {
        let mut left: smallvec::SmallVec<[&Arc<FilterChain>; 16]> = self.chains.iter().collect();
        let port = query.destination.port();
        keep_best(&mut left, |c| match c.port {
            None => Some(0),
            Some(wanted) => (wanted == port).then_some(1),
        });
        keep_best(&mut left, |c| best_prefix(&c.destinations, query.destination.ip()));
        keep_best(&mut left, |c| best_name(&c.server_names, query.server_name));
        let transport = if query.tls { "tls" } else { "raw_buffer" };
        keep_best(&mut left, |c| {
            if c.transport.is_empty() { Some(0) } else { (c.transport == transport).then_some(1) }
        });
        keep_best(&mut left, |c| best_of(&c.alpn, |wanted| query.alpn.contains(wanted)));
        keep_best(&mut left, |c| best_prefix(&c.direct_sources, query.direct_source.ip()));
        let local = query.source.ip() == query.destination.ip() || query.source.ip().is_loopback();
        keep_best(&mut left, |c| match c.source_type {
            0 => Some(0),
            1 => local.then_some(1),
            _ => (!local).then_some(1),
        });
        keep_best(&mut left, |c| best_prefix(&c.sources, query.source.ip()));
        keep_best(&mut left, |c| {
            best_of(&c.source_ports, |wanted| *wanted == u32::from(query.source.port()))
        });
        left.first().copied().or(self.default_chain.as_ref())
    }
}

fn keep_best(
    left: &mut smallvec::SmallVec<[&Arc<FilterChain>; 16]>,
    score: impl Fn(&ChainMatch) -> Option<usize>,
) {
    let Some(best) = left.iter().filter_map(|chain| score(&chain.rule)).max() else {
        left.clear();
        return;
    };
    left.retain(|chain| score(&chain.rule) == Some(best));
}

fn best_prefix(ranges: &[Cidr], address: IpAddr) -> Option<usize> {
    if ranges.is_empty() {
        return Some(0);
    }
    ranges.iter().filter(|range| range.contains(address)).map(|range| usize::from(range.length()) + 1).max()
}

fn best_of<T>(wanted: &[T], hit: impl Fn(&T) -> bool) -> Option<usize> {
    if wanted.is_empty() { Some(0) } else { wanted.iter().any(hit).then_some(1) }
}

fn best_name(names: &[String], server_name: &str) -> Option<usize> {
    if names.is_empty() {
        return Some(0);
    }
    names
        .iter()
        .filter_map(|name| match name.strip_prefix('*') {
            None => (name == server_name).then_some(usize::MAX),
            Some("") => Some(1),
            Some(suffix) => (server_name.len() > suffix.len() && server_name.ends_with(suffix))
                .then_some(suffix.len() + 1),
        })
        .max()
}

impl FilterChain {
    fn compile(
        from: &listener::FilterChain,
        direction: Direction,
        previous: Option<&Listener>,
        secrets: &Arc<Secrets>,
    ) -> Result<Arc<Self>, FieldError> {
        let mut hasher = std::hash::DefaultHasher::new();
        from.encode_to_vec().hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(same) = previous.and_then(|old| old.all_chains().find(|chain| chain.hash == hash)) {
            return Ok(same.clone());
        }
        let proxied = from.use_proxy_proto.as_ref().is_some_and(|b| b.value);
        refuse_if(proxied, "use_proxy_proto", "is not supported; use the proxy_protocol listener filter")?;
        let rule = from
            .filter_chain_match
            .as_ref()
            .map(ChainMatch::compile)
            .transpose()
            .within("filter_chain_match")?;
        let tls = from
            .transport_socket
            .as_ref()
            .map(|s| compile_transport(s, secrets))
            .transpose()
            .within("transport_socket")?;
        let (filters, terminal) = NetworkFilters::compile(&from.filters, direction)?;
        let rule = rule.unwrap_or_default();
        let handshake = proto::timeout(from.transport_socket_connect_timeout.as_ref(), None);
        let handshake = handshake.unwrap_or(Duration::from_secs(15));
        Ok(Arc::new(Self { hash, rule, tls: tls.flatten(), handshake, filters, terminal }))
    }
}

fn compile_transport(
    from: &proto::core::TransportSocket,
    secrets: &Arc<Secrets>,
) -> Result<Option<Arc<DownstreamTls>>, FieldError> {
    let Some(proto::core::transport_socket::ConfigType::TypedConfig(any)) = &from.config_type else {
        return Err(FieldError::new("typed_config", "is missing"));
    };
    match proto::short_type(&any.type_url) {
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" => {
            let context: tls::DownstreamTlsContext = proto::decode(any)?;
            DownstreamTls::compile(&context, secrets).within("typed_config").map(Some)
        }
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Ok(None),
        other => Err(FieldError::new(
            "typed_config",
            format!("{other} is not supported; known: DownstreamTlsContext, RawBuffer"),
        )),
    }
}

impl ChainMatch {
    fn compile(from: &listener::FilterChainMatch) -> Result<Self, FieldError> {
        refuse_fields!(from, address_suffix, suffix_len);
        let ranges = |field: &str, list: &[proto::core::CidrRange]| {
            list.iter()
                .enumerate()
                .map(|(i, range)| Cidr::compile(range).within_item(field, i))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            port: from.destination_port.as_ref().map(|port| port.value as u16),
            destinations: ranges("prefix_ranges", &from.prefix_ranges)?,
            server_names: from.server_names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            transport: from.transport_protocol.clone(),
            alpn: from.application_protocols.clone(),
            direct_sources: ranges("direct_source_prefix_ranges", &from.direct_source_prefix_ranges)?,
            source_type: from.source_type,
            sources: ranges("source_prefix_ranges", &from.source_prefix_ranges)?,
            source_ports: from.source_ports.clone(),
        })
    }
}

fn compile_disabled(from: &listener::ListenerFilterChainMatchPredicate) -> Result<Disabled, FieldError> {
    use listener::listener_filter_chain_match_predicate::Rule;
    match &from.rule {
        Some(Rule::DestinationPortRange(range)) => Ok(Disabled(vec![(range.start, range.end)])),
        Some(Rule::OrMatch(set)) => {
            let parts = set.rules.iter().map(compile_disabled).collect::<Result<Vec<_>, _>>()?;
            Ok(Disabled(parts.into_iter().flat_map(|part| part.0).collect()))
        }
        Some(Rule::AnyMatch(true)) => Ok(Disabled(vec![(0, 65536)])),
        None => Ok(Disabled::default()),
        _ => Err(FieldError::new(
            "filter_disabled",
            "only any_match, or_match and destination_port_range are supported",
        )),
    }
}

/// The name of a listener; Envoy makes one up when there is none.
pub(crate) fn listener_name(from: &listener::Listener) -> String {
    if from.name.is_empty() { "unnamed".to_owned() } else { from.name.clone() }
}

fn refuse_unsupported(from: &listener::Listener) -> Result<(), FieldError> {
    refuse_if(
        from.listener_specifier.is_some(),
        "internal_listener",
        "internal listeners (HBONE) are not supported yet",
    )?;
    refuse_if(
        from.udp_listener_config.is_some(),
        "udp_listener_config",
        "UDP and QUIC listeners are not supported yet",
    )?;
    refuse_fields!(from, tcp_fast_open_queue_length, connection_balance_config, enable_mptcp);
    refuse_if(from.freebind.as_ref().is_some_and(|b| b.value), "freebind", "is not supported")?;
    refuse_if(from.api_listener.is_some(), "api_listener", "is not supported")?;
    refuse_if(
        from.filter_chain_matcher.is_some(),
        "filter_chain_matcher",
        "is not supported; use filter_chain_match",
    )
}
