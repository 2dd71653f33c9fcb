//! `virtualInbound`: every connection into the workload, by port; and listeners of ports that callers connect to themselves.

use std::sync::Arc;

use sagene_api::istio::networking::gateway::ServerTlsSettings;
use sagene_model::peer_authentication::Mode;
use sagene_model::{Mesh, Protocol};

use super::super::authorization::{self, Policies};
use super::super::families::also_at;
use super::super::proto::{core, listener};
use super::super::telemetry::{self, Reports};
use super::super::topology::Topology;
use super::super::{Resource, names, route, transport};
use super::chain::{
    chain, http_inspector, listener as new_listener, off_for_ports, original_dst, original_src,
    set_inspection_timeout, tls_inspector, to_port,
};
use super::http_manager::{Manager, Routes, Side, http_manager};
use super::inbound_policy::{ChainKind, chains};
use super::tcp;
use crate::index::Index;
use crate::index::inbound::{InboundKey, InboundPort};

const NAME: &str = "virtualInbound";

/// Trust domains whose identities are accepted.
pub(super) fn trust_domains(mesh: &Mesh) -> Vec<String> {
    std::iter::once(&mesh.trust_domain).chain(&mesh.trust_domain_aliases).cloned().collect()
}

struct Inbound<'a> {
    index: &'a Index,
    key: &'a InboundKey,
    policies: Policies,
    reports: Reports,
}

/// Where the connections of a chain go.
struct Destination<'a> {
    cluster: String,
    chain_name: &'a str,
    stat_prefix: String,
    service_port: u16,
    host: &'a str,
    grpc_web: bool,
}

/// The listeners of what comes in.
pub(super) fn listeners(index: &Index, key: &InboundKey) -> Vec<Arc<Resource>> {
    let reports = Reports::of(&key.telemetry, index, &key.traces, telemetry::Side::Server);
    let inbound = Inbound { index, key, policies: authorization::policies(index, key, false), reports };
    let with_socket = key.ports.iter().filter_map(|port| inbound.with_socket(port));
    std::iter::once(virtual_inbound(&inbound)).chain(with_socket).collect()
}

/// The listener of everything that is captured.
fn virtual_inbound(inbound: &Inbound<'_>) -> Arc<Resource> {
    let (key, settings) = (inbound.key, &inbound.index.settings);
    let port = settings.proxy_inbound_listen_port;
    let (any, others) = key.families.any();
    let mut made = new_listener(NAME, any, port, core::TrafficDirection::Inbound, settings);
    also_at(&mut made, others.iter().copied(), port);
    made.filter_chains.push(inbound.black_hole());
    made.filter_chains.extend(inbound.passthrough());
    for declared in &key.ports {
        made.filter_chains.extend(inbound.of_port(declared));
    }
    made.listener_filters = inbound.listener_filters();
    set_inspection_timeout(&mut made, settings);
    made.transparent = key.transparent.then_some(super::super::proto::BoolValue { value: true });
    crate::generate::resource::encode(NAME, &made)
}

