//! Rules of Sidecar.

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::Sidecar;
use sagene_api::istio::networking::common::CaptureMode;
use sagene_api::istio::networking::gateway::ServerTlsMode;
use sagene_api::istio::networking::sidecar::{
    IstioEgressListener, IstioIngressListener, OutboundTrafficPolicyMode, SidecarPort,
};

use super::common::{PROTOCOLS, bind, host, is_dns_label, label_selector, port};
use super::destination_rule::connection_pool;
use super::gateway::tls_options;
use super::virtual_service::destination;
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for Sidecar {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        label_selector(&mut report, &path, spec.workload_selector.as_ref());
        let something = !spec.egress.is_empty()
            || !spec.ingress.is_empty()
            || spec.outbound_traffic_policy.is_some()
            || spec.inbound_connection_pool.is_some();
        report.require(
            something,
            &path,
            "sidecar: empty configuration provided; set egress, ingress or outboundTrafficPolicy",
        );
        for (index, listener) in spec.ingress.iter().enumerate() {
            ingress(&mut report, &path.key("ingress").index(index), listener, &spec.ingress[..index]);
        }
        for index in 0..spec.egress.len() {
            egress(&mut report, &path.key("egress").index(index), &spec.egress, index);
        }
        if let Some(pool) = &spec.inbound_connection_pool {
            connection_pool(&mut report, &path.key("inboundConnectionPool"), pool);
        }
        if let Some(policy) = &spec.outbound_traffic_policy
            && let Some(proxy) = &policy.egress_proxy
        {
            let path = path.key("outboundTrafficPolicy").key("egressProxy");
            destination(&mut report, &path, proxy);
            report.require(
                policy.mode == OutboundTrafficPolicyMode::AllowAny,
                &path,
                "sidecar: egressProxy must be set only with ALLOW_ANY outboundTrafficPolicy mode",
            );
        }
        report.finish()
    }
}

fn listener_port(report: &mut Report, path: &FieldPath, of: &SidecarPort, bound_to: &str) {
    let path = path.key("port");
    if !bound_to.starts_with("unix://") {
        port(report, &path.key("number"), of.number);
    }
    let protocol = of.protocol.to_ascii_uppercase();
    report.require(
        protocol.is_empty() || PROTOCOLS.contains(&protocol.as_str()),
        &path.key("protocol"),
        &format!("unsupported protocol {:?}; want one of {}", of.protocol, PROTOCOLS.join(", ")),
    );
}

fn ingress(
    report: &mut Report,
    path: &FieldPath,
    listener: &IstioIngressListener,
    earlier: &[IstioIngressListener],
) {
    listener_port(report, path, &listener.port, &listener.bind);
    bind(report, &path.key("bind"), &listener.bind);
    let repeated = earlier.iter().any(|other| other.port.number == listener.port.number);
    report.require(
        !repeated,
        &path.key("port").key("number"),
        &format!("sidecar: ports on listeners must be unique: {}", listener.port.number),
    );
    endpoint(report, &path.key("defaultEndpoint"), &listener.default_endpoint);
    if let Some(pool) = &listener.connection_pool {
        connection_pool(report, &path.key("connectionPool"), pool);
    }
    let Some(tls) = &listener.tls else { return };
    let path = path.key("tls");
    let secured = matches!(listener.port.protocol.to_ascii_uppercase().as_str(), "HTTPS" | "TLS");
    report.require(secured, &path, "sidecar: TLS settings need a port with protocol HTTPS or TLS");
    report.require(
        tls.subject_alt_names.is_empty(),
        &path.key("subjectAltNames"),
        "sidecar: subjectAltNames is not supported in ingress tls",
    );
    report.require(
        !tls.https_redirect,
        &path.key("httpsRedirect"),
        "sidecar: httpsRedirect is not supported",
    );
    report.require(
        tls.mode != ServerTlsMode::AutoPassthrough,
        &path.key("mode"),
        &format!("sidecar: mode {} is not supported", tls.mode),
    );
    tls_options(report, &path, tls);
}

/// `ip:port` of this machine, or a socket.
fn endpoint(report: &mut Report, path: &FieldPath, text: &str) {
    if text.is_empty() || text.starts_with("unix://") {
        bind(report, path, text);
        return;
    }
    let known = text
        .rsplit_once(':')
        .filter(|(address, _)| matches!(*address, "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]" | "::1" | "::"));
    let Some((_, number)) = known else {
        report.error(path, "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port>, unix://filepath, or unset");
        return;
    };
    match number.parse() {
        Ok(number) => port(report, path, number),
        Err(_) => report.error(path, format!("sidecar: defaultEndpoint port ({number}) is not a number")),
    }
}

