//! Clusters that every proxy has.

use std::sync::Arc;

use super::super::families::Families;
use super::super::proto::{Duration, any, cluster, duration, seconds, uint};
use super::super::{Resource, Settings, names};
use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use envoy_types::pb::envoy::config::core::v3::{Http1ProtocolOptions, Http2ProtocolOptions};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{HttpProtocolOptions, http_protocol_options};

/// Name of the HTTP options of a cluster.
pub(crate) const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The longest span Envoy takes: original-destination hosts are never cleaned up before their connections end.
pub(crate) fn longest() -> Option<Duration> {
    seconds(i64::from(u32::MAX))
}

/// A cluster with the settings all have.
pub(crate) fn base(name: &str, kind: DiscoveryType, settings: &Settings) -> cluster::Cluster {
    let policy = match kind {
        DiscoveryType::OriginalDst => LbPolicy::ClusterProvided,
        _ => LbPolicy::RoundRobin,
    };
    cluster::Cluster {
        name: name.to_owned(),
        alt_stat_name: names::delimited(name),
        connect_timeout: Some(duration(settings.connect_timeout)),
        lb_policy: policy as i32,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind as i32)),
        ..cluster::Cluster::default()
    }
}

/// No limits: Istio leaves them to DestinationRules.
pub(crate) fn unlimited() -> cluster::circuit_breakers::Thresholds {
    cluster::circuit_breakers::Thresholds {
        max_connections: uint(u32::MAX),
        max_pending_requests: uint(u32::MAX),
        max_requests: uint(u32::MAX),
        max_retries: uint(u32::MAX),
        track_remaining: true,
        ..cluster::circuit_breakers::Thresholds::default()
    }
}

/// HTTP options that keep the version of the client's request.
pub(crate) fn downstream_protocol() -> HttpProtocolOptions {
    let config = http_protocol_options::UseDownstreamHttpConfig {
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        http2_protocol_options: Some(Http2ProtocolOptions::default()),
        ..http_protocol_options::UseDownstreamHttpConfig::default()
    };
    HttpProtocolOptions {
        upstream_protocol_options: Some(
            http_protocol_options::UpstreamProtocolOptions::UseDownstreamProtocolConfig(config),
        ),
        ..HttpProtocolOptions::default()
    }
}

/// Puts HTTP options into a cluster.
pub(crate) fn set_http_options(cluster: &mut cluster::Cluster, options: &HttpProtocolOptions) {
    cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), any(options));
}

/// Refuses every connection.
pub(super) fn black_hole(settings: &Settings) -> Arc<Resource> {
    crate::generate::resource::encode(
        names::BLACK_HOLE,
        &base(names::BLACK_HOLE, DiscoveryType::Static, settings),
    )
}

/// Leads where the client meant to go.
pub(super) fn passthrough(settings: &Settings) -> Arc<Resource> {
    let mut made = base(names::PASSTHROUGH, DiscoveryType::OriginalDst, settings);
    made.circuit_breakers = Some(breakers(unlimited()));
    set_http_options(&mut made, &downstream_protocol());
    crate::generate::resource::encode(names::PASSTHROUGH, &made)
}

/// Leads inbound connections to ports of no service to the application.
pub(super) fn inbound_passthrough(settings: &Settings, families: Families) -> Arc<Resource> {
    let mut made = base(names::INBOUND_PASSTHROUGH, DiscoveryType::OriginalDst, settings);
    made.circuit_breakers = Some(breakers(unlimited()));
    made.upstream_bind_config = Some(families.inbound_source());
    set_http_options(&mut made, &downstream_protocol());
    crate::generate::resource::encode(names::INBOUND_PASSTHROUGH, &made)
}

/// Circuit breakers of the default priority.
pub(crate) fn breakers(thresholds: cluster::circuit_breakers::Thresholds) -> cluster::CircuitBreakers {
    cluster::CircuitBreakers { thresholds: vec![thresholds], ..cluster::CircuitBreakers::default() }
}
