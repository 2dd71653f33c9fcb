//! Outbound listeners of sidecars: one per port for requests, one per address and port for connections.

mod connections;

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_model::Protocol;
use sagene_model::endpoint::Endpoint;
use sagene_model::service::{Registry, Resolution};
use sagene_model::sidecar_scope::EgressListener;

use super::super::families::also_at;
use super::super::proto::{boolean, core, listener};
use super::super::route::{allows_any, egress_proxy};
use super::super::topology::Topology;
use super::super::{Resource, names};
use super::chain::{
    chain, http_inspector, listener as new_listener, plaintext_http, set_inspection_timeout, tls_inspector,
    to_port, without_socket,
};
use super::http_manager::{Manager, Routes, Side, http_manager};
use super::unique::keep_first_chains;
use crate::index::Index;
use crate::index::view::{View, Visible};
use connections::{TcpChains, filters, tcp_chains};

pub(super) use connections::weighted;

/// Most addresses of a headless service that get a listener each.
const MAX_HEADLESS_LISTENERS: usize = 100;
/// Ports on which a sidecar itself listens: a socket of the same number would take what is meant for it.
const OF_THE_SIDECAR: [u16; 6] = [15000, 15004, 15020, 15021, 15053, 15090];
/// Stands for every address.
const WILDCARD: &str = "*";

/// What is known of one address and port.
#[derive(Default)]
struct Draft {
    /// Further addresses of the same service.
    also_at: Vec<String>,
    /// Requests, with the name of their routes.
    http: Option<String>,
    /// The workload connects to it by itself.
    has_socket: bool,
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
    for egress in &view.scope.egress {
        let place = Place { index, view, egress };
        for visible in &view.services {
            for number in egress.numbers(&visible.service) {
                place.add(visible, number, &mut drafts);
            }
        }
    }
    let mut made: Vec<Arc<Resource>> =
        drafts.into_iter().map(|((ip, port), draft)| finish(index, view, &ip, port, draft)).collect();
    if !view.key.captures_nothing {
        made.push(virtual_outbound(index, view));
    }
    made
}

/// A listener of the Sidecar, or the one of everything.
struct Place<'a> {
    index: &'a Index,
    view: &'a View,
    egress: &'a EgressListener,
}

