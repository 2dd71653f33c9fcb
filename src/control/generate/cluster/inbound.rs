//! Clusters that lead from a sidecar to its application, one per workload port.

use std::sync::Arc;

use super::super::families::Families;
use super::super::proto::{address, cluster, endpoint, istio_metadata, list, nested, text, uint};
use super::super::{Resource, names};
use super::policy;
use super::well_known::{base, downstream_protocol, longest, set_http_options};
use crate::index::Index;
use crate::index::inbound::{InboundKey, InboundPort};
use crate::index::ingress::Endpoint;
use cluster::cluster::{DiscoveryType, LbConfig, OriginalDstLbConfig};
use envoy_types::pb::envoy::config::core::v3::Http2ProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
};

/// The clusters of all ports.
pub(super) fn clusters(index: &Index, key: &InboundKey) -> Vec<Arc<Resource>> {
    key.ports.iter().map(|port| of_port(index, key, port)).collect()
}

fn of_port(index: &Index, key: &InboundKey, port: &InboundPort) -> Arc<Resource> {
    let name = names::inbound(port.target_port);
    let endpoint = key.ingress.get(&port.target_port).map(|ingress| &ingress.endpoint);
    let mut made = match endpoint {
        Some(Endpoint::Loopback(host, port)) => at(&name, host, *port, index),
        Some(Endpoint::Pod(own)) => {
            let mut made = at_the_pod(&name, key.families, index);
            if *own != port.target_port {
                let other = OriginalDstLbConfig {
                    upstream_port_override: uint(u32::from(*own)),
                    ..OriginalDstLbConfig::default()
                };
                made.lb_config = Some(LbConfig::OriginalDstLbConfig(other));
            }
            made
        }
        None if index.settings.inbound_localhost => at(&name, "127.0.0.1", port.target_port, index),
        None => at_the_pod(&name, key.families, index),
    };
    let pool = key.ingress.get(&port.target_port).and_then(|ingress| ingress.connection_pool.as_ref());
    policy::connection_pool(&mut made, pool.or(key.connection_pool.as_ref()), None, &index.settings);
    let http = pool.or(key.connection_pool.as_ref()).and_then(|pool| pool.http.as_ref());
    let mut options = match port.protocol {
        protocol if protocol.is_unspecified() => Some(downstream_protocol()),
        protocol if protocol.is_http2() => Some(explicit_http2()),
        _ => None,
    };
    if let Some(http) = http.filter(|_| port.protocol.is_http() || port.protocol.is_unspecified()) {
        policy::apply_http(&mut options, http);
    }
    if let Some(options) = options {
        set_http_options(&mut made, &options);
    }
    made.metadata = Some(istio_metadata([(
        "services",
        list(vec![nested([
            ("host", text(port.hostname.as_str())),
            ("name", text(&port.service_name)),
            ("namespace", text(&port.service_namespace)),
        ])]),
    )]));
    crate::generate::resource::encode(&name, &made)
}

/// HTTP/2 in any case.
pub(super) fn explicit_http2() -> HttpProtocolOptions {
    let config = ExplicitHttpConfig {
        protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())),
    };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)),
        ..HttpProtocolOptions::default()
    }
}

/// Where the connection was going anyway.
fn at_the_pod(name: &str, families: Families, index: &Index) -> cluster::Cluster {
    let mut made = base(name, DiscoveryType::OriginalDst, &index.settings);
    made.cleanup_interval = longest();
    made.upstream_bind_config = Some(families.inbound_source());
    made
}

/// One address.
fn at(name: &str, address: &str, port: u16, index: &Index) -> cluster::Cluster {
    let mut made = base(name, DiscoveryType::Static, &index.settings);
    made.load_assignment = Some(one_endpoint(name, address, port));
    made
}

fn one_endpoint(name: &str, host: &str, port: u16) -> endpoint::ClusterLoadAssignment {
    let host = endpoint::Endpoint { address: Some(address(host, u32::from(port))), ..Default::default() };
    let one = endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)),
        ..endpoint::LbEndpoint::default()
    };
    endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![endpoint::LocalityLbEndpoints { lb_endpoints: vec![one], ..Default::default() }],
        ..endpoint::ClusterLoadAssignment::default()
    }
}
