//! The bootstrap that Envoy would have been started with, for `config_dump` and the tools that read it.
//!
//! It shows what is really there: the ports that the agent serves itself appear as the static listeners that Istio
//! users know, discovery and certificates as the clusters they come from.

use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::config::bootstrap::v3::bootstrap::{DynamicResources, StaticResources};
use envoy_types::pb::envoy::config::bootstrap::v3::{Admin, Bootstrap};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::api_config_source::ApiType;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiConfigSource, ApiVersion, BuildVersion, ConfigSource, GrpcService, Node, Pipe,
    SocketAddress,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints};
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType as HttpConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{HttpConnectionManager, HttpFilter};
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

use super::proxy_config::ProxyConfig;

/// Port of Envoy's own statistics.
pub(crate) const PROMETHEUS_PORT: u16 = 15090;
/// Port of readiness.
pub(crate) const READINESS_PORT: u16 = 15021;

/// The bootstrap of `node` under `config`.
pub(crate) fn bootstrap(node: &Node, config: &ProxyConfig) -> Bootstrap {
    let mut node = node.clone();
    node.user_agent_version_type = Some(UserAgentVersionType::UserAgentBuildVersion(build_version()));
    Bootstrap {
        node: Some(node),
        admin: Some(Admin {
            address: Some(socket(&Ipv4Addr::LOCALHOST.to_string(), config.proxy_admin_port)),
            ..Admin::default()
        }),
        static_resources: Some(StaticResources {
            listeners: vec![
                listener(PROMETHEUS_PORT, "/stats/prometheus", "prometheus_stats"),
                listener(READINESS_PORT, "/healthz/ready", "agent"),
            ],
            clusters: clusters(config),
            secrets: Vec::new(),
        }),
        dynamic_resources: Some(DynamicResources {
            lds_config: Some(from_discovery()),
            cds_config: Some(from_discovery()),
            ads_config: Some(ApiConfigSource {
                api_type: ApiType::DeltaGrpc.into(),
                transport_api_version: ApiVersion::V3.into(),
                set_node_on_first_message_only: true,
                grpc_services: vec![GrpcService {
                    target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
                        cluster_name: "xds-grpc".to_owned(),
                        ..EnvoyGrpc::default()
                    })),
                    ..GrpcService::default()
                }],
                ..ApiConfigSource::default()
            }),
            ..DynamicResources::default()
        }),
        ..Bootstrap::default()
    }
}

/// Where a bootstrap wants its admin server; `None` when it wants none, or not on a socket.
pub(crate) fn admin_address(bootstrap: &Bootstrap) -> Option<SocketAddr> {
    let address = bootstrap.admin.as_ref()?.address.as_ref()?.address.as_ref()?;
    let AddressKind::SocketAddress(socket) = address else {
        return None;
    };
    let port = match socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(port).ok()?,
        _ => 0,
    };
    Some(SocketAddr::new(socket.address.parse().ok()?, port))
}

fn build_version() -> BuildVersion {
    let mut numbers = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    BuildVersion {
        version: Some(SemanticVersion { major_number: next(), minor_number: next(), patch: next() }),
        metadata: None,
    }
}

fn clusters(config: &ProxyConfig) -> Vec<Cluster> {
    let mut clusters = vec![
        cluster(
            "prometheus_stats",
            socket(&Ipv4Addr::LOCALHOST.to_string(), config.proxy_admin_port),
            DiscoveryType::Static,
        ),
        cluster("agent", socket(&Ipv4Addr::LOCALHOST.to_string(), config.status_port), DiscoveryType::Static),
        cluster("sds-grpc", pipe("./var/run/secrets/workload-spiffe-uds/socket"), DiscoveryType::Static),
        cluster("xds-grpc", pipe(&format!("{}/XDS", config.config_path)), DiscoveryType::Static),
    ];
    if let Some((host, port)) = config.zipkin_address.rsplit_once(':')
        && let Ok(port) = port.parse()
    {
        clusters.push(cluster("zipkin", socket(host, port), DiscoveryType::StrictDns));
    }
    clusters
}

fn cluster(name: &str, address: Address, discovery: DiscoveryType) -> Cluster {
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![endpoint],
                ..LocalityLbEndpoints::default()
            }],
            ..ClusterLoadAssignment::default()
        }),
        ..Cluster::default()
    }
}

fn socket(host: &str, port: u16) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    }
}

fn pipe(path: &str) -> Address {
    Address { address: Some(AddressKind::Pipe(Pipe { path: path.to_owned(), ..Pipe::default() })) }
}

fn from_discovery() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// A port that serves one path.
fn listener(port: u16, path: &str, to: &str) -> Listener {
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix(path.to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(to.to_owned())),
            ..RouteAction::default()
        })),
        ..Route::default()
    };
    let manager = HttpConnectionManager {
        stat_prefix: to.to_owned(),
        route_specifier: Some(RouteSpecifier::RouteConfig(RouteConfiguration {
            virtual_hosts: vec![VirtualHost {
                name: "backend".to_owned(),
                domains: vec!["*".to_owned()],
                routes: vec![route],
                ..VirtualHost::default()
            }],
            ..RouteConfiguration::default()
        })),
        http_filters: vec![HttpFilter {
            name: "envoy.filters.http.router".to_owned(),
            config_type: Some(HttpConfigType::TypedConfig(any(&Router::default()))),
            ..HttpFilter::default()
        }],
        ..HttpConnectionManager::default()
    };
    Listener {
        name: format!("0.0.0.0_{port}"),
        address: Some(socket(&Ipv4Addr::UNSPECIFIED.to_string(), port)),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "envoy.filters.network.http_connection_manager".to_owned(),
                config_type: Some(ConfigType::TypedConfig(any(&manager))),
            }],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

/// Any message with its type.
pub(crate) fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A listener that any data path takes.
#[cfg(test)]
pub(crate) fn test_listener() -> Listener {
    let mut listener = listener(0, "/", "agent");
    listener.name = "test".to_owned();
    listener
}
