//! Filter chains of connections that carry no requests, and where they lead.

use sagene_api::{Duration, SortedMap};
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
    for TlsRoute { server_names, subnets, destinations } in
        resolved.iter().flat_map(|one| tls_routes(view, one, lead.port))
    {
        made.matched.push(by_server_name(index, view, server_names, &subnets, &destinations, idle));
        made.inspects_tls = true;
    }
    let mut taken: Vec<String> = Vec::new();
    let mut routed = None;
    for TcpRoute { mut subnets, destinations } in
        resolved.iter().flat_map(|one| tcp_routes(view, one, lead.port))
    {
        if subnets.is_empty() {
            routed = Some(destinations);
            break;
        }
        // The first route of a range has it: no two chains may be for the same connections.
        subnets.retain(|subnet| !taken.contains(subnet));
        if !subnets.is_empty() {
            made.matched.push(by_subnet(host, &subnets, filters(index, view, &destinations, idle)));
            taken.extend(subnets);
        }
    }
    let destinations = routed.unwrap_or(own);
    if !service.address_ranges.is_empty() {
        let left = service.address_ranges.iter().filter(|range| !taken.contains(range)).cloned();
        let left: Vec<String> = left.collect();
        if !left.is_empty() {
            made.matched.push(by_subnet(host, &left, filters(index, view, &destinations, idle)));
        }
    } else if lead.protocol.is_tls() && shares_address {
        // Names that were not asked for here lead elsewhere: this service is no default of the address.
        if made.matched.is_empty() {
            made.matched.push(by_server_name(index, view, vec![host.to_owned()], &[], &destinations, idle));
            made.inspects_tls = true;
        }
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
    let shape = tcp::Shape::of(view, destinations, idle);
    tcp::outbound(destinations, shape, view.reports(index), view.key.plain_envoy)
}

/// The chain of connections to addresses of some ranges.
fn by_subnet(name: &str, subnets: &[String], filters: Vec<listener::Filter>) -> listener::FilterChain {
    let mut made = chain(name, filters);
    made.filter_chain_match = Some(listener::FilterChainMatch {
        prefix_ranges: subnets.iter().filter_map(|range| cidr(range)).collect(),
        ..listener::FilterChainMatch::default()
    });
    made
}

fn by_server_name(
    index: &Index,
    view: &View,
    server_names: Vec<String>,
    subnets: &[String],
    destinations: &[(String, u32)],
    idle: Option<Duration>,
) -> listener::FilterChain {
    let mut made = chain(&server_names.join(","), filters(index, view, destinations, idle));
    made.filter_chain_match = Some(listener::FilterChainMatch {
        server_names: server_names.into_iter().filter(|name| name != "*").collect(),
        transport_protocol: "tls".to_owned(),
        prefix_ranges: subnets.iter().filter_map(|range| cidr(range)).collect(),
        ..listener::FilterChainMatch::default()
    });
    made
}

/// Where TLS connections to some names lead, if they go to some addresses.
struct TlsRoute {
    server_names: Vec<String>,
    /// Ranges of addresses; none means all.
    subnets: Vec<String>,
    destinations: Destinations,
}

/// TLS routes of the mesh for a port.
fn tls_routes(view: &View, resolved: &Resolved, port: u16) -> Vec<TlsRoute> {
    let mut made = Vec::new();
    for declared in &resolved.tls {
        for condition in &declared.r#match {
            let of = Asked {
                port: condition.port,
                gateways: &condition.gateways,
                labels: &condition.source_labels,
                namespace: &condition.source_namespace,
            };
            if of.covers(view, port) {
                made.push(TlsRoute {
                    server_names: condition.sni_hosts.clone(),
                    subnets: condition.destination_subnets.clone(),
                    destinations: weighted(view, &declared.route, port),
                });
            }
        }
    }
    made
}

/// Where connections lead that go to some addresses.
struct TcpRoute {
    /// Ranges of addresses; none means all.
    subnets: Vec<String>,
    destinations: Destinations,
}

/// TCP routes of the mesh for a port, in order.
fn tcp_routes(view: &View, resolved: &Resolved, port: u16) -> Vec<TcpRoute> {
    let applies = |condition: &&sagene_api::istio::networking::virtual_service::L4MatchAttributes| {
        let of = Asked {
            port: condition.port,
            gateways: &condition.gateways,
            labels: &condition.source_labels,
            namespace: &condition.source_namespace,
        };
        of.covers(view, port)
    };
    let mut made = Vec::new();
    for declared in &resolved.tcp {
        let conditions = declared.r#match.iter().filter(applies).map(|one| one.destination_subnets.clone());
        let any = declared.r#match.is_empty().then(Vec::new);
        for subnets in conditions.chain(any) {
            made.push(TcpRoute { subnets, destinations: weighted(view, &declared.route, port) });
        }
    }
    made
}

/// What conditions of TLS and of TCP ask of a connection alike, besides where it goes.
struct Asked<'a> {
    port: u32,
    gateways: &'a [String],
    labels: &'a SortedMap<String, String>,
    namespace: &'a str,
}

impl Asked<'_> {
    /// Whether connections of the view's clients to a port are meant.
    fn covers(&self, view: &View, port: u16) -> bool {
        (self.port == 0 || self.port == u32::from(port))
            && (self.gateways.is_empty() || self.gateways.iter().any(|gateway| gateway == MESH_GATEWAY))
            && has_all(&view.key.labels, self.labels)
            && (self.namespace.is_empty() || self.namespace == view.key.namespace)
    }
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
