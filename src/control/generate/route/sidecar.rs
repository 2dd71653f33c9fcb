//! Route configurations of sidecars: one per port, one per service whose protocol is sniffed.

use std::collections::HashSet;
use std::sync::Arc;

use sagene_api::istio::networking::common::Destination;
use sagene_api::istio::networking::sidecar::OutboundTrafficPolicyMode;
use sagene_model::Hostname;
use sagene_model::virtual_service::{MESH_GATEWAY, Resolved};

use super::super::proto::{duration, route};
use super::super::{Resource, names};
use super::action::{Place, limit_grpc};
use super::configuration;
use super::destination::hash_policy;
use super::matching::everything;
use super::virtual_host::{Asking, default_route, routes, virtual_host};
use crate::index::Index;
use crate::index::view::{View, Visible};
use route::route::Action;
use route::route_action::ClusterSpecifier;

/// The route configuration of this name: a port, or `<host>:<port>` where the protocol is sniffed.
pub(crate) fn of_sidecar(index: &Index, view: &View, name: &str) -> Option<Arc<Resource>> {
    view.route(name, || {
        let made = match (name.parse::<u16>(), name.rsplit_once(':')) {
            (Ok(port), _) => of_port(index, view, name, port),
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

fn of_port(index: &Index, view: &View, name: &str, port: u16) -> route::RouteConfiguration {
    let mut domains = Domains::default();
    let mut virtual_hosts = Vec::new();
    let carries_requests = |visible: &&Visible| {
        let declared = visible.service.port(port);
        declared.is_some_and(|port| port.protocol.is_http() || port.protocol.is_unspecified())
    };
    for visible in view.services.iter().filter(carries_requests) {
        let own = domains.claim(service_domains(index, view, visible));
        if own.is_empty() {
            continue;
        }
        let routes = service_routes(index, view, visible, port);
        virtual_hosts.push(virtual_host(format!("{}:{port}", visible.service.hostname), own, routes));
    }
    // Hosts that no service has are served on the port of plain HTTP.
    if port == 80 {
        for (host, resolved) in hosts_without_service(view) {
            let own = domains.claim(vec![host.to_string()]);
            let routes = mesh_routes(index, view, resolved, port);
            if !own.is_empty() && !routes.is_empty() {
                virtual_hosts.push(virtual_host(format!("{host}:{port}"), own, routes));
            }
        }
    }
    virtual_hosts.push(catch_all(index, view));
    configuration(name, virtual_hosts)
}

fn hosts_without_service(view: &View) -> Vec<(&Hostname, &Resolved)> {
    let hosts =
        view.virtual_services.iter().flat_map(|one| one.hosts.iter().map(move |host| (host, one.as_ref())));
    hosts
        .filter(|(host, one)| {
            !one.http.is_empty() && !host.is_wildcard() && view.service(host.as_str()).is_none()
        })
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

fn catch_all(index: &Index, view: &View) -> route::VirtualHost {
    let (name, action) = if allows_any(index, view) {
        let zero = duration(sagene_api::Duration::ZERO);
        let mut forwarded = route::RouteAction {
            timeout: Some(zero),
            cluster_specifier: Some(ClusterSpecifier::Cluster(names::PASSTHROUGH.to_owned())),
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
