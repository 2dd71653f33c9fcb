//! Rules of ServiceEntry.

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::service_entry::Resolution;
use sagene_api::istio::networking::{ServiceEntry, WorkloadEntry};
use sagene_model::Protocol;
use sagene_model::address_allocation::is_wanted;

use super::common::{PROTOCOLS, export_to, is_subnet, label_selector, labels, port, unix_socket};
use super::host::{host, host_problem, is_label, partial_wildcard};
use super::{Problem, Report, Severity, Validate};
use crate::code::Code;
use crate::path::FieldPath;

impl Validate for ServiceEntry {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        report.require(
            !spec.hosts.is_empty(),
            &path.key("hosts"),
            "service entry must have at least one host",
        );
        for (index, name) in spec.hosts.iter().enumerate() {
            let path = path.key("hosts").index(index);
            report.require(name != "*", &path, "invalid host *: it would claim all traffic");
            if name != "*" {
                host(&mut report, &path, name, true);
                if let Some(problem) = partial_wildcard(name) {
                    report.warning(&path, problem);
                }
            }
        }
        addresses(&mut report, spec, &path);
        ports(&mut report, spec, &path);
        label_selector(&mut report, &path, spec.workload_selector.as_ref());
        let both = spec.workload_selector.is_some() && !spec.endpoints.is_empty();
        report.require(!both, &path, "only one of workloadSelector or endpoints is allowed in service entry");
        endpoints(&mut report, spec, &path);
        indistinct_hosts(&mut report, spec, &path);
        if spec.resolution == Resolution::DynamicDns {
            dynamic_dns(&mut report, spec, &path);
        }
        export_to(&mut report, &spec.export_to, &object.metadata.namespace, true);
        let mut problems = report.finish();
        if spec.addresses.is_empty() && !is_wanted(object) {
            problems.extend(without_address(spec));
        }
        problems
    }
}

/// IST0134: the ports of an entry without addresses at which every connection is taken for one to it.
pub(crate) fn without_address(spec: &ServiceEntry) -> impl Iterator<Item = Problem> {
    let ports = spec.ports.iter().enumerate();
    ports.filter_map(|(index, port)| {
        let is_unset = port.protocol.is_empty();
        if !is_unset && Protocol::parse(&port.protocol) != Protocol::Tcp {
            return None;
        }
        let field = if is_unset { "number" } else { "protocol" };
        Some(Problem {
            path: FieldPath::parse("spec.ports").index(index).key(field),
            message: "ServiceEntry addresses are required for this protocol.".to_owned(),
            severity: Severity::Warning,
            code: Code::ServiceEntryAddressesRequired,
        })
    })
}

fn addresses(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    for (index, address) in spec.addresses.iter().enumerate() {
        let path = path.key("addresses").index(index);
        report.require(
            is_subnet(address),
            &path,
            format_args!("{address:?} is no IP address and no CIDR range"),
        );
        let ranges_allowed = matches!(spec.resolution, Resolution::None | Resolution::Static);
        report.require(
            ranges_allowed || !address.contains('/'),
            &path,
            "CIDR addresses are allowed only for NONE/STATIC resolution types",
        );
    }
}

fn ports(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    for (index, of) in spec.ports.iter().enumerate() {
        let path = path.key("ports").index(index);
        port(report, &path.key("number"), of.number);
        if of.target_port != 0 {
            let path = path.key("targetPort");
            port(report, &path, of.target_port);
            if spec.resolution == Resolution::None {
                report.warning(&path, "targetPort has no effect for resolution mode NONE; set resolution STATIC or DNS, or remove it");
            }
        }
        if of.name.is_empty() {
            report.error(&path.key("name"), "port name must be set");
        } else {
            let words = format!("invalid port name {:?}; want letters, digits and '-'", of.name);
            report.require(is_label(&of.name), &path.key("name"), &words);
        }
        let protocol = of.protocol.to_ascii_uppercase();
        report.require(
            protocol.is_empty() || PROTOCOLS.contains(&protocol.as_str()),
            &path.key("protocol"),
            format_args!("unsupported protocol {:?}; want one of {}", of.protocol, PROTOCOLS.join(", ")),
        );
        let earlier = &spec.ports[..index];
        report.require(
            !earlier.iter().any(|other| other.number == of.number),
            &path.key("number"),
            format_args!("service entry port {} already defined", of.number),
        );
        report.require(
            !earlier.iter().any(|other| other.name == of.name),
            &path.key("name"),
            format_args!("service entry port name {:?} already defined", of.name),
        );
    }
}

/// Behind one address and port, connections that say no host cannot be told apart.
fn indistinct_hosts(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    const NAMED: &[&str] = &["HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB", "HTTPS", "TLS"];
    if spec.resolution == Resolution::None || spec.hosts.len() < 2 {
        return;
    }
    let unnamed = spec.ports.iter().any(|port| !NAMED.contains(&port.protocol.to_ascii_uppercase().as_str()));
    if unnamed {
        report.error(
            &path.key("hosts"),
            "multiple hosts provided with non-HTTP, non-TLS ports: connections name no host there; write a ServiceEntry for each",
        );
    }
}

