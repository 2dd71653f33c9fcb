//! Route configurations of gateways: one for all plain HTTP servers of a port, one per HTTPS server.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_model::Hostname;
use sagene_model::gateway::{GatewayServer, http_route_name};
use sagene_model::virtual_service::Resolved;

use super::super::proto::route;
use super::super::{Proxy, Resource};
use super::action::Place;
use super::configuration;
use super::virtual_host::{Asking, leaves_nothing, routes, virtual_host};
use crate::index::Index;
use crate::index::view::View;

/// The route configuration of this name. `None` where no server of the proxy has it.
pub(crate) fn of_router(index: &Index, view: &View, _proxy: &Proxy, name: &str) -> Option<Arc<Resource>> {
    view.route(name, || {
        let servers = servers(index, view, name)?;
        Some(crate::generate::resource::encode(name, &of_servers(index, view, name, &servers)))
    })
}

fn servers(index: &Index, view: &View, name: &str) -> Option<Vec<GatewayServer>> {
    for ((bind, port), on_port) in &view.gateways(index).ports {
        if !on_port.http.is_empty() && http_route_name(bind, *port) == name {
            return Some(on_port.http.clone());
        }
        let mut encrypted = on_port.tls.iter().filter(|server| server.is_http());
        if let Some(server) = encrypted.find(|server| server.https_route_name() == name) {
            return Some(vec![server.clone()]);
        }
    }
    None
}

/// Routes that a host has gathered.
#[derive(Debug, Default)]
struct HostRoutes {
    routes: Vec<route::Route>,
    require_tls: bool,
}

fn of_servers(
    index: &Index,
    view: &View,
    name: &str,
    servers: &[GatewayServer],
) -> route::RouteConfiguration {
    let port =
        servers.first().and_then(|server| u16::try_from(server.server().port.number).ok()).unwrap_or(0);
    let place = Place { view, settings: &index.settings, port };
    let mut hosts: BTreeMap<Hostname, HostRoutes> = BTreeMap::new();
    let mut bound: Vec<(Hostname, *const Resolved)> = Vec::new();
    for server in servers {
        let redirects = server.server().tls.as_ref().is_some_and(|tls| tls.https_redirect);
        let gateway = [server.gateway_name()];
        for resolved in view.virtual_services.iter().filter(|one| one.is_bound_to(&gateway[0])) {
            for host in shared_hosts(server, resolved) {
                // Two servers may share a host: the routes count once.
                let key = (host.clone(), Arc::as_ptr(resolved));
                if bound.contains(&key) {
                    continue;
                }
                bound.push(key);
                let gathered = hosts.entry(host).or_default();
                gathered.require_tls |= redirects;
                gathered.routes.extend(routes(Asking { place, gateways: &gateway }, resolved));
            }
        }
        if redirects {
            for host in server.hosts() {
                hosts.entry(host.host).or_default().require_tls = true;
            }
        }
    }
    let mut made: Vec<route::VirtualHost> = hosts
        .into_iter()
        .filter(|(_, gathered)| gathered.require_tls || !gathered.routes.is_empty())
        .map(|(host, gathered)| {
            let ordered = catch_alls_last(gathered.routes);
            let mut made = virtual_host(format!("{host}:{port}"), vec![host.to_string()], ordered);
            if gathered.require_tls {
                made.require_tls = route::virtual_host::TlsRequirementType::All as i32;
            }
            made
        })
        .collect();
    if made.is_empty() {
        // Without any route the gateway answers 404.
        made.push(virtual_host(format!("blackhole:{port}"), vec!["*".to_owned()], Vec::new()));
    }
    configuration(name, made)
}

/// Hosts that a server and a VirtualService have in common; the server may limit whose VirtualServices bind.
pub(crate) fn shared_hosts(server: &GatewayServer, resolved: &Resolved) -> Vec<Hostname> {
    let namespace = &resolved.source.metadata.namespace;
    let mut shared: Vec<Hostname> = server
        .hosts()
        .into_iter()
        .filter(|offered| offered.namespace == "*" || offered.namespace == *namespace)
        .flat_map(|offered| {
            resolved.hosts.iter().filter_map(move |host| offered.host.intersection(host)).collect::<Vec<_>>()
        })
        .collect();
    shared.sort();
    shared.dedup();
    shared
}

/// Where VirtualServices of one host are merged, a catch-all of the first must not hide the routes of the next.
fn catch_alls_last(routes: Vec<route::Route>) -> Vec<route::Route> {
    let (catch_alls, mut ordered): (Vec<_>, Vec<_>) = routes.into_iter().partition(leaves_nothing);
    ordered.extend(catch_alls.into_iter().take(1));
    ordered
}
