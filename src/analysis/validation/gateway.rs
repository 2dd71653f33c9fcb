//! Rules of Gateway.

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::{Server, ServerTlsMode, ServerTlsSettings};

use super::common::{host, is_dns_label, port};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

const PROTOCOLS: &[&str] =
    &["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "HBONE"];

impl Validate for Gateway {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let mut report = Report::new();
        let path = FieldPath::parse("spec.servers");
        report.require(
            !object.spec.servers.is_empty(),
            &FieldPath::parse("spec"),
            "gateway must have at least one server",
        );
        for (index, of) in object.spec.servers.iter().enumerate() {
            server(&mut report, &path.index(index), of);
            let others = &object.spec.servers[..index];
            let repeated = !of.name.is_empty() && others.iter().any(|other| other.name == of.name);
            report.require(
                !repeated,
                &path.index(index).key("name"),
                &format!("server names must be unique: {:?}", of.name),
            );
            let port_name = &of.port.name;
            let taken = others.iter().any(|other| other.port.name == *port_name && !port_name.is_empty());
            report.require(
                !taken,
                &path.index(index).key("port").key("name"),
                &format!("port names in servers must be unique: duplicate name {port_name}"),
            );
        }
        report.finish()
    }
}

fn server(report: &mut Report, path: &FieldPath, server: &Server) {
    let (port_path, protocol) = (path.key("port"), server.port.protocol.to_ascii_uppercase());
    port(report, &port_path.key("number"), server.port.number);
    report.require(!server.port.name.is_empty(), &port_path, "port name must be set");
    report.require(
        PROTOCOLS.contains(&protocol.as_str()),
        &port_path.key("protocol"),
        &format!("invalid protocol {protocol:?}; want one of {}", PROTOCOLS.join(", ")),
    );
    report.require(!server.hosts.is_empty(), path, "server config must contain at least one host");
    for (index, text) in server.hosts.iter().enumerate() {
        let path = path.key("hosts").index(index);
        let name = match text.split_once('/') {
            Some((namespace, name)) => {
                report.require(
                    matches!(namespace, "*" | ".") || is_dns_label(namespace),
                    &path,
                    "namespace must be a name, \"*\" or \".\"",
                );
                name
            }
            None => text,
        };
        host(report, &path, name, true);
    }
    tls_of_server(report, path, &protocol, server.tls.as_ref());
}

fn tls_of_server(report: &mut Report, path: &FieldPath, protocol: &str, tls: Option<&ServerTlsSettings>) {
    let secured = matches!(protocol, "HTTPS" | "TLS");
    match tls {
        None => {
            report.require(!secured, path, &format!("server must have TLS settings for {protocol} protocol"))
        }
        Some(tls) if !secured && (protocol.starts_with("HTTP") || protocol.starts_with("GRPC")) => {
            let only_redirect =
                ServerTlsSettings { https_redirect: tls.https_redirect, ..ServerTlsSettings::default() };
            report.require(
                *tls == only_redirect,
                &path.key("tls"),
                &format!(
                    "server cannot have TLS settings other than httpsRedirect for plain text {protocol} ports"
                ),
            );
        }
        Some(tls) => certificates(report, &path.key("tls"), tls),
    }
}

fn certificates(report: &mut Report, path: &FieldPath, tls: &ServerTlsSettings) {
    let by_credential = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    let by_file =
        !tls.server_certificate.is_empty() && !tls.private_key.is_empty() || !tls.tls_certificates.is_empty();
    match tls.mode {
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough | ServerTlsMode::IstioMutual => {
            let none = !by_credential
                && tls.server_certificate.is_empty()
                && tls.private_key.is_empty()
                && tls.ca_certificates.is_empty();
            report.require(
                none,
                path,
                &format!("{} mode does not use certificates; it cannot name any", tls.mode),
            );
        }
        ServerTlsMode::Simple => report.require(
            by_credential || by_file,
            path,
            "SIMPLE TLS requires a server certificate: credentialName, or serverCertificate and privateKey",
        ),
        ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            let complete = by_credential
                || (by_file && !tls.ca_certificates.is_empty())
                || !tls.tls_certificates.is_empty();
            report.require(
                complete,
                path,
                "MUTUAL TLS requires credentialName, or serverCertificate, privateKey and caCertificates",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(server: &str) -> Vec<String> {
        let spec: Gateway = serde_yaml::from_str(&format!("servers: [{server}]")).expect("a spec");
        Gateway::problems(&Object::new("n", "g", spec))
            .iter()
            .map(|problem| problem.path.to_string())
            .collect()
    }

    #[test]
    fn ports_protocols_and_certificates() {
        for good in [
            "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}",
            "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [./a.com], tls: {mode: SIMPLE, credentialName: c}}",
            "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}",
            "{port: {number: 9000, name: tcp, protocol: tcp}, hosts: ['*']}",
        ] {
            assert_eq!(problems(good), Vec::<String>::new(), "{good}");
        }
        for (bad, path) in [
            ("{port: {number: 0, name: http, protocol: HTTP}, hosts: ['*']}", "spec.servers[0].port.number"),
            (
                "{port: {number: 80, name: http, protocol: QUIC}, hosts: ['*']}",
                "spec.servers[0].port.protocol",
            ),
            ("{port: {number: 80, name: http, protocol: HTTP}}", "spec.servers[0]"),
            ("{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*']}", "spec.servers[0]"),
            (
                "{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE}}",
                "spec.servers[0].tls",
            ),
            (
                "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH, credentialName: c}}",
                "spec.servers[0].tls",
            ),
            (
                "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}",
                "spec.servers[0].tls",
            ),
        ] {
            assert!(problems(bad).contains(&path.to_owned()), "{bad} → {:?}", problems(bad));
        }
    }
}
