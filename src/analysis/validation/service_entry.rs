//! Rules of ServiceEntry.

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::service_entry::Resolution;
use sagene_api::istio::networking::{ServiceEntry, WorkloadEntry};

use super::common::{
    PROTOCOLS, export_to, host, host_problem, is_subnet, label_selector, labels, port, unix_socket,
};
use super::{Problem, Report, Validate};
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
            }
        }
        addresses(&mut report, spec, &path);
        ports(&mut report, spec, &path);
        label_selector(&mut report, &path, spec.workload_selector.as_ref());
        let both = spec.workload_selector.is_some() && !spec.endpoints.is_empty();
        report.require(!both, &path, "only one of workloadSelector or endpoints is allowed in service entry");
        endpoints(&mut report, spec, &path);
        if spec.resolution == Resolution::DynamicDns {
            dynamic_dns(&mut report, spec, &path);
        }
        export_to(&mut report, &spec.export_to, &object.metadata.namespace);
        report.finish()
    }
}

fn addresses(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    for (index, address) in spec.addresses.iter().enumerate() {
        let path = path.key("addresses").index(index);
        report.require(is_subnet(address), &path, &format!("{address:?} is no IP address and no CIDR range"));
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
            port(report, &path.key("targetPort"), of.target_port);
        }
        report.require(!of.name.is_empty(), &path.key("name"), "port name must be set");
        let protocol = of.protocol.to_ascii_uppercase();
        report.require(
            protocol.is_empty() || PROTOCOLS.contains(&protocol.as_str()),
            &path.key("protocol"),
            &format!("unsupported protocol {:?}; want one of {}", of.protocol, PROTOCOLS.join(", ")),
        );
        let earlier = &spec.ports[..index];
        report.require(
            !earlier.iter().any(|other| other.number == of.number),
            &path.key("number"),
            &format!("service entry port {} already defined", of.number),
        );
        report.require(
            !earlier.iter().any(|other| other.name == of.name),
            &path.key("name"),
            &format!("service entry port name {:?} already defined", of.name),
        );
    }
}

fn endpoints(report: &mut Report, spec: &ServiceEntry, path: &FieldPath) {
    let endpoints = &path.key("endpoints");
    match spec.resolution {
        Resolution::None => report.require(
            spec.endpoints.is_empty(),
            endpoints,
            "no endpoints should be provided for resolution type NONE; set resolution STATIC or DNS",
        ),
        Resolution::Dns | Resolution::DnsRoundRobin => {
            let round_robin = spec.resolution == Resolution::DnsRoundRobin;
            report.require(
                !round_robin || spec.endpoints.len() <= 1,
                endpoints,
                "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN",
            );
            let concrete = |name: &String| host_problem(name, false).is_none();
            report.require(
                !spec.endpoints.is_empty()
                    || spec.workload_selector.is_some()
                    || spec.hosts.iter().all(concrete),
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
            &format!("{address:?} is no IP address, which STATIC resolution requires; set resolution DNS"),
        );
    } else {
        report.require(
            is_ip || host_problem(address, false).is_none(),
            &path.key("address"),
            &format!("endpoint address {address:?} is not a valid FQDN or an IP address"),
        );
    }
    for (name, number) in &endpoint.ports {
        let path = path.key("ports").key(name);
        port(report, &path, *number);
        report.require(
            spec.ports.iter().any(|port| port.name == *name),
            &path,
            &format!("endpoint port {name:?} is not defined by the service entry"),
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
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        let spec: ServiceEntry = serde_yaml::from_str(spec).expect("a spec");
        ServiceEntry::problems(&Object::new("n", "s", spec))
            .iter()
            .map(|problem| problem.path.to_string())
            .collect()
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
            ("{hosts: [a.com], resolution: DYNAMIC_DNS}", "spec.hosts[0]"),
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
            "{hosts: [a.com], resolution: STATIC, ports: [{number: 80, name: http}], endpoints: [{address: 'unix:///var/a'}]}",
            "{hosts: [a.com], resolution: STATIC, endpoints: [{network: n}], addresses: [10.0.0.0/8]}",
            "{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {a: b}}, exportTo: [.]}",
        ] {
            assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
        }
    }
}
