//! Rules of Gateway.

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::{Server, ServerTlsMode, ServerTlsSettings, TlsProtocol};

use super::common::{bind, labels, port};
use super::host::{full_host, is_label};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

const PROTOCOLS: &[&str] =
    &["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "HBONE"];
/// Cipher suites that the proxy has.
pub(super) const CIPHER_SUITES: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
    "DES-CBC3-SHA",
];

/// Most certificates that a server shows, one for each kind of key.
const MOST_CERTIFICATES: usize = 2;

impl Validate for Gateway {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let mut report = Report::new();
        let (spec, name) = (FieldPath::parse("spec"), object.metadata.name.as_str());
        // A name that the API server is yet to make is no matter of ours.
        let is_to_be_made = name == object.metadata.generate_name;
        report.require(
            is_to_be_made || is_label(name),
            &FieldPath::parse("metadata.name"),
            format_args!(
                "invalid gateway name {name:?}: want at most 63 letters, digits and '-', without dots"
            ),
        );
        let path = spec.key("servers");
        report.require(!object.spec.servers.is_empty(), &spec, "gateway must have at least one server");
        for (index, of) in object.spec.servers.iter().enumerate() {
            let path = path.index(index);
            server(&mut report, &path, of);
            let others = &object.spec.servers[..index];
            let repeated = !of.name.is_empty() && others.iter().any(|other| other.name == of.name);
            report.require(
                !repeated,
                &path.key("name"),
                format_args!("server names must be unique: {:?}", of.name),
            );
            let port_name = &of.port.name;
            let taken = others.iter().any(|other| other.port.name == *port_name && !port_name.is_empty());
            report.require(
                !taken,
                &path.key("port").key("name"),
                format_args!("port names in servers must be unique: duplicate name {port_name}"),
            );
        }
        labels(&mut report, &spec.key("selector"), &object.spec.selector);
        report.finish()
    }
}

fn server(report: &mut Report, path: &FieldPath, server: &Server) {
    let (port_path, protocol) = (path.key("port"), server.port.protocol.to_ascii_uppercase());
    if server.port.number != 0 || !server.bind.starts_with("unix://") {
        port(report, &port_path.key("number"), server.port.number);
    }
    report.require(!server.port.name.is_empty(), &port_path.key("name"), "port name must be set");
    report.require(
        PROTOCOLS.contains(&protocol.as_str()),
        &port_path.key("protocol"),
        format_args!("invalid protocol {protocol:?}; want one of {}", PROTOCOLS.join(", ")),
    );
    if server.bind.starts_with("unix://") {
        report.require(
            server.port.number == 0,
            &port_path.key("number"),
            "port number must be 0 for unix domain socket",
        );
    }
    if server.port.target_port != 0 {
        report.error(&port_path.key("targetPort"), "targetPort has no impact on Gateways; remove it");
    }
    bind(report, &path.key("bind"), &server.bind);
    report.require(
        !server.hosts.is_empty(),
        &path.key("hosts"),
        "server config must contain at least one host",
    );
    for (index, text) in server.hosts.iter().enumerate() {
        server_host(report, &path.key("hosts").index(index), text);
    }
    tls_of_server(report, path, &protocol, server.tls.as_ref());
}

/// `[namespace/]host`; the host may be an address.
fn server_host(report: &mut Report, path: &FieldPath, text: &str) {
    let (namespace, name) =
        text.split_once('/').map_or((None, text), |(namespace, name)| (Some(namespace), name));
    if let Some(namespace) =
        namespace.filter(|namespace| !matches!(*namespace, "*" | ".") && !is_label(namespace))
    {
        report.error(
            path,
            format!("invalid namespace value {namespace:?} in gateway; want a name, \"*\" or \".\""),
        );
    } else if name.parse::<IpAddr>().is_err() {
        full_host(report, path, name);
    }
}

fn tls_of_server(report: &mut Report, path: &FieldPath, protocol: &str, tls: Option<&ServerTlsSettings>) {
    let secured = matches!(protocol, "HTTPS" | "TLS");
    let path = path.key("tls");
    match tls {
        None => report.require(
            !secured,
            &path,
            format_args!(
                "server must have TLS settings for {protocol} protocol; set tls.mode and tls.credentialName"
            ),
        ),
        Some(tls) if !secured && (protocol.starts_with("HTTP") || protocol.starts_with("GRPC")) => {
            let only_redirect =
                ServerTlsSettings { https_redirect: tls.https_redirect, ..ServerTlsSettings::default() };
            report.require(
                *tls == only_redirect,
                &path,
                format_args!(
                    "server cannot have TLS settings other than httpsRedirect for plain text {protocol} ports; set protocol HTTPS"
                ),
            );
        }
        Some(_) if !secured => report.error(
            &path,
            format!("server cannot have TLS settings for non HTTPS/TLS ports; set protocol TLS in place of {protocol}"),
        ),
        Some(tls) => {
            if tls.https_redirect {
                report.warning(
                    &path.key("httpsRedirect"),
                    "tls.httpsRedirect should only be used with http servers",
                );
            }
            tls_options(report, &path, tls);
        }
    }
}

