//! The HTTP connection manager and its filters, in Istio's order.

use std::sync::Arc;

use sagene_api::Duration;

use super::super::proto::{Any, ads, any, boolean, core, duration, http, listener, network, route};
use super::super::settings::PathNormalization;
use super::super::telemetry::Reports;
use super::super::topology::Topology;
use super::super::{Settings, extension, names};
use super::chain::filter;
use extension::{Alpn, AlpnOverride, Nothing, PeerMetadata, PeerMethod};
use network::http_connection_manager::v3::http_connection_manager::{
    ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier, SetCurrentClientCertDetails,
    UpgradeConfig,
};
use network::http_connection_manager::v3::{HttpConnectionManager, HttpFilter, Rds, http_filter};

/// Where a connection manager stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// In front of the application.
    Inbound,
    /// Behind the application.
    Outbound,
    /// At the edge.
    Gateway,
}

/// Where its routes are.
pub(super) enum Routes {
    /// In the manager.
    Inline(Box<route::RouteConfiguration>),
    /// Under this name.
    Named(String),
}

/// What a manager is made of.
pub(super) struct Manager<'a> {
    pub(super) side: Side,
    pub(super) stat_prefix: &'a str,
    pub(super) routes: Routes,
    /// Authentication and authorization, in order.
    pub(super) policies: Arc<[HttpFilter]>,
    pub(super) grpc_web: bool,
    pub(super) http10: bool,
    /// A stock Envoy, which does not know Istio's filters.
    pub(super) plain_envoy: bool,
    /// What is in front of a gateway.
    pub(super) topology: Topology,
}

/// An HTTP filter.
pub(super) fn http_filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

/// The manager as network filter.
pub(super) fn http_manager(manager: Manager<'_>, settings: &Settings, reports: &Reports) -> listener::Filter {
    let side = manager.side;
    let mut made = HttpConnectionManager {
        stat_prefix: names::delimited(manager.stat_prefix),
        http_filters: filters(&manager, reports),
        tracing: reports.tracing.clone(),
        access_log: reports.access_log.clone(),
        normalize_path: boolean(settings.path_normalization != PathNormalization::None),
        stream_idle_timeout: Some(duration(Duration::ZERO)),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..UpgradeConfig::default()
        }],
        use_remote_address: boolean(side == Side::Gateway),
        xff_num_trusted_hops: manager.topology.trusted_proxies,
        ..HttpConnectionManager::default()
    };
    if manager.http10 {
        made.http_protocol_options = Some(core::Http1ProtocolOptions {
            accept_http_10: true,
            ..core::Http1ProtocolOptions::default()
        });
    }
    if side != Side::Outbound {
        made.server_name = "istio-envoy".to_owned();
        normalize(&mut made, settings.path_normalization);
        client_certificate(&mut made, side, manager.topology);
    }
    made.route_specifier = Some(match manager.routes {
        Routes::Inline(configuration) => RouteSpecifier::RouteConfig(*configuration),
        Routes::Named(name) => {
            RouteSpecifier::Rds(Rds { config_source: Some(ads()), route_config_name: name })
        }
    });
    filter("envoy.filters.network.http_connection_manager", any(&made))
}

fn normalize(made: &mut HttpConnectionManager, normalization: PathNormalization) {
    use PathNormalization::{DecodeAndMergeSlashes, MergeSlashes};
    made.merge_slashes = matches!(normalization, MergeSlashes | DecodeAndMergeSlashes);
    made.path_with_escaped_slashes_action = match normalization {
        DecodeAndMergeSlashes => PathWithEscapedSlashesAction::UnescapeAndForward as i32,
        _ => PathWithEscapedSlashesAction::KeepUnchanged as i32,
    };
}

fn client_certificate(made: &mut HttpConnectionManager, side: Side, topology: Topology) {
    let details = match side {
        Side::Gateway => topology.client_certificate.unwrap_or(ForwardClientCertDetails::SanitizeSet),
        Side::Inbound | Side::Outbound => ForwardClientCertDetails::AppendForward,
    };
    made.forward_client_cert_details = details as i32;
    let set = [ForwardClientCertDetails::AppendForward, ForwardClientCertDetails::SanitizeSet];
    if !set.contains(&details) {
        return;
    }
    made.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
        subject: boolean(true),
        dns: true,
        uri: true,
        ..SetCurrentClientCertDetails::default()
    });
}

fn filters(manager: &Manager<'_>, reports: &Reports) -> Vec<HttpFilter> {
    let mut made = Vec::new();
    if !manager.plain_envoy {
        made.push(http_filter("istio.metadata_exchange", any(&peer_metadata(manager.side))));
    }
    made.extend(manager.policies.iter().cloned());
    if manager.grpc_web {
        made.push(http_filter("envoy.filters.http.grpc_web", any(&http::grpc_web::v3::GrpcWeb::default())));
    }
    made.push(http_filter("envoy.filters.http.grpc_stats", any(&grpc_stats())));
    if manager.side != Side::Inbound && !manager.plain_envoy {
        made.push(http_filter("istio.alpn", any(&alpn())));
    }
    made.push(http_filter("envoy.filters.http.fault", any(&http::fault::v3::HttpFault::default())));
    made.push(http_filter("envoy.filters.http.cors", any(&http::cors::v3::Cors::default())));
    if !manager.plain_envoy {
        made.extend(reports.attributes.iter().map(|(name, config)| http_filter(name, any(config))));
        let disable_host_header_fallback = manager.side != Side::Outbound;
        let config = reports.metrics(disable_host_header_fallback);
        made.extend(config.map(|config| http_filter("istio.stats", any(&config))));
    }
    made.push(http_filter("envoy.filters.http.router", any(&http::router::v3::Router::default())));
    made
}

fn grpc_stats() -> http::grpc_stats::v3::FilterConfig {
    use http::grpc_stats::v3::filter_config::PerMethodStatSpecifier::StatsForAllMethods;
    http::grpc_stats::v3::FilterConfig {
        emit_filter_state: true,
        per_method_stat_specifier: boolean(false).map(StatsForAllMethods),
        ..http::grpc_stats::v3::FilterConfig::default()
    }
}

fn peer_metadata(side: Side) -> PeerMetadata {
    let by_headers = || vec![PeerMethod { istio_headers: Some(Nothing {}), ..PeerMethod::default() }];
    match side {
        Side::Inbound => PeerMetadata {
            downstream_discovery: by_headers(),
            downstream_propagation: by_headers(),
            ..PeerMetadata::default()
        },
        Side::Outbound | Side::Gateway => PeerMetadata {
            upstream_discovery: by_headers(),
            upstream_propagation: by_headers(),
            ..PeerMetadata::default()
        },
    }
}

/// What is offered to the peer's proxy, so that it can tell HTTP without looking.
fn alpn() -> Alpn {
    let version = |upstream_protocol: i32, names: &[&str]| AlpnOverride {
        upstream_protocol,
        alpn_override: names.iter().map(|&name| name.to_owned()).collect(),
    };
    Alpn {
        alpn_override: vec![
            version(0, &["istio-http/1.0", "istio", "http/1.0"]),
            version(1, &["istio-http/1.1", "istio", "http/1.1"]),
            version(2, &["istio-h2", "istio", "h2"]),
        ],
    }
}
