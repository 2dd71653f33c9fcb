//! Rules of VirtualService.

mod fault;
mod header;
mod http;
pub(crate) mod unreachable;

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::SortedMap;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::common::Destination;
use sagene_api::istio::networking::virtual_service::{RouteDestination, TcpRoute, TlsRoute};
use sagene_model::virtual_service::MESH_GATEWAY;

use super::common::{export_to, is_subnet, labels, port};
use super::host::{host, host_problem, is_label};
use super::{Place, Problem, Report, Validate};

pub(super) use header::header_name;
pub(super) use http::retries;

impl Validate for VirtualService {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = Place::Whole.key("spec");
        if spec.hosts.is_empty() {
            delegate_rules(&mut report, spec, path);
        }
        hosts(&mut report, spec, path);
        // A delegate is bound to what its root is bound to.
        if !spec.hosts.is_empty() && !spec.gateways.iter().any(|gateway| gateway != MESH_GATEWAY) {
            claims_without_gateway(&mut report, spec, path);
        }
        gateways(&mut report, path.key("gateways"), &spec.gateways);
        let routes = spec.http.len() + spec.tls.len() + spec.tcp.len();
        report.require(routes > 0, path, "http, tcp or tls must be provided in virtual service");
        for (index, route) in spec.http.iter().enumerate() {
            http::route(&mut report, path.key("http").index(index), route, spec.hosts.is_empty());
        }
        for (index, route) in spec.tls.iter().enumerate() {
            tls(&mut report, path.key("tls").index(index), route, &spec.hosts);
        }
        for (index, route) in spec.tcp.iter().enumerate() {
            tcp(&mut report, path.key("tcp").index(index), route);
        }
        export_to(&mut report, &spec.export_to, &object.metadata.namespace, false);
        report.finish()
    }
}

/// Without hosts it can only be delegated to.
fn delegate_rules(report: &mut Report, spec: &VirtualService, path: Place<'_>) {
    for (field, empty) in
        [("gateways", spec.gateways.is_empty()), ("tls", spec.tls.is_empty()), ("tcp", spec.tcp.is_empty())]
    {
        report.require(
            empty,
            path.key(field),
            format_args!("a virtual service without hosts is a delegate and must have no {field}; set hosts, or remove {field}"),
        );
    }
}

fn hosts(report: &mut Report, spec: &VirtualService, path: Place<'_>) {
    let of_mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|gateway| gateway == MESH_GATEWAY);
    let mut good: Vec<&str> = Vec::new();
    for (index, name) in spec.hosts.iter().enumerate() {
        let list = path.key("hosts");
        let path = list.index(index);
        let is_address = name.parse::<IpAddr>().is_ok();
        if let Some(problem) = host_problem(name, true).filter(|_| !is_address) {
            report.error(path, problem);
        } else if of_mesh && name == "*" {
            report.error(
                path,
                "wildcard host * is not allowed for virtual services bound to the mesh gateway; name a gateway, or the hosts",
            );
        } else {
            if let Some(other) = good.iter().find(|other| overlap(other, name)) {
                report.error(path, format!("duplicate hosts in virtual service: {name} and {other}"));
            }
            good.push(name);
        }
    }
}

/// Conditions on the claims of a token: sidecars do not look at tokens before they choose a route.
fn claims_without_gateway(report: &mut Report, spec: &VirtualService, path: Place<'_>) {
    for (index, route) in spec.http.iter().enumerate() {
        for (position, condition) in route.r#match.iter().enumerate() {
            for (field, map) in
                [("headers", &condition.headers), ("withoutHeaders", &condition.without_headers)]
            {
                for name in map.keys().filter(|name| header::is_claim(name)) {
                    let words = format!(
                        "JWT claim based routing (key: {name}) is only supported for gateway; name one in gateways"
                    );
                    let http = path.key("http");
                    report.error(http.index(index).key("match").index(position).key(field).key(name), words);
                }
            }
        }
    }
}

/// Whether some name is meant by both.
fn overlap(left: &str, right: &str) -> bool {
    let covers = |wild: &str, name: &str| wild.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix));
    left == right || covers(left, right) || covers(right, left)
}

/// `[namespace/]name`, or a name with its domain as it was written once.
fn gateways(report: &mut Report, path: Place<'_>, names: &[String]) {
    for (index, gateway) in names.iter().enumerate() {
        let path = path.index(index);
        let good = match gateway.split_once('/') {
            None => host_problem(gateway, false).is_none(),
            Some((namespace, name)) => is_label(namespace) && is_label(name),
        };
        if !good {
            report.error(path, format!("{gateway:?} is no gateway name; want GATEWAY or NAMESPACE/GATEWAY"));
        } else if let Some((name, rest)) = gateway.split_once('.').filter(|_| !gateway.contains('/')) {
            let namespace = rest.split('.').next().unwrap_or_default();
            report.warning(
                path,
                format!("using legacy gatewayName format {gateway:?}; prefer the <namespace>/<name> format: \"{namespace}/{name}\""),
            );
        }
    }
}