/// Rules of the TLS of a server, at the edge or in a sidecar.
pub(super) fn tls_options(report: &mut Report, path: &FieldPath, tls: &ServerTlsSettings) {
    for (index, suite) in tls.cipher_suites.iter().enumerate() {
        let path = path.key("cipherSuites").index(index);
        if !CIPHER_SUITES.contains(&suite.as_str()) {
            report.warning(&path, format!("ignoring invalid cipher suite {suite:?}"));
        } else if tls.cipher_suites[..index].contains(suite) {
            report.warning(&path, format!("ignoring duplicate cipher suite {suite:?}"));
        }
    }
    let old = matches!(tls.min_protocol_version, TlsProtocol::TlsV1_0 | TlsProtocol::TlsV1_1);
    if old && tls.cipher_suites.is_empty() {
        report.warning(
            &path.key("minProtocolVersion"),
            "TLS version below TLSV1_2 require setting compatible ciphers as by default they no longer include compatible ciphers",
        );
    }
    certificates(report, path, tls);
    certificate_sources(report, path, tls);
}

/// A server shows the certificates of one source alone.
fn certificate_sources(report: &mut Report, path: &FieldPath, tls: &ServerTlsSettings) {
    let sources = [
        !tls.server_certificate.is_empty() && !tls.private_key.is_empty(),
        !tls.credential_name.is_empty(),
        !tls.credential_names.is_empty(),
        !tls.tls_certificates.is_empty(),
    ];
    let count = sources.into_iter().filter(|is_set| *is_set).count();
    report.require(
        count < 2 || tls.mode == ServerTlsMode::IstioMutual,
        path,
        "only one of credentialName, credentialNames, serverCertificate with privateKey, and tlsCertificates should be set",
    );
    if tls.tls_certificates.len() > MOST_CERTIFICATES {
        let words = format!("{} TLS can support up to {MOST_CERTIFICATES} server certificates", tls.mode);
        report.warning(&path.key("tlsCertificates"), words);
    }
    let by_credential = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    report.require(
        tls.ca_crl.is_empty() || tls.mode != ServerTlsMode::Simple || by_credential,
        &path.key("caCrl"),
        "a CRL is not supported with SIMPLE TLS: it is about clients' certificates",
    );
}

