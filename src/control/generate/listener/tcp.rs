//! Filters of connections that are passed on as bytes.

use sagene_api::Duration;

use super::super::proto::{any, duration, listener, network};
use super::super::{Settings, access_log, extension};
use super::chain::filter;
use network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight};

/// Where connections go, each with its share.
pub(super) type Destinations = Vec<(String, u32)>;

/// Metadata exchange between proxies, behind an ALPN of its own.
pub(super) fn metadata_exchange() -> listener::Filter {
    let config = extension::MetadataExchange { protocol: "istio-peer-exchange".to_owned() };
    filter("istio.metadata_exchange", any(&config))
}

/// The standard metrics; the destination of inbound connections is known without a Host header.
pub(super) fn stats(inbound: bool) -> listener::Filter {
    filter("istio.stats", any(&extension::StatsPlugin { disable_host_header_fallback: inbound }))
}

/// Passes bytes on. The statistics prefix is the name of the first cluster.
pub(super) fn tcp_proxy(
    destinations: &[(String, u32)],
    idle_timeout: Option<Duration>,
    settings: &Settings,
) -> listener::Filter {
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
            access_log: access_log::access_log(settings),
            idle_timeout: idle_timeout.map(duration),
            cluster_specifier: Some(specifier),
            ..TcpProxy::default()
        }),
    )
}

/// The filters of an outbound TCP connection.
pub(super) fn outbound(
    destinations: &[(String, u32)],
    idle_timeout: Option<Duration>,
    settings: &Settings,
    plain_envoy: bool,
) -> Vec<listener::Filter> {
    let proxy = tcp_proxy(destinations, idle_timeout, settings);
    if plain_envoy { vec![proxy] } else { vec![stats(false), proxy] }
}