fn endpoints(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    let endpoints = &path.key("endpoints");
    match spec.resolution {
        Resolution::None => {
            report.require(
                spec.endpoints.is_empty(),
                endpoints,
                "no endpoints should be provided for resolution type NONE; set resolution STATIC or DNS",
            );
            if spec.workload_selector.is_some() {
                report.warning(
                    &path.key("workloadSelector"),
                    "workloadSelector should not be set when resolution mode is NONE; set resolution STATIC",
                );
            }
        }
        Resolution::Dns | Resolution::DnsRoundRobin => {
            let round_robin = spec.resolution == Resolution::DnsRoundRobin;
            report.require(
                !round_robin || spec.endpoints.len() <= 1,
                endpoints,
                "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN",
            );
            let concrete = |name: &String| host_problem(name, false).is_none();
            report.require(
                !spec.endpoints.is_empty() || spec.hosts.iter().all(concrete),
                &path.key("hosts"),
                "hosts must be FQDN if no endpoints are provided for resolution mode DNS",
            );
        }
        Resolution::Static | Resolution::DynamicDns => {}
    }
    let sockets = spec.endpoints.iter().any(|endpoint| endpoint.address.starts_with("unix://"));
    report.require(
        !sockets || spec.ports.len() == 1,
        &path.key("ports"),
        "exactly 1 service port required for unix endpoints",
    );
    for (index, of) in spec.endpoints.iter().enumerate() {
        endpoint(report, &endpoints.index(index), of, spec);
    }
}

fn endpoint(report: &mut Report, path: &FieldPath, endpoint: &WorkloadEntry, spec: &ServiceEntry) {
    let address = endpoint.address.as_str();
    report.require(
        !address.is_empty() || !endpoint.network.is_empty(),
        path,
        "endpoint must have an address or a network",
    );
    labels(report, &path.key("labels"), &endpoint.labels);
    if let Some(socket) = address.strip_prefix("unix://") {
        unix_socket(report, &path.key("address"), socket);
        report.require(
            spec.resolution == Resolution::Static,
            &path.key("address"),
            "unix endpoints need resolution STATIC",
        );
        report.require(
            endpoint.ports.is_empty(),
            &path.key("ports"),
            "unix endpoints must not include ports",
        );
        return;
    }
    let is_ip = address.is_empty() || address.parse::<IpAddr>().is_ok();
    if spec.resolution == Resolution::Static {
        report.require(
            is_ip,
            &path.key("address"),
            format_args!(
                "{address:?} is no IP address, which STATIC resolution requires; set resolution DNS"
            ),
        );
    } else {
        report.require(
            is_ip || host_problem(address, false).is_none(),
            &path.key("address"),
            format_args!("endpoint address {address:?} is not a valid FQDN or an IP address"),
        );
    }
    for (name, number) in &endpoint.ports {
        let path = path.key("ports").key(name);
        port(report, &path, *number);
        let words = format!("invalid port name {name:?}; want letters, digits and '-'");
        report.require(is_label(name), &path, &words);
        report.require(
            spec.ports.iter().any(|port| port.name == *name),
            &path,
            format_args!("endpoint port {name:?} is not defined by the service entry"),
        );
    }
}