impl Place<'_> {
    /// Takes in connections to `number` that lead to a service.
    fn add(&self, visible: &Visible, number: u16, drafts: &mut Drafts) {
        let settings = &self.index.settings;
        // A listener on the proxy's own ports would catch the connections that were captured.
        if number == settings.proxy_listen_port || number == settings.proxy_inbound_listen_port {
            return;
        }
        if self.egress.has_socket && OF_THE_SIDECAR.contains(&number) {
            return;
        }
        let Some(lead) = self.view.scope.lead(self.egress, &visible.service, number) else { return };
        if lead.protocol.is_http() {
            let ip = self.address().unwrap_or_else(|| WILDCARD.to_owned());
            let routes = self.routes(&ip, number);
            let draft = drafts.entry((ip, number)).or_default();
            draft.has_socket |= self.egress.has_socket;
            // The older service has the port; requests do not mix with what is no HTTP.
            if draft.tcp.is_none() || draft.http.is_some() {
                draft.http.get_or_insert(routes);
                draft.grpc_web |= lead.protocol == Protocol::GrpcWeb;
            }
            return;
        }
        let own = self.address();
        let shares_address = own.is_some() || visible.service.addresses.is_empty();
        let chains = tcp_chains(self.index, self.view, visible, lead, shares_address);
        let binds = own.map_or_else(|| binds(self.index, self.view, visible), |ip| vec![Bind::at(ip)]);
        for bind in binds {
            self.add_connections(visible, number, lead.protocol, &chains, bind, drafts);
        }
    }

    fn add_connections(
        &self,
        visible: &Visible,
        number: u16,
        protocol: Protocol,
        chains: &TcpChains,
        Bind { ip, also_at }: Bind,
        drafts: &mut Drafts,
    ) {
        let is_services = ip != WILDCARD && self.address().is_none();
        let routes = match is_services {
            true => format!("{}:{number}", visible.service.hostname),
            false => self.routes(&ip, number),
        };
        let draft = drafts.entry((ip, number)).or_default();
        draft.also_at = also_at;
        draft.has_socket |= self.egress.has_socket;
        if protocol.is_unspecified() && draft.http.is_none() && draft.tcp.is_none() {
            draft.http = Some(routes);
            draft.sniffed = true;
        }
        draft.inspects_tls |= chains.inspects_tls;
        draft.chains.extend(chains.matched.iter().cloned());
        if draft.tcp.is_none() && (draft.http.is_none() || draft.sniffed) {
            draft.tcp.clone_from(&chains.default);
        }
    }

    /// The address that the Sidecar means; `None` where the services' count.
    fn address(&self) -> Option<String> {
        match self.egress.bind {
            Some(ip) if ip.is_unspecified() => Some(WILDCARD.to_owned()),
            Some(ip) => Some(ip.to_string()),
            None if self.egress.has_socket => Some(self.view.key.families.loopback().to_owned()),
            None => None,
        }
    }

    /// Name of the routes: where the workload connects by itself there is no original destination, so they are others.
    fn routes(&self, ip: &str, number: u16) -> String {
        match self.egress.has_socket {
            true => names::routes_of_socket(
                if ip == WILDCARD { self.view.key.families.any().0 } else { ip },
                number,
            ),
            false => number.to_string(),
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
    let (service, families) = (&visible.service, view.key.families);
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
    // A pod of both families is one listener's, as the addresses of a Service are.
    let of_pod = |one: &Endpoint| {
        let mut reachable = one.addresses().filter(|ip| ip.parse().is_ok_and(|ip| families.reach(ip)));
        let first = reachable.next().unwrap_or(&one.address).to_owned();
        (first, reachable.map(str::to_owned).collect())
    };
    let pods: BTreeMap<String, Vec<String>> = state.healthy().map(of_pod).collect();
    pods.into_iter().take(MAX_HEADLESS_LISTENERS).map(|(ip, also_at)| Bind { ip, also_at }).collect()
}

/// Where connections go that are for no known service; one that came to a socket has no destination of its own.
fn unknown_destination(index: &Index, view: &View, port: u16, has_socket: bool) -> String {
    match egress_proxy(view, port) {
        _ if has_socket || !allows_any(index, view) => names::BLACK_HOLE.to_owned(),
        Some(cluster) => cluster,
        None => names::PASSTHROUGH.to_owned(),
    }
}

fn finish(index: &Index, view: &View, ip: &str, port: u16, draft: Draft) -> Arc<Resource> {
    let settings = &index.settings;
    let (any, others) = view.key.families.any();
    let on_wildcard = ip == WILDCARD;
    let ip = if on_wildcard { any } else { ip };
    let name = format!("{ip}_{port}");
    let mut made = new_listener(&name, ip, port, core::TrafficDirection::Outbound, settings);
    if !draft.has_socket {
        made = without_socket(made);
    }
    let unknown = [(unknown_destination(index, view, port, draft.has_socket), 1)];
    also_at(&mut made, others.iter().copied().filter(|_| on_wildcard), port);
    also_at(&mut made, draft.also_at.iter().map(String::as_str), port);
    made.filter_chains = draft.chains;
    keep_first_chains(&mut made);
    if let Some(routes) = draft.http {
        let manager = Manager {
            side: Side::Outbound,
            stat_prefix: &format!("outbound_{name}"),
            routes: Routes::Named(routes),
            policies: Arc::from([]),
            grpc_web: draft.grpc_web,
            http10: false,
            plain_envoy: view.key.plain_envoy,
            topology: Topology::default(),
        };
        let mut requests = chain("", vec![http_manager(manager, settings, view.reports(index))]);
        requests.filter_chain_match = Some(plaintext_http(false));
        made.filter_chains.push(requests);
        made.listener_filters = vec![tls_inspector(), http_inspector()];
        set_inspection_timeout(&mut made, settings);
        let rest = draft.tcp.unwrap_or_else(|| filters(index, view, &unknown, None));
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
    let rest = [(unknown_destination(index, view, port, false), 1)];
    made.filter_chains = vec![own, chain("virtualOutbound-catchall-tcp", filters(index, view, &rest, None))];
    crate::generate::resource::encode(NAME, &made)
}

#[cfg(test)]
mod tests;
