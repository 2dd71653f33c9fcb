//! Outbound listeners of sidecars: one per port for requests, one per address and port for connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Duration;
use sagene_model::Protocol;
use sagene_model::labels::has_all;
use sagene_model::service::{Registry, Resolution, ServicePort};
use sagene_model::virtual_service::{MESH_GATEWAY, Resolved};

use super::super::families::also_at;
use super::super::proto::{boolean, cidr, core, listener};
use super::super::route::{allows_any, destination};
use super::super::{Resource, names};
use super::chain::{
    chain, http_inspector, listener as new_listener, plaintext_http, set_inspection_timeout, tls_inspector,
    to_port, without_socket,
};
use super::http_manager::{Manager, Routes, Side, http_manager};
use super::tcp::{self, Destinations};
use crate::index::Index;
use crate::index::view::{View, Visible};

/// Most addresses of a headless service that get a listener each.
const MAX_HEADLESS_LISTENERS: usize = 100;
/// Stands for every address.
const WILDCARD: &str = "*";

/// What is known of one address and port.
#[derive(Default)]
struct Draft {
    /// Further addresses of the same service.
    also_at: Vec<String>,
    /// Requests, with the name of their routes.
    http: Option<String>,
    /// Requests are found out by looking.
    sniffed: bool,
    grpc_web: bool,
    /// Connections by server name or address.
    chains: Vec<listener::FilterChain>,
    /// Connections of all other kinds.
    tcp: Option<Vec<listener::Filter>>,
    inspects_tls: bool,
}

type Drafts = BTreeMap<(String, u16), Draft>;

/// All outbound listeners.
pub(super) fn listeners(index: &Index, view: &View) -> Vec<Arc<Resource>> {
    let mut drafts = Drafts::new();
    for visible in &view.services {
        for port in &visible.service.ports {
            add(index, view, visible, port, &mut drafts);
        }
    }
    let mut made: Vec<Arc<Resource>> =
        drafts.into_iter().map(|((ip, port), draft)| finish(index, view, &ip, port, draft)).collect();
    made.push(virtual_outbound(index, view));
    made
}

fn add(index: &Index, view: &View, visible: &Visible, port: &ServicePort, drafts: &mut Drafts) {
    let service = &visible.service;
    // A listener on the proxy's own ports would catch the connections that were captured.
    if port.port == index.settings.proxy_listen_port || port.port == index.settings.proxy_inbound_listen_port
    {
        return;
    }
    if port.protocol.is_http() {
        let draft = drafts.entry((WILDCARD.to_owned(), port.port)).or_default();
        // The older service has the port; requests do not mix with what is no HTTP.
        if draft.tcp.is_none() || draft.http.is_some() {
            draft.http.get_or_insert_with(|| port.port.to_string());
            draft.grpc_web |= port.protocol == Protocol::GrpcWeb;
        }
        return;
    }
    let chains = tcp_chains(index, view, visible, port);
    for Bind { ip, also_at } in binds(index, view, visible) {
        let draft = drafts.entry((ip.clone(), port.port)).or_default();
        draft.also_at = also_at;
        if port.protocol.is_unspecified() && draft.http.is_none() && draft.tcp.is_none() {
            let on_wildcard = ip == WILDCARD;
            let routes = format!("{}:{}", service.hostname, port.port);
            draft.http = Some(if on_wildcard { port.port.to_string() } else { routes });
            draft.sniffed = true;
        }
        draft.inspects_tls |= chains.inspects_tls;
        draft.chains.extend(chains.matched.iter().cloned());
        if draft.tcp.is_none() && (draft.http.is_none() || draft.sniffed) {
            draft.tcp.clone_from(&chains.default);
        }
    }
}

/// Where a listener of a service is.
struct Bind {
    ip: String,
    also_at: Vec<String>,
}

impl Bind {
    fn at(ip: impl ToString) -> Self {
        Self { ip: ip.to_string(), also_at: Vec::new() }
    }
}

/// The addresses a service's connections are made to. The two of a dual-stack Service, and those that were chosen for a ServiceEntry, are one
/// listener's.
fn binds(index: &Index, view: &View, visible: &Visible) -> Vec<Bind> {
    let service = &visible.service;
    let families = view.key.families;
    if !service.addresses.is_empty() {
        let mut reachable = service.addresses.iter().filter(|address| families.reach(**address));
        let is_one = service.registry == Registry::Kubernetes || !service.allocated.is_empty();
        let first = reachable.next().filter(|_| is_one);
        if let Some(first) = first {
            let also_at = reachable.map(ToString::to_string).collect();
            return vec![Bind { ip: first.to_string(), also_at }];
        }
        return service.addresses.iter().map(Bind::at).collect();
    }
    let is_headless = service.resolution == Resolution::Passthrough && !service.mesh_external;
    let Some(state) = index.services.get(&visible.key).filter(|_| is_headless) else {
        return vec![Bind::at(WILDCARD)];
    };
    let mut ips: Vec<String> = state.healthy().map(|one| one.address.clone()).collect();
    ips.sort();
    ips.dedup();
    ips.truncate(MAX_HEADLESS_LISTENERS);
    ips.into_iter().map(Bind::at).collect()
}