fn egress(report: &mut Report, path: &FieldPath, listeners: &[IstioEgressListener], index: usize) {
    let listener = &listeners[index];
    let bound_to = listener.bind.as_str();
    match &listener.port {
        Some(of) => {
            listener_port(report, path, of, bound_to);
            bind(report, &path.key("bind"), bound_to);
            report.require(
                !bound_to.starts_with("unix://") || listener.capture_mode != CaptureMode::Iptables,
                &path.key("captureMode"),
                "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners",
            );
            let same = |other: &IstioEgressListener| {
                other.bind == listener.bind
                    && other.port.as_ref().is_some_and(|port| port.number == of.number)
            };
            report.require(
                !listeners[..index].iter().any(same),
                &path.key("port").key("number"),
                "sidecar: ports on IP bound listeners must be unique",
            );
        }
        None => {
            report.require(
                index + 1 == listeners.len(),
                path,
                "sidecar: the egress listener with empty port should be the last listener in the list",
            );
            report.require(
                bound_to.is_empty(),
                &path.key("bind"),
                "sidecar: bind is only allowed with a port",
            );
        }
    }
    report.require(
        !listener.hosts.is_empty(),
        &path.key("hosts"),
        "sidecar: egress listener must contain at least one host; want NAMESPACE/HOST, such as ./*",
    );
    for (position, text) in listener.hosts.iter().enumerate() {
        egress_host(report, &path.key("hosts").index(position), text);
    }
}

fn egress_host(report: &mut Report, path: &FieldPath, text: &str) {
    let Some((namespace, name)) = text.split_once('/') else {
        report.error(
            path,
            format!("sidecar: host {text:?} must be of form namespace/dnsName, such as ./{text} or */{text}"),
        );
        return;
    };
    report.require(
        matches!(namespace, "*" | "." | "~") || is_dns_label(namespace),
        path,
        &format!("sidecar: namespace {namespace:?} must be a name, \"*\", \".\" or \"~\""),
    );
    if name.parse::<IpAddr>().is_ok() {
        report.error(path, "sidecar: an IP address is no host; export the ServiceEntry's host instead");
    } else {
        host(report, path, name, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        let spec: Sidecar = serde_yaml::from_str(spec).expect("a spec");
        Sidecar::problems(&Object::new("n", "s", spec)).iter().map(|it| it.path.to_string()).collect()
    }

    #[test]
    fn every_rule_names_its_field() {
        for (bad, path) in [
            ("{}", "spec"),
            ("{workloadSelector: {}, egress: [{hosts: [./*]}]}", "spec.workloadSelector"),
            ("{egress: [{hosts: []}]}", "spec.egress[0].hosts"),
            ("{egress: [{hosts: [a.com]}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: [A_b/*]}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: ['*/a.*.com']}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: [./*]}, {hosts: [./*]}]}", "spec.egress[0]"),
            ("{egress: [{bind: 1.1.1.1, hosts: [./*]}]}", "spec.egress[0].bind"),
            (
                "{egress: [{port: {number: 0, protocol: HTTP, name: a}, hosts: [./*]}]}",
                "spec.egress[0].port.number",
            ),
            (
                "{egress: [{port: {number: 1, protocol: QUIC, name: a}, hosts: [./*]}]}",
                "spec.egress[0].port.protocol",
            ),
            (
                "{egress: [{port: {number: 1, protocol: TCP, name: a}, hosts: [./*]}, {port: {number: 1, protocol: TCP, name: b}, hosts: [./*]}]}",
                "spec.egress[1].port.number",
            ),
            (
                "{egress: [{port: {number: 0, protocol: HTTP, name: a}, bind: 'unix:///a', captureMode: IPTABLES, hosts: [./*]}]}",
                "spec.egress[0].captureMode",
            ),
            (
                "{ingress: [{port: {number: 1, protocol: TCP, name: a}, defaultEndpoint: '1.1.1.1:90'}]}",
                "spec.ingress[0].defaultEndpoint",
            ),
            (
                "{ingress: [{port: {number: 1, protocol: TCP, name: a}, defaultEndpoint: '127.0.0.1:a'}]}",
                "spec.ingress[0].defaultEndpoint",
            ),
            (
                "{ingress: [{port: {number: 1, protocol: TCP, name: a}}, {port: {number: 1, protocol: TCP, name: b}}]}",
                "spec.ingress[1].port.number",
            ),
            (
                "{ingress: [{port: {number: 1, protocol: HTTP, name: a}, tls: {mode: SIMPLE, serverCertificate: a, privateKey: b}}]}",
                "spec.ingress[0].tls",
            ),
            (
                "{outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: a.com}}}",
                "spec.outboundTrafficPolicy.egressProxy",
            ),
        ] {
            assert!(problems(bad).contains(&path.to_owned()), "{bad} → {:?}", problems(bad));
        }
    }

    #[test]
    fn what_is_fine_is_fine() {
        for good in [
            "{egress: [{hosts: [./*, 'istio-system/*', '*/a.com', '~/*']}]}",
            "{egress: [{port: {number: 9080, protocol: HTTP, name: a}, bind: 127.0.0.1, hosts: [./*]}, {hosts: [./*]}]}",
            "{egress: [{port: {number: 0, protocol: HTTP, name: a}, bind: 'unix:///a', hosts: [./*]}]}",
            "{ingress: [{port: {number: 1, protocol: HTTPS, name: a}, defaultEndpoint: '[::1]:80', tls: {mode: SIMPLE, serverCertificate: a, privateKey: b}}]}",
            "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
        ] {
            assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
        }
    }
}
