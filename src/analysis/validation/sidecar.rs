//! Rules of Sidecar.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::Sidecar;
use sagene_api::istio::networking::common::CaptureMode;
use sagene_api::istio::networking::gateway::ServerTlsMode;
use sagene_api::istio::networking::sidecar::{
    IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, OutboundTrafficPolicyMode, SidecarPort,
};
use sagene_model::Protocol;

use super::common::{PROTOCOLS, bind, label_selector, port};
use super::destination_rule::connection_pool;
use super::gateway::tls_options;
use super::host::{full_host, host_problem, is_label};
use super::virtual_service::destination;
use super::{Place, Problem, Report, Validate};
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
            egress(
                &mut report,
                &path.key("egress").index(index),
                &spec.egress,
                index,
                &object.metadata.namespace,
            );
        }
        if let Some(pool) = &spec.inbound_connection_pool {
            connection_pool(&mut report, &path.key("inboundConnectionPool"), pool);
        }
        if let Some(policy) = &spec.outbound_traffic_policy {
            outbound(&mut report, &path.key("outboundTrafficPolicy"), policy);
        }
        report.finish()
    }
}

fn outbound(report: &mut Report, path: &FieldPath, policy: &OutboundTrafficPolicy) {
    let Some(proxy) = &policy.egress_proxy else { return };
    let path = path.key("egressProxy");
    if policy.mode != OutboundTrafficPolicyMode::AllowAny {
        report
            .error(&path, "sidecar: egressProxy must be set only with ALLOW_ANY outboundTrafficPolicy mode");
        return;
    }
    match host_problem(&proxy.host, false) {
        Some(problem) => report.error(&path.key("host"), problem),
        None => destination(report, Place::from(&path), proxy),
    }
    report.require(proxy.port.is_some(), &path.key("port"), "sidecar: egressProxy port must be set");
}

/// What ports of both kinds of listeners have in common.
fn listener_port(report: &mut Report, path: &FieldPath, of: &SidecarPort) {
    if !of.name.is_empty() {
        let words = format!("invalid port name {:?}; want letters, digits and '-'", of.name);
        report.require(is_label(&of.name), &path.key("name"), &words);
    }
    report.require(
        of.target_port == 0,
        &path.key("targetPort"),
        "targetPort has no impact on Sidecars; remove it",
    );
    let protocol = of.protocol.to_ascii_uppercase();
    report.require(
        protocol.is_empty() || PROTOCOLS.contains(&protocol.as_str()),
        &path.key("protocol"),
        format_args!("unsupported protocol {:?}; want one of {}", of.protocol, PROTOCOLS.join(", ")),
    );
}