/// The chains of a port that carries connections.
#[derive(Default)]
struct TcpChains {
    /// Chains with conditions.
    matched: Vec<listener::FilterChain>,
    /// The filters of everything else.
    default: Option<Vec<listener::Filter>>,
    inspects_tls: bool,
}

fn tcp_chains(index: &Index, view: &View, visible: &Visible, port: &ServicePort) -> TcpChains {
    let service = &visible.service;
    let mut made = TcpChains::default();
    let rule = visible.rule.as_ref();
    let idle = rule.and_then(|rule| {
        rule.merged.policy(port.port, None).connection_pool.and_then(|pool| pool.tcp?.idle_timeout)
    });
    let host = service.hostname.as_str();
    let own = vec![(names::outbound(port.port, "", host), 1)];
    let resolved = view.virtual_service(&service.hostname);
    for (server_names, destinations) in resolved.iter().flat_map(|one| tls_routes(view, one, port.port)) {
        made.matched.push(by_server_name(index, view, server_names, &destinations, idle));
        made.inspects_tls = true;
    }
    let routed = resolved.and_then(|one| tcp_route(view, one, port.port));
    let destinations = routed.unwrap_or(own);
    let shares_address = service.addresses.is_empty();
    if !service.address_ranges.is_empty() {
        let filters = filters(index, view, &destinations, idle);
        let mut only = chain(host, filters);
        only.filter_chain_match = Some(listener::FilterChainMatch {
            prefix_ranges: service.address_ranges.iter().filter_map(|range| cidr(range)).collect(),
            ..listener::FilterChainMatch::default()
        });
        made.matched.push(only);
    } else if port.protocol.is_tls() && shares_address && made.matched.is_empty() {
        // Services without an address of their own are told apart by the name their clients ask for.
        made.matched.push(by_server_name(index, view, vec![host.to_owned()], &destinations, idle));
        made.inspects_tls = true;
    } else {
        made.default = Some(filters(index, view, &destinations, idle));
    }
    made
}

fn filters(
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
pub(super) fn weighted(
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

fn unknown_destination(index: &Index, view: &View) -> &'static str {
    if allows_any(index, view) { names::PASSTHROUGH } else { names::BLACK_HOLE }
}

fn finish(index: &Index, view: &View, ip: &str, port: u16, draft: Draft) -> Arc<Resource> {
    let settings = &index.settings;
    let (any, others) = view.key.families.any();
    let on_wildcard = ip == WILDCARD;
    let ip = if on_wildcard { any } else { ip };
    let name = format!("{ip}_{port}");
    let mut made = without_socket(new_listener(&name, ip, port, core::TrafficDirection::Outbound, settings));
    also_at(&mut made, others.iter().copied().filter(|_| on_wildcard), port);
    also_at(&mut made, draft.also_at.iter().map(String::as_str), port);
    made.filter_chains = draft.chains;
    if let Some(routes) = draft.http {
        let manager = Manager {
            side: Side::Outbound,
            stat_prefix: &format!("outbound_{name}"),
            routes: Routes::Named(routes),
            policies: Arc::from([]),
            grpc_web: draft.grpc_web,
            http10: false,
            plain_envoy: view.key.plain_envoy,
        };
        let mut requests = chain("", vec![http_manager(manager, settings, view.reports(index))]);
        requests.filter_chain_match = Some(plaintext_http(false));
        made.filter_chains.push(requests);
        made.listener_filters = vec![tls_inspector(), http_inspector()];
        set_inspection_timeout(&mut made, settings);
        let rest = draft.tcp.unwrap_or_else(|| {
            filters(index, view, &[(unknown_destination(index, view).to_owned(), 1)], None)
        });
        made.default_filter_chain = Some(chain("PassthroughFilterChain", rest));
    } else {
        if draft.inspects_tls {
            made.listener_filters = vec![tls_inspector()];
            set_inspection_timeout(&mut made, settings);
        }
        match draft.tcp {
            Some(filters) if made.filter_chains.is_empty() => made.filter_chains.push(chain("", filters)),
            Some(filters) => made.default_filter_chain = Some(chain("", filters)),
            None => {
                let unknown = [(unknown_destination(index, view).to_owned(), 1)];
                made.default_filter_chain =
                    Some(chain("PassthroughFilterChain", filters(index, view, &unknown, None)));
            }
        }
    }
    crate::generate::resource::encode(&name, &made)
}

/// The listener that captured connections come to; it hands them to the one of their destination.
fn virtual_outbound(index: &Index, view: &View) -> Arc<Resource> {
    const NAME: &str = "virtualOutbound";
    let settings = &index.settings;
    let port = settings.proxy_listen_port;
    let (any, others) = view.key.families.any();
    let mut made = new_listener(NAME, any, port, core::TrafficDirection::Outbound, settings);
    also_at(&mut made, others.iter().copied(), port);
    made.use_original_dst = boolean(true);
    let mut own =
        chain("virtualOutbound-blackhole", filters(index, view, &[(names::BLACK_HOLE.to_owned(), 1)], None));
    own.filter_chain_match = Some(to_port(port));
    let rest = [(unknown_destination(index, view).to_owned(), 1)];
    made.filter_chains = vec![own, chain("virtualOutbound-catchall-tcp", filters(index, view, &rest, None))];
    crate::generate::resource::encode(NAME, &made)
}

#[cfg(test)]
mod tests;