/// Names are resolved as they are asked for: only wildcards, and only protocols that say a name.
fn dynamic_dns(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    for (index, name) in spec.hosts.iter().enumerate() {
        report.require(
            name.starts_with("*."),
            &path.key("hosts").index(index),
            "resolution DYNAMIC_DNS is for wildcard hosts like *.example.com; use DNS for one name",
        );
    }
    report.require(
        spec.addresses.is_empty(),
        &path.key("addresses"),
        "resolution DYNAMIC_DNS takes no addresses",
    );
    report.require(
        spec.endpoints.is_empty(),
        &path.key("endpoints"),
        "resolution DYNAMIC_DNS takes no endpoints",
    );
    for (index, of) in spec.ports.iter().enumerate() {
        let named = ["HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TLS"];
        report.require(
            named.contains(&of.protocol.to_ascii_uppercase().as_str()),
            &path.key("ports").index(index).key("protocol"),
            "resolution DYNAMIC_DNS is for protocols that name the host: HTTP, HTTP2, GRPC, HTTPS, TLS",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::broken;
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        broken::<ServiceEntry>(spec)
    }

    #[test]
    fn every_rule_names_its_field() {
        for (bad, path) in [
            ("{hosts: []}", "spec.hosts"),
            ("{hosts: ['*']}", "spec.hosts[0]"),
            ("{hosts: [a_b.com]}", "spec.hosts[0]"),
            ("{hosts: [a.com], addresses: [10.0.0.1/40]}", "spec.addresses[0]"),
            (
                "{hosts: [a.com], ports: [{number: 80, name: a}, {number: 80, name: b}]}",
                "spec.ports[1].number",
            ),
            ("{hosts: [a.com], ports: [{number: 80, name: a}, {number: 81, name: a}]}", "spec.ports[1].name"),
            ("{hosts: [a.com], ports: [{number: 80, name: a, protocol: QUIC}]}", "spec.ports[0].protocol"),
            ("{hosts: [a.com], ports: [{number: 0, name: a}]}", "spec.ports[0].number"),
            ("{hosts: [a.com], resolution: DNS, addresses: [10.0.0.0/8]}", "spec.addresses[0]"),
            ("{hosts: [a.com], endpoints: [{address: 1.1.1.1}]}", "spec.endpoints"),
            (
                "{hosts: [a.com], resolution: STATIC, endpoints: [{address: b.com}]}",
                "spec.endpoints[0].address",
            ),
            ("{hosts: [a.com], resolution: STATIC, endpoints: [{}]}", "spec.endpoints[0]"),
            (
                "{hosts: [a.com], resolution: STATIC, ports: [{number: 80, name: a}], endpoints: [{address: 1.1.1.1, ports: {b: 80}}]}",
                "spec.endpoints[0].ports.b",
            ),
            (
                "{hosts: [a.com], resolution: STATIC, endpoints: [{address: 'unix://a'}]}",
                "spec.endpoints[0].address",
            ),
            ("{hosts: [a.com], resolution: STATIC, endpoints: [{address: 'unix:///a'}]}", "spec.ports"),
            ("{hosts: [a.com], resolution: DNS, endpoints: [{address: 'b c'}]}", "spec.endpoints[0].address"),
            (
                "{hosts: [a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: b}, {address: c}]}",
                "spec.endpoints",
            ),
            ("{hosts: ['*.a.com'], resolution: DNS}", "spec.hosts"),
            ("{hosts: ['*.a.com'], resolution: DNS, workloadSelector: {labels: {a: b}}}", "spec.hosts"),
            ("{hosts: [a.com], workloadSelector: {labels: {a: b}}}", "warning spec.workloadSelector"),
            (
                "{hosts: [a.com], ports: [{number: 80, name: a, protocol: TCP}]}",
                "warning spec.ports[0].protocol",
            ),
            ("{hosts: [a.com], ports: [{number: 80, name: a}]}", "warning spec.ports[0].number"),
            ("{hosts: [a.com], resolution: DYNAMIC_DNS}", "spec.hosts[0]"),
            ("{hosts: ['*a.com']}", "warning spec.hosts[0]"),
            ("{hosts: [a.com], ports: [{number: 80, name: a_b}]}", "spec.ports[0].name"),
            (
                "{hosts: [a.com], ports: [{number: 80, name: a, targetPort: 81}]}",
                "warning spec.ports[0].targetPort",
            ),
            (
                "{hosts: [a.com, b.com], resolution: STATIC, ports: [{number: 80, name: a, protocol: TCP}]}",
                "spec.hosts",
            ),
            (
                "{hosts: [a.com, b.com], resolution: DNS, ports: [{number: 443, name: a, protocol: TLS}, {number: 80, name: b}]}",
                "spec.hosts",
            ),
            ("{hosts: [a.com], exportTo: ['~', b]}", "spec.exportTo"),
            ("{hosts: [a.com], exportTo: [., 'n']}", "spec.exportTo[1]"),
            ("{hosts: [a.com], exportTo: [a.b]}", "spec.exportTo[0]"),
            (
                "{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, ports: [{number: 1, name: a, protocol: TCP}]}",
                "spec.ports[0].protocol",
            ),
            (
                "{hosts: [a.com], resolution: STATIC, endpoints: [{address: 1.1.1.1}], workloadSelector: {labels: {a: b}}}",
                "spec",
            ),
            (
                "{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {a: '*'}}}",
                "spec.workloadSelector.labels.a",
            ),
        ] {
            assert!(problems(bad).contains(&path.to_owned()), "{bad} → {:?}", problems(bad));
        }
    }

    #[test]
    fn what_is_fine_is_fine() {
        for good in [
            "{hosts: ['*.a.com'], ports: [{number: 443, name: tls, protocol: TLS}], location: MESH_EXTERNAL}",
            "{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: http}], endpoints: [{address: us.a.com, ports: {http: 8080}}]}",
            "{hosts: ['*.a.com'], resolution: DNS, endpoints: [{address: b.com}]}",
            "{hosts: [a.com, b.com], addresses: [10.0.0.1], ports: [{number: 80, name: a, protocol: TCP}]}",
            "{hosts: [a.com, b.com], resolution: DNS, ports: [{number: 443, name: a, protocol: https}, {number: 80, name: b, protocol: GRPC-Web, targetPort: 81}]}",
            "{hosts: [a.com], resolution: STATIC, ports: [{number: 80, name: Http-1}], exportTo: ['~']}",
            "{hosts: [a], exportTo: [., other]}",
            "{hosts: [a.com], resolution: STATIC, ports: [{number: 80, name: http}], endpoints: [{address: 'unix:///var/a'}]}",
            "{hosts: [a.com], resolution: STATIC, endpoints: [{network: 'n'}], addresses: [10.0.0.0/8]}",
            "{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {a: b}}, exportTo: [.]}",
            "{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: a, protocol: TCP}]}",
        ] {
            assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
        }
    }
}