fn tls(report: &mut Report, path: Place<'_>, route: &TlsRoute, hosts: &[String]) {
    report.require(!route.r#match.is_empty(), path, "TLS route must have at least one match condition");
    for (index, condition) in route.r#match.iter().enumerate() {
        let list = path.key("match");
        let path = list.index(index);
        report.require(!condition.sni_hosts.is_empty(), path, "TLS match must have at least one SNI host");
        for (position, name) in condition.sni_hosts.iter().enumerate() {
            sni_host(report, path.key("sniHosts").index(position), name, hosts);
        }
        let of = L4 {
            subnets: &condition.destination_subnets,
            port: condition.port,
            source_labels: &condition.source_labels,
            gateways: &condition.gateways,
        };
        of.check(report, path);
    }
    destinations(report, path, &route.route, "TLS");
}

fn sni_host(report: &mut Report, path: Place<'_>, name: &str, hosts: &[String]) {
    if name.parse::<IpAddr>().is_ok() {
        report.warning(
            path,
            format!(
                "using an IP address ({name:?}) goes against SNI spec and most clients do not support this"
            ),
        );
        return;
    }
    let inside =
        |of: &String| name == of || of.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix));
    match host_problem(name, true) {
        Some(problem) => report.error(path, problem),
        None => report.require(
            hosts.iter().any(inside),
            path,
            format_args!(
                "SNI host {name:?} is not a compatible subset of any of the virtual service hosts: {hosts:?}"
            ),
        ),
    }
}

fn tcp(report: &mut Report, path: Place<'_>, route: &TcpRoute) {
    for (index, condition) in route.r#match.iter().enumerate() {
        let list = path.key("match");
        let path = list.index(index);
        let of = L4 {
            subnets: &condition.destination_subnets,
            port: condition.port,
            source_labels: &condition.source_labels,
            gateways: &condition.gateways,
        };
        of.check(report, path);
        if !condition.source_subnet.is_empty() {
            subnet(report, path.key("sourceSubnet"), &condition.source_subnet);
        }
    }
    destinations(report, path, &route.route, "TCP");
}

/// What conditions on TLS and on TCP connections have in common.
struct L4<'a> {
    subnets: &'a [String],
    port: u32,
    source_labels: &'a SortedMap<String, String>,
    gateways: &'a [String],
}

impl L4<'_> {
    fn check(&self, report: &mut Report, path: Place<'_>) {
        for (index, text) in self.subnets.iter().enumerate() {
            subnet(report, path.key("destinationSubnets").index(index), text);
        }
        if self.port != 0 {
            port(report, path.key("port"), self.port);
        }
        labels(report, path.key("sourceLabels"), self.source_labels);
        gateways(report, path.key("gateways"), self.gateways);
    }
}

fn subnet(report: &mut Report, path: Place<'_>, text: &str) {
    report.require(is_subnet(text), path, format_args!("{text:?} is no IP address and no CIDR range"));
}

fn destinations(report: &mut Report, path: Place<'_>, routes: &[RouteDestination], kind: &str) {
    report.require(!routes.is_empty(), path, format_args!("{kind} route is required: it has no destination"));
    for (index, route) in routes.iter().enumerate() {
        destination(report, path.key("route").index(index).key("destination"), &route.destination);
    }
    let weights: Vec<i32> = routes.iter().map(|route| route.weight).collect();
    weight_rules(report, path.key("route"), &weights);
}

/// Rules of a destination.
pub(super) fn destination(report: &mut Report, path: Place<'_>, destination: &Destination) {
    if destination.host == "*" {
        report.error(path.key("host"), "invalid destination host \"*\"; name a service");
    } else {
        host(report, path.key("host"), &destination.host, true);
    }
    if !destination.subset.is_empty() {
        report.require(
            is_label(&destination.subset),
            path.key("subset"),
            "subset name is invalid: want letters, digits and '-'",
        );
    }
    if let Some(selector) = &destination.port {
        port(report, path.key("port").key("number"), selector.number);
    }
}

/// Weights may not be negative; several may not all be zero.
fn weight_rules(report: &mut Report, path: Place<'_>, weights: &[i32]) {
    for (index, weight) in weights.iter().enumerate() {
        if *weight < 0 {
            report.error(path.index(index).key("weight"), format!("weight {weight} < 0"));
        }
    }
    let total: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
    report.require(
        weights.len() < 2 || total != 0,
        path,
        "total destination weight = 0; give one of them a weight",
    );
}

#[cfg(test)]
mod tests;
