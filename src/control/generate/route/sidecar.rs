//! Route configurations of sidecars: one per port, one per service whose protocol is sniffed, one per listener that the workload connects to.

use std::collections::HashSet;
use std::sync::Arc;

use sagene_api::istio::networking::common::Destination;
use sagene_api::istio::networking::sidecar::OutboundTrafficPolicyMode;
use sagene_model::Hostname;
use sagene_model::sidecar_scope::EgressListener;
use sagene_model::virtual_service::{MESH_GATEWAY, Resolved};

use super::super::proto::{duration, route};
use super::super::{Resource, names};
use super::action::{Place, limit_grpc};
use super::configuration;
use super::destination::{self, hash_policy};
use super::matching::everything;
use super::virtual_host::{Asking, default_route, routes, virtual_host};
use crate::index::Index;
use crate::index::view::{View, Visible};
use route::route::Action;
use route::route_action::ClusterSpecifier;

/// The route configuration of this name: a port, `<address>_<port>` of a listener with a socket, or `<host>:<port>` where the protocol is
/// sniffed.
pub(crate) fn of_sidecar(index: &Index, view: &View, name: &str) -> Option<Arc<Resource>> {
    view.route(name, || {
        let captured = name.parse().ok().map(|port| (port, false));
        let of_socket = || names::parse_routes_of_socket(name).map(|port| (port, true));
        let made = match (captured.or_else(of_socket), name.rsplit_once(':')) {
            (Some((port, has_socket)), _) => of_port(index, view, name, port, has_socket),
            (_, Some((host, port))) => of_sniffed(index, view, name, host, port.parse().ok()?)?,
            _ => return None,
        };
        Some(crate::generate::resource::encode(name, &made))
    })
}

fn of_sniffed(
    index: &Index,
    view: &View,
    name: &str,
    host: &str,
    port: u16,
) -> Option<route::RouteConfiguration> {
    let visible = view.service(host)?;
    visible.service.port(port)?;
    let routes = service_routes(index, view, visible, port);
    let made = virtual_host(name.to_owned(), vec!["*".to_owned()], routes);
    Some(configuration(name, vec![made]))
}

fn of_port(index: &Index, view: &View, name: &str, port: u16, has_socket: bool) -> route::RouteConfiguration {
    let mut domains = Domains::default();
    let mut virtual_hosts = Vec::new();
    let egress = view.scope.listener_of(port, has_socket);
    let requests = |visible: &Visible| {
        let lead = view.scope.lead(egress?, &visible.service, port)?;
        (lead.protocol.is_http() || lead.protocol.is_unspecified()).then_some(lead.port)
    };
    for visible in &view.services {
        let Some(leads_to) = requests(visible) else { continue };
        let own = domains.claim(service_domains(index, view, visible));
        if own.is_empty() {
            continue;
        }
        let routes = service_routes(index, view, visible, leads_to);
        virtual_hosts.push(virtual_host(format!("{}:{leads_to}", visible.service.hostname), own, routes));
    }
    // Hosts that no service has are served on the port of plain HTTP.
    if port == 80 {
        let egress = egress.into_iter();
        for (host, resolved) in egress.flat_map(|egress| hosts_without_service(view, egress)) {
            let own = domains.claim(vec![host.to_string()]);
            let routes = mesh_routes(index, view, resolved, port);
            if !own.is_empty() && !routes.is_empty() {
                virtual_hosts.push(virtual_host(format!("{host}:{port}"), own, routes));
            }
        }
    }
    virtual_hosts.push(catch_all(index, view, port, has_socket));
    configuration(name, virtual_hosts)
}

fn hosts_without_service<'v>(view: &'v View, egress: &EgressListener) -> Vec<(&'v Hostname, &'v Resolved)> {
    let hosts =
        view.virtual_services.iter().flat_map(|one| one.hosts.iter().map(move |host| (host, one.as_ref())));
    hosts
        .filter(|(host, one)| {
            !one.http.is_empty() && !host.is_wildcard() && view.service(host.as_str()).is_none()
        })
        .filter(|(host, one)| egress.port.is_none() || egress.lists(&one.source.metadata.namespace, host))
        .collect()
}

