//! Clusters of services, one per port and subset.

use std::sync::Arc;

use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::istio::networking::traffic_policy::{ClientTlsMode, ProxyProtocolVersion, TrafficPolicy};
use sagene_model::service::{Resolution, ServicePort};

use super::super::proto::{
    ads, any, cluster, config_path, core, duration, istio_metadata, list, nested, structure, text,
    transport_socket,
};
use super::super::{Resource, Settings, endpoint, extension, names, transport};
use super::well_known::base;
use super::{load_balancing, policy};
use crate::index::Index;
use crate::index::rules::Rule;
use crate::index::services::ServiceState;
use crate::index::view::View;
use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, TransportSocketMatch};

/// What a cluster is for.
struct Target<'a> {
    state: &'a ServiceState,
    port: &'a ServicePort,
    subset: Option<&'a Subset>,
    rule: Option<&'a Rule>,
    view: &'a View,
    /// Gateways have no original destination to go to.
    router: bool,
}

/// The clusters of a service for clients of a view to whom `rule` applies.
pub(super) fn clusters(
    index: &Index,
    state: &ServiceState,
    rule: Option<&Rule>,
    view: &View,
    router: bool,
) -> Vec<Arc<Resource>> {
    let mut made = Vec::new();
    for port in &state.service.ports {
        let target = Target { state, port, subset: None, rule, view, router };
        made.extend(cluster(index, &target));
        for subset in rule.into_iter().flat_map(|rule| &rule.merged.subsets) {
            let target = Target { state, port, subset: Some(subset), rule, view, router };
            made.extend(cluster(index, &target));
        }
    }
    made
}

impl Target<'_> {
    fn subset_name(&self) -> &str {
        self.subset.map(|subset| subset.name.as_str()).unwrap_or_default()
    }

    fn host(&self) -> &str {
        self.state.service.hostname.as_str()
    }

    fn name(&self) -> String {
        names::outbound(self.port.port, self.subset_name(), self.host())
    }

    fn policy(&self) -> TrafficPolicy {
        self.rule.map(|rule| rule.merged.policy(self.port.port, self.subset)).unwrap_or_default()
    }
}

/// `None` where the service has nowhere to go.
fn cluster(index: &Index, target: &Target<'_>) -> Option<Arc<Resource>> {
    let settings = &index.settings;
    let name = target.name();
    let kind = discovery(target)?;
    let mut made = base(&name, kind, settings);
    let policy = target.policy();
    match kind {
        DiscoveryType::Eds => {
            made.eds_cluster_config =
                Some(EdsClusterConfig { eds_config: Some(ads()), service_name: name.clone() });
        }
        DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
            let client = endpoint::client(index, target.state, target.view, &policy);
            let port = target.port.port;
            let assignment = endpoint::inline(index, target.state, port, target.subset, &name, &client);
            if assignment.endpoints.iter().all(|locality| locality.lb_endpoints.is_empty()) {
                return None;
            }
            made.load_assignment = Some(assignment);
            resolve_by_dns(&mut made, settings);
        }
        _ => {}
    }
    if kind != DiscoveryType::OriginalDst {
        load_balancing::apply(&mut made, policy.load_balancer.as_ref());
        if endpoint::preference::weighs_localities(settings, &target.state.service, &policy) {
            load_balancing::weigh_localities(&mut made);
        }
    }
    policy::connection_pool(
        &mut made,
        policy.connection_pool.as_ref(),
        policy.retry_budget.as_ref(),
        settings,
    );
    let http = policy.connection_pool.as_ref().and_then(|pool| pool.http.as_ref());
    let automatic_names = policy.tls.as_ref().and_then(transport::automatic_names);
    policy::http_options(&mut made, target.port.protocol, http, automatic_names, settings);
    policy::outlier_detection(&mut made, policy.outlier_detection.as_ref());
    transport_sockets(index, target, &policy, &mut made);
    made.metadata = Some(metadata(target));
    if wants_metadata_exchange(target) {
        made.filters.push(metadata_exchange());
    }
    Some(crate::generate::resource::encode(&name, &made))
}

#[allow(deprecated, reason = "Istio writes these fields, and its tools show them")]
fn resolve_by_dns(made: &mut cluster::Cluster, settings: &Settings) {
    made.respect_dns_ttl = true;
    made.dns_refresh_rate = Some(duration(settings.dns_refresh_rate));
    made.dns_jitter = Some(duration(sagene_api::Duration::from_millis(100)));
    made.dns_lookup_family = cluster::cluster::DnsLookupFamily::V4Only as i32;
}

fn discovery(target: &Target<'_>) -> Option<DiscoveryType> {
    match target.state.service.resolution {
        Resolution::ClientSideLb => Some(DiscoveryType::Eds),
        // A gateway has no original destination to go to: it needs the pods of a headless service.
        Resolution::Passthrough if target.router && !target.state.service.mesh_external => {
            Some(DiscoveryType::Eds)
        }
        Resolution::Passthrough => Some(DiscoveryType::OriginalDst),
        Resolution::DnsLb | Resolution::Alias => Some(DiscoveryType::StrictDns),
        Resolution::DnsRoundRobinLb => Some(DiscoveryType::LogicalDns),
        Resolution::DynamicDns => None,
    }
}

