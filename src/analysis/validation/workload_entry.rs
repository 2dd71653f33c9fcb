//! Rules of WorkloadEntry and WorkloadGroup.

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::workload_group::ReadinessProbe;
use sagene_api::istio::networking::{WorkloadEntry, WorkloadGroup};

use super::common::{labels, port, unix_socket};
use super::host::{host_problem, is_label};
use super::virtual_service::header_name;
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for WorkloadEntry {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        report.require(
            !spec.address.is_empty() || !spec.network.is_empty(),
            &path,
            "address or network must be set",
        );
        if spec.address.is_empty() && !spec.network.is_empty() {
            let words = format!("address is unset with network {:?}", spec.network);
            report.warning(&path.key("network"), words);
        }
        entry(&mut report, &path, spec);
        report.finish()
    }
}

/// What holds of an entry and of the template of a group.
fn entry(report: &mut Report, path: &FieldPath, spec: &WorkloadEntry) {
    if let Some(socket) = spec.address.strip_prefix("unix://") {
        unix_socket(report, &path.key("address"), socket);
        report.require(spec.ports.is_empty(), &path.key("ports"), "unix domain sockets may not have ports");
    } else {
        let address = spec.address.as_str();
        let fits =
            address.is_empty() || address.parse::<IpAddr>().is_ok() || host_problem(address, false).is_none();
        report.require(
            fits,
            &path.key("address"),
            format_args!("endpoint address {address:?} is not a valid FQDN or an IP address"),
        );
    }
    for (name, number) in &spec.ports {
        let path = path.key("ports").key(name);
        report.require(
            is_label(name),
            &path,
            format_args!("{name:?} is no port name; want letters, digits and '-'"),
        );
        port(report, &path, *number);
    }
    labels(report, &path.key("labels"), &spec.labels);
}

impl Validate for WorkloadGroup {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        entry(&mut report, &path.key("template"), &spec.template);
        if !spec.template.address.is_empty() {
            let words = "an address here is that of no workload: each tells its own as it registers";
            report.warning(&path.key("template").key("address"), words);
        }
        if let Some(metadata) = &spec.metadata {
            labels(&mut report, &path.key("metadata").key("labels"), &metadata.labels);
        }
        if let Some(of) = &spec.probe {
            probe(&mut report, &path.key("probe"), of);
        }
        report.finish()
    }
}

fn probe(report: &mut Report, path: &FieldPath, probe: &ReadinessProbe) {
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        report.require(value >= 0, &path.key(field), format_args!("{field} must be non-negative"));
    }
    let ways =
        [probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.exec.is_some(), probe.grpc.is_some()];
    report.require(
        ways.iter().filter(|set| **set).count() == 1,
        path,
        "a probe needs exactly one of httpGet, tcpSocket, exec and grpc",
    );
    if let Some(http) = &probe.http_get {
        let path = path.key("httpGet");
        port(report, &path.key("port"), http.port);
        report.require(
            matches!(http.scheme.as_str(), "" | "HTTP" | "HTTPS"),
            &path.key("scheme"),
            "scheme must be HTTP or HTTPS",
        );
        for (index, header) in http.http_headers.iter().enumerate() {
            header_name(report, &path.key("httpHeaders").index(index).key("name"), &header.name);
        }
    }
    if let Some(tcp) = &probe.tcp_socket {
        port(report, &path.key("tcpSocket").key("port"), tcp.port);
    }
    if let Some(exec) = &probe.exec {
        report.require(
            !exec.command.is_empty(),
            &path.key("exec").key("command"),
            "command must not be empty",
        );
    }
    if let Some(grpc) = probe.grpc.as_ref().filter(|grpc| grpc.port != 0) {
        port(report, &path.key("grpc").key("port"), grpc.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_entry(spec: &str) -> Vec<String> {
        let spec: WorkloadEntry = serde_yaml::from_str(spec).expect("a spec");
        WorkloadEntry::problems(&Object::new("n", "w", spec)).iter().map(|it| it.path.to_string()).collect()
    }

    fn of_group(spec: &str) -> Vec<String> {
        let spec: WorkloadGroup = serde_yaml::from_str(spec).expect("a spec");
        WorkloadGroup::problems(&Object::new("n", "w", spec)).iter().map(|it| it.path.to_string()).collect()
    }

    #[test]
    fn entries() {
        for (bad, path) in [
            ("{}", "spec"),
            ("{network: 'n'}", "spec.network"),
            ("{address: 'a b'}", "spec.address"),
            ("{address: 1.2.3.4.5}", "spec.address"),
            ("{address: 'unix://a'}", "spec.address"),
            ("{address: 'unix:///a', ports: {http: 80}}", "spec.ports"),
            ("{address: 1.1.1.1, ports: {http: 0}}", "spec.ports.http"),
            ("{address: 1.1.1.1, labels: {a: 'b c'}}", "spec.labels.a"),
        ] {
            assert!(of_entry(bad).contains(&path.to_owned()), "{bad} → {:?}", of_entry(bad));
        }
        for good in [
            "{address: '::1', ports: {http: 80}, labels: {app: a}}",
            "{address: vm.a.com}",
            "{address: 'unix://@a'}",
        ] {
            assert!(of_entry(good).is_empty(), "{good} → {:?}", of_entry(good));
        }
    }

    #[test]
    fn groups() {
        for (bad, path) in [
            ("{template: {ports: {a: 70000}}}", "spec.template.ports.a"),
            ("{template: {address: 1.1.1.1}}", "spec.template.address"),
            ("{template: {}, probe: {}}", "spec.probe"),
            ("{template: {}, probe: {periodSeconds: -1, exec: {command: [a]}}}", "spec.probe.periodSeconds"),
            ("{template: {}, probe: {httpGet: {port: 0}}}", "spec.probe.httpGet.port"),
            ("{template: {}, probe: {exec: {command: []}}}", "spec.probe.exec.command"),
            (
                "{template: {}, probe: {httpGet: {port: 80, httpHeaders: [{name: ''}]}}}",
                "spec.probe.httpGet.httpHeaders[0].name",
            ),
            ("{template: {}, metadata: {labels: {'a b': c}}}", "spec.metadata.labels.a b"),
        ] {
            assert!(of_group(bad).contains(&path.to_owned()), "{bad} → {:?}", of_group(bad));
        }
        assert!(
            of_group("{template: {serviceAccount: a}, probe: {httpGet: {port: 80, path: a}}}").is_empty()
        );
    }
}
