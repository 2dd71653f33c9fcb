//! Rules of VirtualService.

mod http;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::common::Destination;
use sagene_api::istio::networking::virtual_service::{RouteDestination, TcpRoute, TlsRoute};

use super::common::{export_to, host, is_dns_label, is_subnet, port};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for VirtualService {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        if spec.hosts.is_empty() {
            delegate_rules(&mut report, spec, &path);
        }
        hosts(&mut report, spec, &path);
        let routes = spec.http.len() + spec.tls.len() + spec.tcp.len();
        report.require(routes > 0, &path, "http, tcp or tls must be provided in virtual service");
        for (index, route) in spec.http.iter().enumerate() {
            http::route(&mut report, &path.key("http").index(index), route, spec.hosts.is_empty());
        }
        for (index, route) in spec.tls.iter().enumerate() {
            tls(&mut report, &path.key("tls").index(index), route);
        }
        for (index, route) in spec.tcp.iter().enumerate() {
            tcp(&mut report, &path.key("tcp").index(index), route);
        }
        export_to(&mut report, &spec.export_to);
        report.finish()
    }
}

/// Without hosts it can only be delegated to.
fn delegate_rules(report: &mut Report, spec: &VirtualService, path: &FieldPath) {
    report.require(
        spec.gateways.is_empty(),
        &path.key("gateways"),
        "delegate virtual service must have no gateways specified",
    );
    report.require(
        spec.tls.is_empty(),
        &path.key("tls"),
        "delegate virtual service must have no tls route specified",
    );
    report.require(
        spec.tcp.is_empty(),
        &path.key("tcp"),
        "delegate virtual service must have no tcp route specified",
    );
}

fn hosts(report: &mut Report, spec: &VirtualService, path: &FieldPath) {
    let of_mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|gateway| gateway == "mesh");
    for (index, name) in spec.hosts.iter().enumerate() {
        let path = path.key("hosts").index(index);
        if name.parse::<std::net::IpAddr>().is_err() {
            host(report, &path, name, true);
        }
        report.require(
            !(of_mesh && name == "*"),
            &path,
            "wildcard host * is not allowed for virtual services bound to the mesh gateway",
        );
        report.require(
            !spec.hosts[..index].contains(name),
            &path,
            &format!("duplicate hosts in virtual service: {name}"),
        );
    }
    for (index, gateway) in spec.gateways.iter().enumerate() {
        let path = path.key("gateways").index(index);
        let parts: Vec<&str> = gateway.split('/').collect();
        let good = match parts[..] {
            [name] => !name.is_empty(),
            [namespace, name] => is_dns_label(namespace) && !name.is_empty(),
            _ => false,
        };
        report.require(
            good,
            &path,
            "config namespace and gateway name cannot be empty; want GATEWAY or NAMESPACE/GATEWAY",
        );
    }
}

fn tls(report: &mut Report, path: &FieldPath, route: &TlsRoute) {
    report.require(!route.r#match.is_empty(), path, "TLS route must have at least one match condition");
    for (index, condition) in route.r#match.iter().enumerate() {
        let path = path.key("match").index(index);
        report.require(!condition.sni_hosts.is_empty(), &path, "TLS match must have at least one SNI host");
        for (position, name) in condition.sni_hosts.iter().enumerate() {
            host(report, &path.key("sniHosts").index(position), name, true);
        }
        subnets(report, &path, &condition.destination_subnets);
        if condition.port != 0 {
            port(report, &path.key("port"), condition.port);
        }
    }
    destinations(report, path, &route.route);
}

fn tcp(report: &mut Report, path: &FieldPath, route: &TcpRoute) {
    for (index, condition) in route.r#match.iter().enumerate() {
        let path = path.key("match").index(index);
        subnets(report, &path, &condition.destination_subnets);
        if condition.port != 0 {
            port(report, &path.key("port"), condition.port);
        }
    }
    destinations(report, path, &route.route);
}

fn subnets(report: &mut Report, path: &FieldPath, subnets: &[String]) {
    for (index, subnet) in subnets.iter().enumerate() {
        report.require(
            is_subnet(subnet),
            &path.key("destinationSubnets").index(index),
            &format!("{subnet:?} is no address and no CIDR range"),
        );
    }
}

fn destinations(report: &mut Report, path: &FieldPath, routes: &[RouteDestination]) {
    report.require(!routes.is_empty(), path, "TCP and TLS routes must have a route");
    for (index, route) in routes.iter().enumerate() {
        destination(report, &path.key("route").index(index).key("destination"), &route.destination);
    }
    let weights: Vec<i32> = routes.iter().map(|route| route.weight).collect();
    weight_rules(report, &path.key("route"), &weights);
}

