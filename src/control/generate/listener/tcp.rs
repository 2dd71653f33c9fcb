//! Filters of connections that are passed on as bytes.

use sagene_api::Duration;

use super::super::extension;
use super::super::proto::{any, duration, listener, network};
use super::super::telemetry::Reports;
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
pub(super) fn stats(inbound: bool, reports: &Reports) -> Option<listener::Filter> {
    reports.metrics(inbound).map(|config| filter("istio.stats", any(&config)))
}

/// Passes bytes on. The statistics prefix is the name of the first cluster.
pub(super) fn tcp_proxy(
    destinations: &[(String, u32)],
    idle_timeout: Option<Duration>,
    reports: &Reports,
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
            access_log: reports.access_log.clone(),
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
    reports: &Reports,
    plain_envoy: bool,
) -> Vec<listener::Filter> {
    let proxy = tcp_proxy(destinations, idle_timeout, reports);
    let stats = stats(false, reports).filter(|_| !plain_envoy);
    stats.into_iter().chain([proxy]).collect()
}
