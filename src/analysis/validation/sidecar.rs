//! Rules of Sidecar.

use sagene_api::Object;
use sagene_api::istio::networking::Sidecar;

use super::common::{host, is_dns_label, port};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for Sidecar {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        let something = !spec.egress.is_empty()
            || !spec.ingress.is_empty()
            || spec.outbound_traffic_policy.is_some()
            || spec.inbound_connection_pool.is_some();
        report.require(something, &path, "sidecar: empty configuration provided");
        let last = spec.egress.len().saturating_sub(1);
        for (index, listener) in spec.egress.iter().enumerate() {
            let path = path.key("egress").index(index);
            match &listener.port {
                Some(of) if !listener.bind.starts_with("unix://") => {
                    port(&mut report, &path.key("port").key("number"), of.number)
                }
                Some(_) => {}
                None => {
                    report.require(index == last, &path, "sidecar: the egress listener with empty port should be the last listener in the list");
                    report.require(
                        listener.bind.is_empty(),
                        &path.key("bind"),
                        "sidecar: bind is only allowed with a port",
                    );
                }
            }
            report.require(
                !listener.hosts.is_empty(),
                &path,
                "sidecar: egress listener must contain at least one host",
            );
            for (position, text) in listener.hosts.iter().enumerate() {
                egress_host(&mut report, &path.key("hosts").index(position), text);
            }
        }
        for (index, listener) in spec.ingress.iter().enumerate() {
            let path = path.key("ingress").index(index);
            port(&mut report, &path.key("port").key("number"), listener.port.number);
            let repeated =
                spec.ingress[..index].iter().any(|other| other.port.number == listener.port.number);
            report.require(
                !repeated,
                &path.key("port").key("number"),
                &format!("sidecar: ports on listeners must be unique: {}", listener.port.number),
            );
            let endpoint = listener.default_endpoint.as_str();
            let good = endpoint.is_empty()
                || ["127.0.0.1:", "0.0.0.0:", "[::1]:", "[::]:", "unix://"]
                    .iter()
                    .any(|prefix| endpoint.starts_with(prefix));
            report.require(
                good,
                &path.key("defaultEndpoint"),
                "sidecar: defaultEndpoint must be 127.0.0.1:PORT, 0.0.0.0:PORT or unix://PATH",
            );
        }
        report.finish()
    }
}

fn egress_host(report: &mut Report, path: &FieldPath, text: &str) {
    let Some((namespace, name)) = text.split_once('/') else {
        report.error(path, "sidecar: host must be of form namespace/dnsName");
        return;
    };
    report.require(
        matches!(namespace, "*" | "." | "~") || is_dns_label(namespace),
        path,
        "sidecar: namespace must be a name, \"*\", \".\" or \"~\"",
    );
    host(report, path, name, true);
}