/// Rules of a destination.
fn destination(report: &mut Report, path: &FieldPath, destination: &Destination) {
    if destination.host == "*" {
        report.error(&path.key("host"), "invalid destination host \"*\"");
    } else {
        host(report, &path.key("host"), &destination.host, true);
    }
    if !destination.subset.is_empty() {
        report.require(
            is_dns_label(&destination.subset.to_ascii_lowercase()),
            &path.key("subset"),
            "subset name is invalid: want letters, digits and '-'",
        );
    }
    if let Some(selector) = &destination.port {
        port(report, &path.key("port").key("number"), selector.number);
    }
}

/// Weights may not be negative; several may not all be zero.
fn weight_rules(report: &mut Report, path: &FieldPath, weights: &[i32]) {
    for (index, weight) in weights.iter().enumerate() {
        report.require(*weight >= 0, &path.index(index).key("weight"), &format!("weight {weight} < 0"));
    }
    let total: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
    report.require(weights.len() < 2 || total != 0, path, "total destination weight = 0");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        let spec: VirtualService = serde_yaml::from_str(spec).expect("a spec");
        let problems = VirtualService::problems(&Object::new("n", "v", spec));
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    fn one(spec: &str, path: &str) {
        let found = problems(spec);
        assert!(found.iter().any(|problem| problem.starts_with(&format!("{path}: "))), "{spec} → {found:?}");
    }

    const ROUTE: &str = "http: [{route: [{destination: {host: a}}]}]";

    #[test]
    fn what_is_fine_is_fine() {
        for good in [
            format!("hosts: [a, '*.b.com']\n{ROUTE}"),
            format!("hosts: ['*']\ngateways: [g]\n{ROUTE}"),
            "http: [{route: [{destination: {host: a}}]}]".to_owned(),
            "hosts: [a]\nhttp: [{redirect: {uri: /x}}]".to_owned(),
            "hosts: [a]\nhttp: [{match: [{uri: {regex: '/a(b|c)+'}}], timeout: 5s, retries: {attempts: 3, retryOn: '5xx,503', perTryTimeout: 2s}, route: [{destination: {host: a}, weight: 0}, {destination: {host: b, port: {number: 80}}, weight: 100}]}]".to_owned(),
            "hosts: [a]\ntcp: [{match: [{port: 9000}], route: [{destination: {host: a}}]}]".to_owned(),
        ] {
            assert_eq!(problems(&good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn every_rule_names_its_field() {
        one(&format!("hosts: ['*']\n{ROUTE}"), "spec.hosts[0]");
        one(&format!("hosts: [a, a]\n{ROUTE}"), "spec.hosts[1]");
        one(&format!("hosts: [a_b.-c]\n{ROUTE}"), "spec.hosts[0]");
        one(&format!("gateways: [g]\n{ROUTE}"), "spec.gateways");
        one("hosts: [a]", "spec");
        one(
            "hosts: [a]\nhttp: [{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}]",
            "spec.http[0].route",
        );
        one(
            "hosts: [a]\nhttp: [{match: [{uri: {regex: '('}}], route: [{destination: {host: a}}]}]",
            "spec.http[0].match[0].uri.regex",
        );
        one("hosts: [a]\nhttp: [{route: [{destination: {host: a}}], redirect: {uri: /}}]", "spec.http[0]");
        one(
            "hosts: [a]\nhttp: [{redirect: {uri: /, redirectCode: 200}}]",
            "spec.http[0].redirect.redirectCode",
        );
        one(
            "hosts: [a]\nhttp: [{fault: {abort: {httpStatus: 20}}, route: [{destination: {host: a}}]}]",
            "spec.http[0].fault.abort.httpStatus",
        );
        one(
            "hosts: [a]\nhttp: [{timeout: 0.1ms, route: [{destination: {host: a}}]}]",
            "spec.http[0].timeout",
        );
        one(
            "hosts: [a]\nhttp: [{route: [{destination: {host: a, port: {number: 99999}}}]}]",
            "spec.http[0].route[0].destination.port.number",
        );
        one("hosts: [a]\nhttp: [{directResponse: {status: 99}}]", "spec.http[0].directResponse.status");
        one("hosts: [a]\ntls: [{match: [{}], route: [{destination: {host: a}}]}]", "spec.tls[0].match[0]");
    }
}