fn ingress(
    report: &mut Report,
    path: &FieldPath,
    listener: &IstioIngressListener,
    earlier: &[IstioIngressListener],
) {
    let port_path = path.key("port");
    listener_port(report, &port_path, &listener.port);
    port(report, &port_path.key("number"), listener.port.number);
    let bound_to = listener.bind.as_str();
    report.require(
        bound_to.is_empty() || bound_to.parse::<IpAddr>().is_ok(),
        &path.key("bind"),
        format_args!("{bound_to:?} is no IP address; ingress listeners bind to no socket file"),
    );
    let repeated = earlier.iter().any(|other| other.port.number == listener.port.number);
    report.require(
        !repeated,
        &path.key("port").key("number"),
        format_args!("sidecar: ports on listeners must be unique: {}", listener.port.number),
    );
    endpoint(report, &path.key("defaultEndpoint"), &listener.default_endpoint);
    if let Some(pool) = &listener.connection_pool {
        let path = path.key("connectionPool");
        connection_pool(report, &path, pool);
        if pool.http.is_some() && !Protocol::parse(&listener.port.protocol).is_http() {
            let words = format!(
                "sidecar: HTTP connection pool settings are configured for port {} but its protocol is not HTTP ({}); only TCP settings will apply",
                listener.port.number, listener.port.protocol
            );
            report.warning(&path.key("http"), words);
        }
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
        !matches!(tls.mode, ServerTlsMode::AutoPassthrough | ServerTlsMode::IstioMutual),
        &path.key("mode"),
        format_args!("sidecar: mode {} is not supported in ingress tls; use SIMPLE or MUTUAL", tls.mode),
    );
    report.require(
        tls.credential_name.is_empty() && tls.credential_names.is_empty(),
        &path.key("credentialName"),
        "sidecar: credentialName is not currently supported; use serverCertificate and privateKey",
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
        .filter(|(address, _)| matches!(*address, "" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]"));
    let Some((_, number)) = known else {
        report.error(path, "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port>, unix://filepath, or unset");
        return;
    };
    match number.parse() {
        Ok(number) => port(report, path, number),
        Err(_) => report.error(path, format!("sidecar: defaultEndpoint port ({number}) is not a number")),
    }
}

fn egress(report: &mut Report, path: &FieldPath, listeners: &[IstioEgressListener], index: usize, own: &str) {
    let listener = &listeners[index];
    match &listener.port {
        Some(of) => egress_port(report, path, listener, of, &listeners[..index]),
        None => {
            report.require(
                index + 1 == listeners.len(),
                path,
                "sidecar: the egress listener with empty port should be the last listener in the list",
            );
            report.advise(
                listener.bind.is_empty(),
                &path.key("bind"),
                "sidecar: bind has no effect without a port",
            );
        }
    }
    let hosts = path.key("hosts");
    report.require(
        !listener.hosts.is_empty(),
        &hosts,
        "sidecar: egress listener must contain at least one host; want NAMESPACE/HOST, such as ./*",
    );
    for (position, text) in listener.hosts.iter().enumerate() {
        egress_host(report, &hosts.index(position), text);
    }
    repeated_hosts(report, &hosts, &listener.hosts, own);
}

/// A listener of its own: on an address and a port, or on a socket file with port 0.
fn egress_port(
    report: &mut Report,
    path: &FieldPath,
    listener: &IstioEgressListener,
    of: &SidecarPort,
    earlier: &[IstioEgressListener],
) {
    let port_path = path.key("port");
    listener_port(report, &port_path, of);
    bind(report, &path.key("bind"), &listener.bind);
    if listener.bind.starts_with("unix://") {
        report.require(
            of.number == 0,
            &port_path.key("number"),
            "sidecar: port number must be 0 for unix domain socket listeners",
        );
        report.require(
            listener.capture_mode != CaptureMode::Iptables,
            &path.key("captureMode"),
            "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners",
        );
        report.require(
            !earlier.iter().any(|other| other.bind == listener.bind),
            &path.key("bind"),
            "sidecar: unix domain socket values for listeners must be unique",
        );
        return;
    }
    port(report, &port_path.key("number"), of.number);
    let same = |other: &IstioEgressListener| other.port.as_ref().is_some_and(|port| port.number == of.number);
    report.require(
        !earlier.iter().any(same),
        &port_path.key("number"),
        format_args!("sidecar: ports on IP bound listeners must be unique: {}", of.number),
    );
}

/// Hosts that others of the listener bring already.
fn repeated_hosts(report: &mut Report, path: &FieldPath, hosts: &[String], own: &str) {
    let all = hosts.iter().any(|text| text == "*/*");
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, text) in hosts.iter().enumerate() {
        let Some((namespace, name)) = text.split_once('/') else { continue };
        let namespace = if namespace == "." && !own.is_empty() { own } else { namespace };
        let names = known.entry(namespace).or_default();
        let repeated =
            if name == "*" { !names.is_empty() } else { names.contains(name) || names.contains("*") };
        names.insert(name);
        if repeated {
            report.warning(&path.index(index), format!("duplicated egress host: {text}"));
        } else if all && namespace != "*" {
            report
                .warning(&path.index(index), "`*/*` host select all resources, no other hosts can be added");
        }
    }
}

fn egress_host(report: &mut Report, path: &FieldPath, text: &str) {
    let Some((namespace, name)) = text.split_once('/') else {
        let is_host = host_problem(text, true).is_none() && text.parse::<IpAddr>().is_err();
        let name = if is_host { text } else { "reviews.default.svc.cluster.local" };
        report.error(
            path,
            format!("sidecar: host {text:?} must be of form namespace/dnsName, such as ./{name} or */{name}"),
        );
        return;
    };
    report.require(
        matches!(namespace, "*" | "." | "~") || is_label(namespace),
        path,
        format_args!("sidecar: namespace {namespace:?} must be a name, \"*\", \".\" or \"~\""),
    );
    if name.parse::<IpAddr>().is_ok() {
        report.error(path, "sidecar: an IP address is no host; export the ServiceEntry's host instead");
    } else {
        full_host(report, path, name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::broken;
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        broken::<Sidecar>(spec)
    }

    #[test]
    fn every_rule_names_its_field() {
        for (bad, path) in [
            ("{}", "spec"),
            ("{workloadSelector: {}, egress: [{hosts: [./*]}]}", "warning spec.workloadSelector"),
            ("{egress: [{hosts: []}]}", "spec.egress[0].hosts"),
            ("{egress: [{hosts: [a.com]}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: [A_b/*]}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: ['*/a.*.com']}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: [./*]}, {hosts: [./*]}]}", "spec.egress[0]"),
            ("{egress: [{bind: 1.1.1.1, hosts: [./*]}]}", "warning spec.egress[0].bind"),
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
            ("{ingress: [{port: {number: 1, targetPort: 2}}]}", "spec.ingress[0].port.targetPort"),
            (
                "{ingress: [{port: {number: 1, protocol: TCP}, connectionPool: {http: {maxRetries: 1}}}]}",
                "warning spec.ingress[0].connectionPool.http",
            ),
            ("{egress: [{hosts: [./a]}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: ['*/*a.com']}]}", "spec.egress[0].hosts[0]"),
            ("{egress: [{hosts: [n/a.com, ./a.com]}]}", "warning spec.egress[0].hosts[1]"),
            ("{egress: [{hosts: [./*, ./a.com]}]}", "warning spec.egress[0].hosts[1]"),
            ("{egress: [{hosts: [./a.com, ./*]}]}", "warning spec.egress[0].hosts[1]"),
            ("{egress: [{hosts: [o/a.com, '*/*']}]}", "warning spec.egress[0].hosts[0]"),
            (
                "{egress: [{port: {number: 1, protocol: TCP, name: a}, bind: 1.1.1.1, hosts: [./*]}, {port: {number: 1, protocol: TCP, name: b}, bind: 1.1.1.2, hosts: [./*]}]}",
                "spec.egress[1].port.number",
            ),
            (
                "{egress: [{port: {number: 5, protocol: HTTP, name: a}, bind: 'unix:///a', hosts: [./*]}]}",
                "spec.egress[0].port.number",
            ),
            (
                "{egress: [{port: {number: 0}, bind: 'unix:///a', hosts: [./*]}, {port: {number: 0}, bind: 'unix:///a', hosts: [./*]}]}",
                "spec.egress[1].bind",
            ),
            (
                "{egress: [{port: {number: 1, protocol: TCP, name: a_b}, hosts: [./*]}]}",
                "spec.egress[0].port.name",
            ),
            ("{ingress: [{port: {number: 1, protocol: TCP}, bind: 'unix:///a'}]}", "spec.ingress[0].bind"),
            (
                "{ingress: [{port: {number: 1, protocol: TCP}, defaultEndpoint: '::1:80'}]}",
                "spec.ingress[0].defaultEndpoint",
            ),
            (
                "{ingress: [{port: {number: 1, protocol: HTTPS}, tls: {mode: ISTIO_MUTUAL}}]}",
                "spec.ingress[0].tls.mode",
            ),
            (
                "{ingress: [{port: {number: 1, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: a}}]}",
                "spec.ingress[0].tls.credentialName",
            ),
            (
                "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.com}}}",
                "spec.outboundTrafficPolicy.egressProxy.port",
            ),
            (
                "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: '*.a.com', port: {number: 80}}}}",
                "spec.outboundTrafficPolicy.egressProxy.host",
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
            "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.com, subset: b, port: {number: 80}}}}",
            "{egress: [{hosts: ['*/*']}]}",
            "{ingress: [{port: {number: 1, protocol: HTTP}, defaultEndpoint: ':80', connectionPool: {http: {maxRetries: 1}}}]}",
            "{egress: [{hosts: [a/*, b/*, a2/x.com]}]}",
            "{ingress: [{port: {number: 1, protocol: http}, bind: '::', defaultEndpoint: 'unix:///a'}], workloadSelector: {labels: {a: b}}}",
        ] {
            assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
        }
    }
}
