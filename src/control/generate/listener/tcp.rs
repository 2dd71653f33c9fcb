//! Filters of connections that are passed on as bytes.

use sagene_api::Duration;

use super::super::proto::{any, duration, listener, network};
use super::super::telemetry::Reports;
use super::super::{extension, names};
use super::chain::filter;
use crate::index::view::View;
use envoy_types::pb::envoy::r#type::v3::HashPolicy;
use envoy_types::pb::envoy::r#type::v3::hash_policy::{PolicySpecifier, SourceIp};
use network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use sagene_api::istio::networking::traffic_policy::{TrafficPolicy, TunnelSettings};
use tcp_proxy::{ClusterSpecifier, TunnelingConfig, WeightedCluster, weighted_cluster::ClusterWeight};

/// Where connections go, each with its share.
pub(super) type Destinations = Vec<(String, u32)>;

/// What the rule of a destination says of connections to it.
#[derive(Debug, Default)]
pub(super) struct Shape {
    idle_timeout: Option<Duration>,
    tunnel: Option<TunnelSettings>,
    /// Connections of one client go to one endpoint.
    by_source: bool,
}

impl Shape {
    /// The rule of the first destination holds for all of them.
    pub(super) fn of(view: &View, destinations: &[(String, u32)], idle_timeout: Option<Duration>) -> Self {
        let policy = destinations.first().and_then(|(name, _)| policy(view, name)).unwrap_or_default();
        let hash = policy.load_balancer.and_then(|balancer| balancer.consistent_hash);
        Self {
            idle_timeout,
            tunnel: policy.tunnel,
            by_source: hash.is_some_and(|hash| hash.use_source_ip == Some(true)),
        }
    }
}

/// The policy that holds for a cluster.
fn policy(view: &View, cluster: &str) -> Option<TrafficPolicy> {
    let (port, subset, host) = names::parse_outbound(cluster)?;
    let rule = &view.destination(host)?.rule.as_ref()?.merged;
    Some(rule.policy(port, rule.subset(subset)))
}

/// Metadata exchange between proxies, behind an ALPN of its own.
pub(super) fn metadata_exchange() -> listener::Filter {
    let config = extension::MetadataExchange { protocol: "istio-peer-exchange".to_owned() };
    filter("istio.metadata_exchange", any(&config))
}

/// The standard metrics; the destination of inbound connections is known without a Host header.
pub(super) fn stats(inbound: bool, reports: &Reports) -> Option<listener::Filter> {
    reports.metrics(inbound).map(|config| filter("istio.stats", any(&config)))
}

/// Passes bytes on. The statistics prefix is the name of the first cluster.
pub(super) fn tcp_proxy(destinations: &[(String, u32)], shape: Shape, reports: &Reports) -> listener::Filter {
    let by_source = HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp::default())) };
    let first = destinations.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let specifier = match destinations {
        [(name, _)] => ClusterSpecifier::Cluster(name.clone()),
        several => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: several
                .iter()
                .map(|(name, weight)| ClusterWeight {
                    name: name.clone(),
                    weight: *weight,
                    metadata_match: None,
                })
                .collect(),
        }),
    };
    filter(
        "envoy.filters.network.tcp_proxy",
        any(&TcpProxy {
            stat_prefix: first,
            access_log: reports.access_log.clone(),
            idle_timeout: shape.idle_timeout.map(duration),
            hash_policy: shape.by_source.then_some(by_source).into_iter().collect(),
            tunneling_config: shape.tunnel.map(|tunnel| tunneling(&tunnel)),
            cluster_specifier: Some(specifier),
            ..TcpProxy::default()
        }),
    )
}

fn tunneling(tunnel: &TunnelSettings) -> TunnelingConfig {
    let host = &tunnel.target_host;
    let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    let host = if is_v6 { format!("[{host}]") } else { host.clone() };
    TunnelingConfig {
        hostname: format!("{host}:{}", tunnel.target_port),
        use_post: tunnel.protocol == "POST",
        ..TunnelingConfig::default()
    }
}

/// The filters of an outbound TCP connection.
pub(super) fn outbound(
    destinations: &[(String, u32)],
    shape: Shape,
    reports: &Reports,
    plain_envoy: bool,
) -> Vec<listener::Filter> {
    let proxy = tcp_proxy(destinations, shape, reports);
    let stats = stats(false, reports).filter(|_| !plain_envoy);
    stats.into_iter().chain([proxy]).collect()
}
