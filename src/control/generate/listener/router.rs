//! Listeners of gateways: one per address and port of their servers.

use std::sync::Arc;

use sagene_api::istio::networking::gateway::ServerTlsMode;
use sagene_api::istio::networking::virtual_service::{L4MatchAttributes, TlsMatchAttributes};
use sagene_model::Hostname;
use sagene_model::gateway::{GatewayServer, PortServers, http_route_name};
use sagene_model::virtual_service::Resolved;

use super::super::authorization::{self, Policies};
use super::super::families::also_at;
use super::super::proto::{boolean, cidr, core, listener};
use super::super::route::shared_hosts;
use super::super::{Resource, transport};
use super::chain::{chain, listener as new_listener, proxy_protocol, tls_inspector};
use super::http_manager::{Manager, Routes, Side, http_manager};
use super::inbound::trust_domains;
use super::outbound::weighted;
use super::tcp::{self, Destinations};
use super::unique::keep_first_chains;
use crate::index::Index;
use crate::index::inbound::Inbound;
use crate::index::view::View;

struct Router<'a> {
    index: &'a Index,
    view: &'a View,
    policies: Policies,
}

/// The listeners of all ports that have something to serve.
pub(super) fn listeners(index: &Index, view: &View, inbound: &Inbound) -> Vec<Arc<Resource>> {
    let router = Router { index, view, policies: authorization::policies(index, &inbound.key, true) };
    let ports = view.gateways(index).ports.iter();
    ports.filter_map(|((bind, port), servers)| router.listener(bind, *port, servers)).collect()
}