fn certificates(report: &mut Report, path: &FieldPath, tls: &ServerTlsSettings) {
    let files = [
        ("serverCertificate", &tls.server_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("caCrl", &tls.ca_crl),
    ];
    let by_credential = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    let named = by_credential || files.iter().any(|(_, value)| !value.is_empty());
    let need = |report: &mut Report, field: &str, value: &str, words: &str| {
        report.require(
            !value.is_empty(),
            path,
            format_args!("{} TLS requires {words}; set {field}, or credentialName", tls.mode),
        );
    };
    match tls.mode {
        ServerTlsMode::IstioMutual => {
            let words = "ISTIO_MUTUAL TLS uses the workload's own certificate and cannot name another";
            for (field, _) in files.iter().filter(|(_, value)| !value.is_empty()) {
                report.error(&path.key(field), words);
            }
            report.require(!by_credential, &path.key("credentialName"), words);
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            if named {
                report.warning(
                    path,
                    format!("{} mode does not use certificates, they will be ignored", tls.mode),
                );
            }
        }
        _ if by_credential => {}
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            if tls.tls_certificates.is_empty() {
                need(report, "serverCertificate", &tls.server_certificate, "a server certificate");
                need(report, "privateKey", &tls.private_key, "a private key");
            }
            for (index, pair) in tls.tls_certificates.iter().enumerate() {
                let path = path.key("tlsCertificates").index(index);
                let is_whole = !pair.server_certificate.is_empty() && !pair.private_key.is_empty();
                report.require(is_whole, &path, "both serverCertificate and privateKey must be set");
            }
            let by_pair = tls.tls_certificates.iter().any(|pair| !pair.ca_certificates.is_empty());
            if tls.mode != ServerTlsMode::Simple && tls.ca_cert_credential_name.is_empty() && !by_pair {
                need(report, "caCertificates", &tls.ca_certificates, "a client CA bundle");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::Severity;

    fn problems(server: &str) -> Vec<String> {
        let spec: Gateway = serde_yaml::from_str(&format!("servers: [{server}]")).expect("a spec");
        let sign = |it: &Problem| if it.severity == Severity::Warning { "warning " } else { "" };
        Gateway::problems(&Object::new("n", "g", spec))
            .iter()
            .map(|problem| {
                format!("{}{}", sign(problem), problem.path.to_string().trim_start_matches("spec.servers[0]"))
            })
            .collect()
    }

    #[test]
    fn names_and_uniqueness() {
        let found = |name: &str, servers: &str| -> Vec<String> {
            let spec: Gateway = serde_yaml::from_str(servers).expect("a spec");
            Gateway::problems(&Object::new("n", name, spec)).iter().map(|it| it.path.to_string()).collect()
        };
        let server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], name: a}";
        assert_eq!(found("a.b", &format!("servers: [{server}]")), ["metadata.name"]);
        assert_eq!(
            found("a", &format!("servers: [{server}, {server}]")),
            ["spec.servers[1].name", "spec.servers[1].port.name"]
        );
        assert_eq!(found("a", "{}"), ["spec"]);
    }

    #[test]
    fn ports_protocols_and_certificates() {
        for good in [
            "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}",
            "{port: {number: 80, name: http, protocol: http}, hosts: ['ns/*.a.com', '*/b.com'], bind: 10.0.0.1}",
            "{port: {name: http, protocol: http}, hosts: ['*'], bind: 'unix:///var/run/a'}",
            "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [./a.com], tls: {mode: SIMPLE, credentialName: c}}",
            "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.com], tls: {mode: MUTUAL, serverCertificate: a, privateKey: b, caCertificates: c}}",
            "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, tlsCertificates: [{serverCertificate: a, privateKey: b}]}}",
            "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}",
            "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: ISTIO_MUTUAL}}",
            "{port: {number: 9000, name: tcp, protocol: tcp}, hosts: ['*']}",
            "{port: {number: 80, name: http, protocol: HTTP}, hosts: [10.0.0.1, 'ns/::1', n.b.c.]}",
        ] {
            assert_eq!(problems(good), Vec::<String>::new(), "{good}");
        }
        let https = "port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*']";
        let http = "port: {number: 80, name: http, protocol: HTTP}";
        for (bad, path) in [
            ("{port: {number: 0, name: http, protocol: HTTP}, hosts: ['*']}".to_owned(), ".port.number"),
            ("{port: {number: 80, protocol: HTTP}, hosts: ['*']}".to_owned(), ".port.name"),
            ("{port: {number: 80, name: http, protocol: QUIC}, hosts: ['*']}".to_owned(), ".port.protocol"),
            (format!("{{{http}}}"), ".hosts"),
            (format!("{{{http}, hosts: ['a/b/c']}}"), ".hosts[0]"),
            (format!("{{{http}, hosts: ['~/a.com']}}"), ".hosts[0]"),
            (format!("{{{http}, hosts: [reviews]}}"), ".hosts[0]"),
            (format!("{{{http}, hosts: [./reviews]}}"), ".hosts[0]"),
            (format!("{{{http}, hosts: ['*-a.b.com']}}"), ".hosts[0]"),
            (format!("{{{http}, hosts: ['/a.com']}}"), ".hosts[0]"),
            (format!("{{{http}, hosts: ['*'], bind: here}}"), ".bind"),
            (format!("{{{http}, hosts: ['*'], bind: 'unix:///a'}}"), ".port.number"),
            (
                "{port: {number: 80, name: http, protocol: HTTP, targetPort: 8080}, hosts: ['*']}".to_owned(),
                ".port.targetPort",
            ),
            (
                "{port: {number: 90, name: tcp, protocol: TCP}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}".to_owned(),
                ".tls",
            ),
            (format!("{{{http}, hosts: ['*'], tls: {{mode: SIMPLE, credentialName: c}}}}"), ".tls"),
            (format!("{{{https}}}"), ".tls"),
            (format!("{{{https}, tls: {{mode: SIMPLE}}}}"), ".tls"),
            (format!("{{{https}, tls: {{mode: MUTUAL, serverCertificate: a, privateKey: b}}}}"), ".tls"),
            (format!("{{{https}, tls: {{mode: MUTUAL, tlsCertificates: [{{serverCertificate: a, privateKey: b}}]}}}}"), ".tls"),
            (format!("{{{https}, tls: {{mode: SIMPLE, tlsCertificates: [{{privateKey: b}}]}}}}"), ".tls.tlsCertificates[0]"),
            (format!("{{{https}, tls: {{mode: ISTIO_MUTUAL, credentialName: a}}}}"), ".tls.credentialName"),
            (format!("{{{https}, tls: {{mode: SIMPLE, credentialName: a, credentialNames: [b]}}}}"), ".tls"),
            (format!("{{{https}, tls: {{mode: SIMPLE, credentialName: a, serverCertificate: b, privateKey: c}}}}"), ".tls"),
            (format!("{{{https}, tls: {{mode: SIMPLE, serverCertificate: b, privateKey: c, caCrl: d}}}}"), ".tls.caCrl"),
            (format!("{{{https}, tls: {{mode: PASSTHROUGH, credentialName: c}}}}"), "warning .tls"),
            (
                format!("{{{https}, tls: {{mode: SIMPLE, credentialName: c, httpsRedirect: true}}}}"),
                "warning .tls.httpsRedirect",
            ),
            (
                format!("{{{https}, tls: {{mode: SIMPLE, credentialName: c, cipherSuites: [RC4]}}}}"),
                "warning .tls.cipherSuites[0]",
            ),
            (
                format!("{{{https}, tls: {{mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0}}}}"),
                "warning .tls.minProtocolVersion",
            ),
        ] {
            assert!(problems(&bad).contains(&path.to_owned()), "{bad} → {:?}", problems(&bad));
        }
    }
}