/// Domains that are taken; Envoy wants each once in a route configuration.
#[derive(Debug, Default)]
struct Domains(HashSet<String>);

impl Domains {
    fn claim(&mut self, wanted: Vec<String>) -> Vec<String> {
        wanted.into_iter().filter(|domain| self.0.insert(domain.clone())).collect()
    }
}

fn mesh_routes(index: &Index, view: &View, resolved: &Resolved, port: u16) -> Vec<route::Route> {
    let place = Place { view, settings: &index.settings, port };
    routes(Asking { place, gateways: &[MESH_GATEWAY.to_owned()] }, resolved)
}

fn service_routes(index: &Index, view: &View, visible: &Visible, port: u16) -> Vec<route::Route> {
    let host = &visible.service.hostname;
    if let Some(resolved) = view.virtual_service(host).filter(|resolved| !resolved.http.is_empty()) {
        return mesh_routes(index, view, resolved, port);
    }
    let place = Place { view, settings: &index.settings, port };
    let destination = Destination { host: host.to_string(), ..Destination::default() };
    let hash = hash_policy(view, &destination, port);
    vec![default_route(place, host.as_str(), names::outbound(port, "", host.as_str()), hash)]
}

/// Every name a client may use for a service: the full one, its short forms, and its addresses.
fn service_domains(index: &Index, view: &View, visible: &Visible) -> Vec<String> {
    let service = &visible.service;
    let host = service.hostname.as_str();
    let mut domains = vec![host.to_owned()];
    let suffix = format!(".{}.svc.{}", service.namespace, index.settings.mesh.domain);
    if let Some(short) = host.strip_suffix(&suffix) {
        let namespace = &service.namespace;
        if view.key.namespace == *namespace {
            domains.push(short.to_owned());
        }
        domains.push(format!("{short}.{namespace}.svc"));
        domains.push(format!("{short}.{namespace}"));
        if service.is_headless() {
            let wildcards: Vec<String> = domains.iter().map(|domain| format!("*.{domain}")).collect();
            domains.extend(wildcards);
        }
    }
    domains.extend(service.addresses.iter().map(|address| match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }));
    domains
}

/// True where traffic for unknown hosts may leave.
pub(crate) fn allows_any(index: &Index, view: &View) -> bool {
    let own = view.scope.sidecar.as_ref().and_then(|sidecar| sidecar.spec.outbound_traffic_policy.as_ref());
    own.map_or(index.settings.outbound_allow_any, |policy| policy.mode == OutboundTrafficPolicyMode::AllowAny)
}

/// The cluster of a Sidecar's `egressProxy`, which takes what is for unknown hosts.
pub(crate) fn egress_proxy(view: &View, port: u16) -> Option<String> {
    let policy = view.scope.sidecar.as_ref()?.spec.outbound_traffic_policy.as_ref()?;
    policy.egress_proxy.as_ref().map(|proxy| destination::cluster_name(view, proxy, port))
}

fn catch_all(index: &Index, view: &View, port: u16, has_socket: bool) -> route::VirtualHost {
    let (name, action) = if allows_any(index, view) && !has_socket {
        let cluster = egress_proxy(view, port).unwrap_or_else(|| names::PASSTHROUGH.to_owned());
        let zero = duration(sagene_api::Duration::ZERO);
        let mut forwarded = route::RouteAction {
            timeout: Some(zero),
            cluster_specifier: Some(ClusterSpecifier::Cluster(cluster)),
            ..route::RouteAction::default()
        };
        limit_grpc(&mut forwarded, zero);
        ("allow_any", Action::Route(forwarded))
    } else {
        (
            "block_all",
            Action::DirectResponse(route::DirectResponseAction { status: 502, ..Default::default() }),
        )
    };
    let only = route::Route {
        name: name.to_owned(),
        r#match: Some(everything()),
        action: Some(action),
        ..route::Route::default()
    };
    virtual_host(name.to_owned(), vec!["*".to_owned()], vec![only])
}
