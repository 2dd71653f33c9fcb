//! Filter chains of connections that carry no requests, and where they lead.

use sagene_api::Duration;
use sagene_model::labels::has_all;
use sagene_model::sidecar_scope::Lead;
use sagene_model::virtual_service::{MESH_GATEWAY, Resolved};

use super::super::super::names;
use super::super::super::proto::{cidr, listener};
use super::super::super::route::destination;
use super::super::chain::chain;
use super::super::tcp::{self, Destinations};
use crate::index::Index;
use crate::index::view::{View, Visible};

/// The chains of a port that carries connections.
#[derive(Default)]
pub(super) struct TcpChains {
    /// Chains with conditions.
    pub(super) matched: Vec<listener::FilterChain>,
    /// The filters of everything else.
    pub(super) default: Option<Vec<listener::Filter>>,
    pub(super) inspects_tls: bool,
}

/// The chains of connections that lead to a port of a service. Services that share an address are told apart by the name that clients of TLS
/// ask for.
pub(super) fn tcp_chains(
    index: &Index,
    view: &View,
    visible: &Visible,
    lead: Lead,
    shares_address: bool,
) -> TcpChains {
    let service = &visible.service;
    let mut made = TcpChains::default();
    let rule = visible.rule.as_ref();
    let idle = rule.and_then(|rule| {
        rule.merged.policy(lead.port, None).connection_pool.and_then(|pool| pool.tcp?.idle_timeout)
    });
    let host = service.hostname.as_str();
    let own = vec![(names::outbound(lead.port, "", host), 1)];
    let resolved = view.virtual_service(&service.hostname);
    for (server_names, destinations) in resolved.iter().flat_map(|one| tls_routes(view, one, lead.port)) {
        made.matched.push(by_server_name(index, view, server_names, &destinations, idle));
        made.inspects_tls = true;
    }
    let routed = resolved.and_then(|one| tcp_route(view, one, lead.port));
    let destinations = routed.unwrap_or(own);
    if !service.address_ranges.is_empty() {
        let filters = filters(index, view, &destinations, idle);
        let mut only = chain(host, filters);
        only.filter_chain_match = Some(listener::FilterChainMatch {
            prefix_ranges: service.address_ranges.iter().filter_map(|range| cidr(range)).collect(),
            ..listener::FilterChainMatch::default()
        });
        made.matched.push(only);
    } else if lead.protocol.is_tls() && shares_address && made.matched.is_empty() {
        made.matched.push(by_server_name(index, view, vec![host.to_owned()], &destinations, idle));
        made.inspects_tls = true;
    } else {
        made.default = Some(filters(index, view, &destinations, idle));
    }
    made
}

/// The filters that lead to destinations.
pub(super) fn filters(
    index: &Index,
    view: &View,
    destinations: &[(String, u32)],
    idle: Option<Duration>,
) -> Vec<listener::Filter> {
    tcp::outbound(destinations, idle, view.reports(index), view.key.plain_envoy)
}

fn by_server_name(
    index: &Index,
    view: &View,
    server_names: Vec<String>,
    destinations: &[(String, u32)],
    idle: Option<Duration>,
) -> listener::FilterChain {
    let mut made = chain(&server_names.join(","), filters(index, view, destinations, idle));
    made.filter_chain_match = Some(listener::FilterChainMatch {
        server_names: server_names.into_iter().filter(|name| name != "*").collect(),
        transport_protocol: "tls".to_owned(),
        ..listener::FilterChainMatch::default()
    });
    made
}

/// TLS routes of the mesh for a port: server names and where they lead.
fn tls_routes(view: &View, resolved: &Resolved, port: u16) -> Vec<(Vec<String>, Destinations)> {
    let mut made = Vec::new();
    for declared in &resolved.tls {
        for condition in &declared.r#match {
            let applies = (condition.port == 0 || condition.port == u32::from(port))
                && for_mesh(&condition.gateways)
                && has_all(&view.key.labels, &condition.source_labels)
                && (condition.source_namespace.is_empty()
                    || condition.source_namespace == view.key.namespace);
            if applies {
                made.push((condition.sni_hosts.clone(), weighted(view, &declared.route, port)));
            }
        }
    }
    made
}

/// The first TCP route of the mesh that applies to a port.
fn tcp_route(view: &View, resolved: &Resolved, port: u16) -> Option<Destinations> {
    let applies = |condition: &sagene_api::istio::networking::virtual_service::L4MatchAttributes| {
        (condition.port == 0 || condition.port == u32::from(port))
            && for_mesh(&condition.gateways)
            && condition.destination_subnets.is_empty()
            && has_all(&view.key.labels, &condition.source_labels)
            && (condition.source_namespace.is_empty() || condition.source_namespace == view.key.namespace)
    };
    let mut declared = resolved.tcp.iter();
    let found = declared.find(|route| route.r#match.is_empty() || route.r#match.iter().any(applies))?;
    Some(weighted(view, &found.route, port))
}

fn for_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|gateway| gateway == MESH_GATEWAY)
}

/// The clusters of weighted destinations.
pub(in super::super) fn weighted(
    view: &View,
    destinations: &[sagene_api::istio::networking::virtual_service::RouteDestination],
    port: u16,
) -> Destinations {
    let single = destinations.len() == 1;
    destinations
        .iter()
        .map(|one| {
            let weight = if single { 1 } else { u32::try_from(one.weight).unwrap_or(0) };
            (destination::cluster_name(view, &one.destination, port), weight)
        })
        .filter(|(_, weight)| *weight > 0)
        .collect()
}