impl Router<'_> {
    fn listener(&self, bind: &str, port: u16, servers: &PortServers) -> Option<Arc<Resource>> {
        let settings = &self.index.settings;
        let (any, others) = self.view.key.families.any();
        let (ip, others) = if bind.is_empty() { (any, others) } else { (bind, &[][..]) };
        let name = format!("{ip}_{port}");
        let mut made = new_listener(&name, ip, port, core::TrafficDirection::Outbound, settings);
        also_at(&mut made, others.iter().copied(), port);
        made.bind_to_port = boolean(true);
        if !servers.http.is_empty() {
            let filters = vec![self.manager(&name, http_route_name(bind, port))];
            made.filter_chains.push(chain("", filters));
        }
        for server in &servers.tls {
            made.filter_chains.extend(self.tls_chains(&name, server));
        }
        if let Some(server) = servers.tcp.first() {
            made.filter_chains.extend(self.tcp_chain(server));
        }
        keep_first_chains(&mut made);
        if !servers.tls.is_empty() {
            made.listener_filters = vec![tls_inspector()];
        }
        if self.view.key.topology.proxy_protocol {
            made.listener_filters.insert(0, proxy_protocol());
        }
        (!made.filter_chains.is_empty()).then(|| crate::generate::resource::encode(&name, &made))
    }

    fn manager(&self, listener_name: &str, routes: String) -> listener::Filter {
        let manager = Manager {
            side: Side::Gateway,
            stat_prefix: &format!("outbound_{listener_name}"),
            routes: Routes::Named(routes),
            policies: self.policies.http.clone(),
            grpc_web: true,
            http10: false,
            plain_envoy: self.view.key.plain_envoy,
            topology: self.view.key.topology,
        };
        http_manager(manager, &self.index.settings, self.view.reports(self.index))
    }

    fn tls_chains(&self, listener_name: &str, server: &GatewayServer) -> Vec<listener::FilterChain> {
        let Some(settings) = &server.server().tls else { return Vec::new() };
        let hosts: Vec<Hostname> = server.hosts().into_iter().map(|offered| offered.host).collect();
        if !server.terminates_tls() {
            return match settings.mode {
                ServerTlsMode::Passthrough => self.passthrough_chains(server),
                _ => Vec::new(),
            };
        }
        let filters = if server.is_http() {
            vec![self.manager(listener_name, server.https_route_name())]
        } else {
            let Some(destinations) = self.tcp_destinations(server) else { return Vec::new() };
            self.tcp_filters(&destinations)
        };
        let mut made = chain("", filters);
        made.filter_chain_match = Some(server_names(hosts.iter().map(Hostname::as_str)));
        let domains = trust_domains(&self.index.settings.mesh);
        made.transport_socket = Some(transport::gateway_server(
            settings,
            &domains,
            server.is_http(),
            (&self.index.settings.mesh_tls, &self.index.settings.tls_defaults),
        ));
        vec![made]
    }

    fn tcp_filters(&self, destinations: &[(String, u32)]) -> Vec<listener::Filter> {
        let reports = self.view.reports(self.index);
        let shape = tcp::Shape::of(self.view, destinations, None);
        let own = tcp::outbound(destinations, shape, reports, self.view.key.plain_envoy);
        self.policies.tcp.iter().cloned().chain(own).collect()
    }

    /// VirtualServices bound to a server that share a host with it.
    fn bound<'b>(&'b self, server: &'b GatewayServer) -> impl Iterator<Item = &'b Resolved> {
        let gateway = server.gateway_name();
        self.view.virtual_services.iter().map(AsRef::as_ref).filter(move |resolved: &&Resolved| {
            resolved.is_bound_to(&gateway) && !shared_hosts(server, resolved).is_empty()
        })
    }

    /// Connections passed through by server name: one chain per condition.
    fn passthrough_chains(&self, server: &GatewayServer) -> Vec<listener::FilterChain> {
        let port = server.server().port.number;
        let gateway = server.gateway_name();
        let applies = |condition: &TlsMatchAttributes| {
            (condition.port == 0 || condition.port == port)
                && (condition.gateways.is_empty() || condition.gateways.contains(&gateway))
        };
        let mut made = Vec::new();
        for resolved in self.bound(server) {
            let shared = shared_hosts(server, resolved);
            for declared in &resolved.tls {
                for condition in declared.r#match.iter().filter(|condition| applies(condition)) {
                    let wanted = condition.sni_hosts.iter().map(|name| Hostname::new(name));
                    let allowed = wanted.filter(|name| shared.iter().any(|host| host.covers(name)));
                    let hosts: Vec<Hostname> = allowed.collect();
                    let destinations = weighted(self.view, &declared.route, port_of(server));
                    if hosts.is_empty() || destinations.is_empty() {
                        continue;
                    }
                    let mut only = chain("", self.tcp_filters(&destinations));
                    let subnets = condition.destination_subnets.iter();
                    only.filter_chain_match = Some(listener::FilterChainMatch {
                        prefix_ranges: subnets.filter_map(|range| cidr(range)).collect(),
                        ..server_names(hosts.iter().map(Hostname::as_str))
                    });
                    made.push(only);
                }
            }
        }
        made
    }

    fn tcp_chain(&self, server: &GatewayServer) -> Option<listener::FilterChain> {
        let destinations = self.tcp_destinations(server)?;
        Some(chain("", self.tcp_filters(&destinations)))
    }

    /// Where the first TCP route that applies leads.
    fn tcp_destinations(&self, server: &GatewayServer) -> Option<Destinations> {
        let port = server.server().port.number;
        let gateway = server.gateway_name();
        let applies = |condition: &L4MatchAttributes| {
            (condition.port == 0 || condition.port == port)
                && (condition.gateways.is_empty() || condition.gateways.contains(&gateway))
        };
        let mut routes = self.bound(server).flat_map(|resolved| &resolved.tcp);
        let found = routes.find(|route| route.r#match.is_empty() || route.r#match.iter().any(applies))?;
        let destinations = weighted(self.view, &found.route, port_of(server));
        (!destinations.is_empty()).then_some(destinations)
    }
}

fn port_of(server: &GatewayServer) -> u16 {
    u16::try_from(server.server().port.number).unwrap_or(0)
}

/// Condition on the server name; `*` is no condition.
fn server_names<'a>(hosts: impl Iterator<Item = &'a str>) -> listener::FilterChainMatch {
    let names: Vec<String> = hosts.map(str::to_owned).collect();
    let any = names.iter().any(|name| name == "*");
    listener::FilterChainMatch {
        server_names: if any { Vec::new() } else { names },
        ..listener::FilterChainMatch::default()
    }
}
