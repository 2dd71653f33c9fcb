//! Rules of ServiceEntry.

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_api::istio::networking::service_entry::Resolution;

use super::common::{export_to, host, is_subnet, port};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for ServiceEntry {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        report.require(!spec.hosts.is_empty(), &path, "service entry must have at least one host");
        for (index, name) in spec.hosts.iter().enumerate() {
            let path = path.key("hosts").index(index);
            report.require(name != "*", &path, "invalid host *: it would claim all traffic");
            if name != "*" {
                host(&mut report, &path, name, true);
            }
        }
        addresses(&mut report, spec, &path);
        ports(&mut report, spec, &path);
        endpoints(&mut report, spec, &path);
        export_to(&mut report, &spec.export_to);
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
        report.require(!of.name.is_empty(), &path, "port name must be set");
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
    let both = spec.workload_selector.is_some() && !spec.endpoints.is_empty();
    report.require(!both, path, "only one of workloadSelector or endpoints is allowed in service entry");
    let endpoints = &path.key("endpoints");
    match spec.resolution {
        Resolution::None => report.require(
            spec.endpoints.is_empty(),
            endpoints,
            "no endpoints should be provided for resolution type none",
        ),
        Resolution::DnsRoundRobin => report.require(
            spec.endpoints.len() <= 1,
            endpoints,
            "there must only be 0 or 1 endpoint for DNS_ROUND_ROBIN",
        ),
        Resolution::Dns if spec.endpoints.is_empty() => {
            let concrete = spec.hosts.iter().all(|name| !name.starts_with('*'));
            report.require(
                concrete,
                &path.key("hosts"),
                "hosts must be FQDN if no endpoints are provided for resolution mode DNS",
            );
        }
        _ => {}
    }
    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        let path = endpoints.index(index);
        report.require(
            !endpoint.address.is_empty() || !endpoint.network.is_empty(),
            &path,
            "endpoint must have an address",
        );
        if spec.resolution == Resolution::Static
            && !endpoint.address.starts_with("unix://")
            && !endpoint.address.is_empty()
        {
            report.require(
                endpoint.address.parse::<std::net::IpAddr>().is_ok(),
                &path.key("address"),
                &format!("{:?} is no IP address, which STATIC resolution requires", endpoint.address),
            );
        }
        for (name, number) in &endpoint.ports {
            port(report, &path.key("ports").key(name), *number);
        }
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
            ("{hosts: ['*']}", "spec.hosts[0]"),
            (
                "{hosts: [a.com], ports: [{number: 80, name: a}, {number: 80, name: b}]}",
                "spec.ports[1].number",
            ),
            ("{hosts: [a.com], resolution: DNS, addresses: [10.0.0.0/8]}", "spec.addresses[0]"),
            ("{hosts: [a.com], endpoints: [{address: 1.1.1.1}]}", "spec.endpoints"),
            (
                "{hosts: [a.com], resolution: STATIC, endpoints: [{address: b.com}]}",
                "spec.endpoints[0].address",
            ),
            ("{hosts: ['*.a.com'], resolution: DNS}", "spec.hosts"),
            (
                "{hosts: [a.com], resolution: STATIC, endpoints: [{address: 1.1.1.1}], workloadSelector: {labels: {a: b}}}",
                "spec",
            ),
        ] {
            assert!(problems(bad).contains(&path.to_owned()), "{bad} → {:?}", problems(bad));
        }
        assert!(problems("{hosts: ['*.a.com'], ports: [{number: 443, name: tls, protocol: TLS}], location: MESH_EXTERNAL}").is_empty());
    }
}