impl Inbound<'_> {
    /// A connection to the listener's own port would lead back to it.
    fn black_hole(&self) -> listener::FilterChain {
        let destination = [(names::BLACK_HOLE.to_owned(), 1)];
        let mut made = chain(
            "virtualInbound-blackhole",
            tcp::outbound(&destination, tcp::Shape::default(), &self.reports, self.key.plain_envoy),
        );
        made.filter_chain_match = Some(to_port(self.index.settings.proxy_inbound_listen_port));
        made
    }

    /// Chains for ports of no service; ports with a mode of their own get chains of their own.
    fn passthrough(&self) -> Vec<listener::FilterChain> {
        let declared = |port: &u16| self.key.ports.iter().any(|known| known.target_port == *port);
        let mut made = self.passthrough_chains(self.key.mutual_tls.workload, None);
        for (port, mode) in self.key.mutual_tls.ports.iter().filter(|(port, _)| !declared(port)) {
            made.extend(self.passthrough_chains(*mode, Some(*port)));
        }
        made
    }

    fn passthrough_chains(&self, mode: Mode, port: Option<u16>) -> Vec<listener::FilterChain> {
        let kinds = chains(mode, Protocol::Unspecified, self.key.http10);
        let of = |kind: &ChainKind| {
            let destination = Destination {
                cluster: names::INBOUND_PASSTHROUGH.to_owned(),
                chain_name: if kind.http { "virtualInbound-catchall-http" } else { NAME },
                stat_prefix: names::INBOUND_PASSTHROUGH.to_owned(),
                service_port: 0,
                host: names::INBOUND_PASSTHROUGH,
                grpc_web: false,
            };
            self.chain(kind, port, &destination)
        };
        kinds.iter().map(of).collect()
    }

    /// The listener of a port that has a socket of its own.
    fn with_socket(&self, port: &InboundPort) -> Option<Arc<Resource>> {
        let ip = self.key.ingress.get(&port.target_port)?.socket?.to_string();
        let (name, settings) = (format!("{ip}_{}", port.target_port), &self.index.settings);
        let mut made = new_listener(&name, &ip, port.target_port, core::TrafficDirection::Inbound, settings);
        made.filter_chains = self.of_port(port);
        let inspectors = self.listener_filters().into_iter();
        made.listener_filters = inspectors.filter(|filter| filter.name.ends_with("_inspector")).collect();
        set_inspection_timeout(&mut made, settings);
        Some(crate::generate::resource::encode(&name, &made))
    }

    fn of_port(&self, port: &InboundPort) -> Vec<listener::FilterChain> {
        let mode = self.key.mutual_tls.of_port(port.target_port);
        let name = format!("0.0.0.0_{}", port.target_port);
        let destination = Destination {
            cluster: names::inbound(port.target_port),
            chain_name: &name,
            stat_prefix: format!("inbound_{name}"),
            service_port: port.service_port,
            host: port.hostname.as_str(),
            grpc_web: port.protocol == Protocol::GrpcWeb,
        };
        let kinds = chains(mode, port.protocol, self.key.http10);
        kinds.iter().map(|kind| self.chain(kind, Some(port.target_port), &destination)).collect()
    }

    fn chain(
        &self,
        kind: &ChainKind,
        port: Option<u16>,
        destination: &Destination<'_>,
    ) -> listener::FilterChain {
        let filters = if kind.http { self.http_filters(destination) } else { self.tcp_filters(destination) };
        let mut made = chain(destination.chain_name, filters);
        let mut condition = kind.condition.clone();
        condition.destination_port = port.map(u32::from).and_then(super::super::proto::uint);
        made.filter_chain_match = Some(condition);
        if kind.mutual_tls {
            let alpn: &[&str] =
                if kind.http { &["h2", "http/1.1"] } else { &["istio-peer-exchange", "h2", "http/1.1"] };
            let domains = trust_domains(&self.index.settings.mesh);
            made.transport_socket =
                Some(transport::downstream_mutual(&domains, alpn, &self.index.settings.mesh_tls));
        } else if let Some(tls) = port.and_then(|port| self.own_tls(port)) {
            let domains = trust_domains(&self.index.settings.mesh);
            made.transport_socket = Some(transport::gateway_server(
                tls,
                &domains,
                kind.http,
                (&self.index.settings.mesh_tls, &self.index.settings.tls_defaults),
            ));
        }
        made
    }

    /// TLS that a Sidecar ends on a port, where the mesh's own is off.
    fn own_tls(&self, port: u16) -> Option<&ServerTlsSettings> {
        let off = self.key.mutual_tls.of_port(port) == Mode::Disable;
        self.key.ingress.get(&port).filter(|_| off)?.tls.as_ref()
    }

    fn http_filters(&self, destination: &Destination<'_>) -> Vec<listener::Filter> {
        let routes = match destination.service_port {
            0 => route::inbound::passthrough(),
            port => route::inbound::configuration(&destination.cluster, port, destination.host),
        };
        let manager = Manager {
            side: Side::Inbound,
            stat_prefix: &destination.stat_prefix,
            routes: Routes::Inline(Box::new(routes)),
            policies: self.policies.http.clone(),
            grpc_web: destination.grpc_web,
            http10: self.key.http10,
            plain_envoy: self.key.plain_envoy,
            topology: Topology::default(),
        };
        vec![http_manager(manager, &self.index.settings, &self.reports)]
    }

    fn tcp_filters(&self, destination: &Destination<'_>) -> Vec<listener::Filter> {
        let proxy = tcp::tcp_proxy(&[(destination.cluster.clone(), 1)], tcp::Shape::default(), &self.reports);
        let policies = self.policies.tcp.iter().cloned();
        if self.key.plain_envoy {
            return policies.chain([proxy]).collect();
        }
        let stats = tcp::stats(true, &self.reports);
        std::iter::once(tcp::metadata_exchange()).chain(policies).chain(stats).chain([proxy]).collect()
    }

    /// Nothing is inspected where there is nothing to find out: a server that speaks first would be kept waiting.
    fn listener_filters(&self) -> Vec<listener::ListenerFilter> {
        let ports = |wanted: &dyn Fn(Protocol, Mode) -> bool| -> Vec<u16> {
            let ports = self.key.ports.iter();
            ports
                .filter(|port| wanted(port.protocol, self.key.mutual_tls.of_port(port.target_port)))
                .map(|port| port.target_port)
                .collect()
        };
        let no_tls = ports(&|_, mode| mode == Mode::Disable);
        let no_http = ports(&|protocol, mode| !protocol.is_unspecified() || mode == Mode::Strict);
        let inspectors = [off_for_ports(tls_inspector(), &no_tls), off_for_ports(http_inspector(), &no_http)];
        let callers = self.key.transparent.then(original_src);
        std::iter::once(original_dst()).chain(callers).chain(inspectors).collect()
    }
}