/// TLS towards the service: as the rule says, else mutual TLS for each endpoint that takes it.
fn transport_sockets(
    index: &Index,
    target: &Target<'_>,
    policy: &TrafficPolicy,
    made: &mut cluster::Cluster,
) {
    let service = &target.state.service;
    let sni = names::server_name(target.port.port, target.subset_name(), target.host());
    let http2 = target.port.protocol.is_http2();
    let named = &service.subject_alt_names;
    let identities = if named.is_empty() { &target.state.identities } else { named };
    if let Some(tls) = &policy.tls {
        let defaults = &index.settings.tls_defaults;
        made.transport_socket = transport::upstream(tls, &sni, identities, http2, defaults);
        wrap_proxy_protocol(policy, made);
        return;
    }
    let automatic = index.settings.mesh.auto_mtls && !service.mesh_external;
    let is_original =
        made.cluster_discovery_type == Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32));
    if automatic && is_original {
        // Without endpoints of its own the cluster has one socket for all: only if every workload takes mutual TLS.
        let mut endpoints = target.state.endpoints.iter().peekable();
        if endpoints.peek().is_some() && endpoints.all(|one| endpoint::takes_mutual_tls(index, one)) {
            made.transport_socket = Some(transport::upstream_mutual(&sni, identities, http2));
        }
    } else if automatic && service.resolution != Resolution::Alias {
        made.transport_socket_matches = vec![
            TransportSocketMatch {
                name: "tlsMode-istio".to_owned(),
                r#match: Some(structure([("tlsMode", text("istio"))])),
                transport_socket: Some(transport::upstream_mutual(&sni, identities, http2)),
            },
            TransportSocketMatch {
                name: "tlsMode-disabled".to_owned(),
                r#match: Some(structure([])),
                transport_socket: Some(transport::raw_buffer()),
            },
        ];
    }
    wrap_proxy_protocol(policy, made);
}

fn wrap_proxy_protocol(policy: &TrafficPolicy, made: &mut cluster::Cluster) {
    use envoy_types::pb::envoy::config::core::v3::{ProxyProtocolConfig, proxy_protocol_config::Version};
    use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
    let Some(proxy_protocol) = &policy.proxy_protocol else { return };
    let version = match proxy_protocol.version {
        ProxyProtocolVersion::V1 => Version::V1,
        ProxyProtocolVersion::V2 => Version::V2,
    };
    let wrap = |inner: core::TransportSocket| {
        let config = ProxyProtocolUpstreamTransport {
            config: Some(ProxyProtocolConfig { version: version as i32, ..ProxyProtocolConfig::default() }),
            transport_socket: Some(inner),
            ..ProxyProtocolUpstreamTransport::default()
        };
        transport_socket("envoy.transport_sockets.upstream_proxy_protocol", any(&config))
    };
    for candidate in &mut made.transport_socket_matches {
        candidate.transport_socket = candidate.transport_socket.take().map(wrap);
    }
    if made.transport_socket_matches.is_empty() {
        made.transport_socket =
            Some(wrap(made.transport_socket.take().unwrap_or_else(transport::raw_buffer)));
    }
}

/// Which service this is and which rule shaped it: read by metrics and by `istioctl`.
fn metadata(target: &Target<'_>) -> core::Metadata {
    let service = &target.state.service;
    let mut fields = vec![(
        "services",
        list(vec![nested([
            ("host", text(service.hostname.as_str())),
            ("name", text(&service.name)),
            ("namespace", text(&service.namespace)),
        ])]),
    )];
    if let Some(source) = target.rule.and_then(|rule| rule.merged.sources.first()) {
        let path = config_path("destination-rule", &source.metadata.namespace, &source.metadata.name);
        fields.push(("config", text(&path)));
    }
    if target.subset.is_some() {
        fields.push(("subset", text(target.subset_name())));
    }
    if service.mesh_external {
        fields.push((
            "external",
            super::super::proto::Value { kind: Some(super::super::proto::Kind::BoolValue(true)) },
        ));
    }
    // The client chose its own ALPN: the filter that would offer Istio's must not.
    let overridden = target
        .policy()
        .tls
        .is_some_and(|tls| matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual));
    if overridden {
        fields.push(("alpn_override", text("false")));
    }
    istio_metadata(fields)
}

/// TCP connections to workloads of the mesh exchange metadata behind an ALPN of their own.
fn wants_metadata_exchange(target: &Target<'_>) -> bool {
    let protocol = target.port.protocol;
    !target.view.key.plain_envoy
        && !target.state.service.mesh_external
        && (protocol.is_tcp() || protocol.is_unspecified())
}

fn metadata_exchange() -> cluster::Filter {
    let config = extension::MetadataExchange { protocol: "istio-peer-exchange".to_owned() };
    cluster::Filter {
        name: "istio.metadata_exchange".to_owned(),
        typed_config: Some(any(&config)),
        config_discovery: None,
    }
}
