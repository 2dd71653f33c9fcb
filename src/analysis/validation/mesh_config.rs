//! Rules of MeshConfig and MeshNetworks.

mod provider;
mod proxy;
mod tracing;

use std::net::IpAddr;

use sagene_api::istio::mesh_config::{ExtensionProvider, MeshConfig, MeshNetworks, TlsConfig};
use sagene_api::kubernetes::LabelSelector;
use sagene_api::object::read_at;
use sagene_api::schema::strict::{PathSegment, field_names, unknown_fields_of};
use sagene_api::{Duration, ParseError};
use serde_json::Value;

use super::common::{duration, is_subnet, labels, port};
use super::destination_rule::{connection_pool, locality_rules, outlier_detection};
use super::gateway::CIPHER_SUITES;
use super::host::{host_problem, is_dns_label, is_label};
use super::nearest::hint;
use super::virtual_service::retries;
use super::{Place, Problem, Report};
use crate::path::FieldPath;

/// Longest time to connect.
const LONGEST_CONNECT: Duration = Duration::from_secs(3600);

/// The broken rules of a MeshConfig in YAML, as key `mesh` of ConfigMap `istio` holds it.
pub fn problems_in_text(yaml: &str) -> Vec<Problem> {
    in_text(yaml, problems)
}

/// The broken rules of MeshNetworks in YAML, as key `meshNetworks` of ConfigMap `istio` holds it.
pub fn network_problems_in_text(yaml: &str) -> Vec<Problem> {
    in_text(yaml, network_problems)
}

fn in_text(yaml: &str, problems: fn(&Value) -> Vec<Problem>) -> Vec<Problem> {
    let whole = |words: String| {
        let mut report = Report::new();
        report.error(&FieldPath::default(), words);
        report.finish()
    };
    match sagene_api::yaml::value(yaml) {
        Ok(Value::Null) => Vec::new(),
        Ok(value) if value.is_object() => problems(&value),
        Ok(_) => whole("must be a mapping of settings, such as accessLogFile: /dev/stdout".to_owned()),
        Err(error) => whole(format!("is not valid YAML: {error}")),
    }
}

/// The broken rules of a MeshConfig as it was written.
pub fn problems(written: &Value) -> Vec<Problem> {
    let mut report = Report::new();
    for field in unknown_fields_of::<MeshConfig>(written) {
        let path = field.0.iter().fold(FieldPath::default(), |path, segment| match segment {
            PathSegment::Key(key) => path.key(key),
            PathSegment::Index(index) => path.index(*index),
        });
        let name = match field.0.last() {
            Some(PathSegment::Key(key)) => key.as_str(),
            _ => "",
        };
        let known = if field.0.len() == 1 { field_names::<MeshConfig>() } else { Vec::new() };
        let near = hint(name, known.iter().copied());
        report.error(&path, format!("unknown field {name:?}{near}"));
    }
    match MeshConfig::from_layers([written.clone()]) {
        Ok(config) => settings(&mut report, &config, written),
        Err(error) => unreadable(&mut report, &error),
    }
    report.finish()
}

fn unreadable(report: &mut Report, error: &ParseError) {
    match error {
        ParseError::Field { path, message } => report.error(&FieldPath::parse(path), message),
        ParseError::Kind { .. } => report.error(&FieldPath::default(), error.to_string()),
    }
}

fn settings(report: &mut Report, config: &MeshConfig, written: &Value) {
    let at = FieldPath::parse;
    port(report, &at("proxyListenPort"), config.proxy_listen_port);
    port(report, &at("proxyInboundListenPort"), config.proxy_inbound_listen_port);
    if config.proxy_http_port != 0 {
        port(report, &at("proxyHttpPort"), config.proxy_http_port);
    }
    duration(report, &at("connectTimeout"), Some(config.connect_timeout));
    report.require(
        config.connect_timeout <= LONGEST_CONNECT,
        &at("connectTimeout"),
        "connect timeout must be in the range 1ms to 1h",
    );
    let detection = config.protocol_detection_timeout;
    report.require(
        detection >= Duration::ZERO && detection.subsec_nanos() % 1_000_000 == 0,
        &at("protocolDetectionTimeout"),
        "protocol detection timeout must be zero or positive, in whole milliseconds",
    );
    for (field, entries) in [
        ("defaultServiceExportTo", &config.default_service_export_to),
        ("defaultVirtualServiceExportTo", &config.default_virtual_service_export_to),
        ("defaultDestinationRuleExportTo", &config.default_destination_rule_export_to),
    ] {
        for (index, entry) in entries.iter().enumerate() {
            let fits = matches!(entry.as_str(), "*" | "." | "~") || is_dns_label(entry);
            report.require(fits, &at(field).index(index), "want a namespace, \".\", \"*\" or \"~\"");
        }
    }
    trust_domain(report, &at("trustDomain"), &config.trust_domain);
    for (index, alias) in config.trust_domain_aliases.iter().enumerate() {
        trust_domain(report, &at("trustDomainAliases").index(index), alias);
    }
    if let Some(setting) = &config.locality_lb_setting {
        locality_rules(report, &at("localityLbSetting"), setting);
    }
    if let Some(policy) = &config.default_traffic_policy {
        let path = at("defaultTrafficPolicy");
        if let Some(pool) = &policy.connection_pool {
            connection_pool(report, &path.key("connectionPool"), pool);
        }
        if let Some(outlier) = &policy.outlier_detection {
            outlier_detection(report, &path.key("outlierDetection"), outlier);
        }
    }
    for (field, retry) in [
        ("defaultHttpRetryPolicy", &config.default_http_retry_policy),
        ("defaultInboundHttpRetryPolicy", &config.default_inbound_http_retry_policy),
    ] {
        if let Some(retry) = retry {
            retries(report, Place::from(&at(field)), retry);
        }
    }
    for (index, certificates) in config.ca_certificates.iter().enumerate() {
        report.require(
            certificates.pem.is_some() != certificates.spiffe_bundle_url.is_some(),
            &at("caCertificates").index(index),
            "set exactly one of pem and spiffeBundleUrl",
        );
    }
    for (index, settings) in config.service_settings.iter().enumerate() {
        for (position, name) in settings.hosts.iter().enumerate() {
            if let Some(problem) = host_problem(name, true) {
                report.error(&at("serviceSettings").index(index).key("hosts").index(position), problem);
            }
        }
    }
    for (index, selector) in config.discovery_selectors.iter().enumerate() {
        label_expressions(report, &at("discoverySelectors").index(index), selector);
    }
    for (field, tls) in [("meshMTLS", &config.mesh_mtls), ("tlsDefaults", &config.tls_defaults)] {
        if let Some(tls) = tls {
            tls_words(report, &at(field), tls);
        }
    }
    let curves = config.mesh_mtls.as_ref().is_some_and(|tls| !tls.ecdh_curves.is_empty());
    report.require(
        !curves,
        &at("meshMTLS.ecdhCurves"),
        "mesh TLS does not support ECDH curves configuration; set them in tlsDefaults",
    );
    // Those that are there by default are among the settings, but not where the reader looks.
    let providers = written.get("extensionProviders").cloned().unwrap_or_default();
    if let Ok(providers) = read_at::<Vec<ExtensionProvider>>(providers, "extensionProviders") {
        provider::rules(report, &providers);
    }
    proxy::rules(report, &at("defaultConfig"), &config.default_config);
    if let Some(tracing) = written.pointer("/defaultConfig/tracing") {
        tracing::rules(report, &at("defaultConfig.tracing"), tracing);
    }
    let root = &config.root_namespace;
    report.require(
        root.is_empty() || is_dns_label(root),
        &at("rootNamespace"),
        format_args!("{root:?} is no name of a namespace"),
    );
}

/// Groups of keys that proxies agree on.
const ECDH_CURVES: &[&str] = &["P-256", "P-384", "P-521", "X25519", "X25519MLKEM768"];

/// Names that proxies do not know are left out, and the others hold.
fn tls_words(report: &mut Report, path: &FieldPath, tls: &TlsConfig) {
    for (field, words, known, what) in [
        ("ecdhCurves", &tls.ecdh_curves, ECDH_CURVES, "ECDH curve"),
        ("cipherSuites", &tls.cipher_suites, CIPHER_SUITES, "cipher suite"),
    ] {
        for (index, word) in words.iter().enumerate() {
            let path = path.key(field).index(index);
            if !known.contains(&word.as_str()) {
                report.warning(
                    &path,
                    format!("detected unrecognized {what} {word:?}{}", hint(word, known.iter().copied())),
                );
            } else if words[..index].contains(word) {
                report.warning(&path, format!("detected duplicate {what} {word:?}"));
            }
        }
    }
}

fn trust_domain(report: &mut Report, path: &FieldPath, text: &str) {
    let fits = text.split('.').all(|label| is_label(label.trim_matches('_'))) && text.len() <= 255;
    report.require(fits, path, format_args!("{text:?} is no trust domain; want a name like cluster.local"));
}

fn label_expressions(report: &mut Report, path: &FieldPath, selector: &LabelSelector) {
    labels(report, &path.key("matchLabels"), &selector.match_labels);
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        let path = path.key("matchExpressions").index(index);
        let listed = !expression.values.is_empty();
        match expression.operator.as_str() {
            "In" | "NotIn" => {
                report.require(listed, &path.key("values"), "values must be set with operator In or NotIn")
            }
            "Exists" | "DoesNotExist" => {
                report.require(
                    !listed,
                    &path.key("values"),
                    "values must not be set with operator Exists or DoesNotExist",
                );
            }
            other => report.error(
                &path.key("operator"),
                format!("{other:?} is no operator; want In, NotIn, Exists or DoesNotExist"),
            ),
        }
    }
}

/// The broken rules of MeshNetworks as they were written.
pub fn network_problems(written: &Value) -> Vec<Problem> {
    let mut report = Report::new();
    match read_at::<MeshNetworks>(written.clone(), "") {
        Ok(networks) => network_rules(&mut report, &networks),
        Err(error) => unreadable(&mut report, &error),
    }
    report.finish()
}

fn network_rules(report: &mut Report, networks: &MeshNetworks) {
    for (name, network) in &networks.networks {
        let path = FieldPath::parse("networks").key(name);
        report.require(!name.is_empty(), &path, "a network needs a name");
        for (index, endpoints) in network.endpoints.iter().enumerate() {
            let path = path.key("endpoints").index(index);
            match (&endpoints.from_cidr, &endpoints.from_registry) {
                (Some(range), None) => {
                    report.require(
                        is_subnet(range),
                        &path.key("fromCidr"),
                        format_args!("{range:?} is no CIDR range"),
                    );
                }
                (None, Some(registry)) => {
                    report.require(
                        !registry.is_empty(),
                        &path.key("fromRegistry"),
                        "registry name cannot be empty",
                    );
                }
                _ => report.error(&path, "set exactly one of fromCidr and fromRegistry"),
            }
        }
        for (index, gateway) in network.gateways.iter().enumerate() {
            let path = path.key("gateways").index(index);
            match (&gateway.registry_service_name, &gateway.address) {
                (Some(name), None) => {
                    if let Some(problem) = host_problem(name, false) {
                        report.error(&path.key("registryServiceName"), problem);
                    }
                }
                (None, Some(address)) => {
                    let fits = address.parse::<IpAddr>().is_ok() || host_problem(address, false).is_none();
                    report.require(
                        fits,
                        &path.key("address"),
                        format_args!("{address:?} is no IP address and no host name"),
                    );
                }
                _ => report.error(&path, "set exactly one of registryServiceName and address"),
            }
            port(report, &path.key("port"), gateway.port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(yaml: &str) -> Vec<String> {
        problems_in_text(yaml).iter().map(|problem| problem.path.to_string()).collect()
    }

    #[test]
    fn every_setting_names_its_field() {
        for (bad, path) in [
            ("proxyListenPort: 70000", "proxyListenPort"),
            ("connectTimeout: 61m", "connectTimeout"),
            ("- a", ""),
            ("meshMTLS: {ecdhCurves: [P-256]}", "meshMTLS.ecdhCurves"),
            ("tlsDefaults: {ecdhCurves: [P-256, P256]}", "tlsDefaults.ecdhCurves[1]"),
            ("meshMTLS: {cipherSuites: [AES128-SHA, AES128-SHA]}", "meshMTLS.cipherSuites[1]"),
            ("trustDomian: a", "trustDomian"),
            ("trustDomain: 'a b'", "trustDomain"),
            ("trustDomainAliases: ['']", "trustDomainAliases[0]"),
            ("defaultServiceExportTo: [A_b]", "defaultServiceExportTo[0]"),
            ("ingressControllerMode: SOMETIMES", "ingressControllerMode"),
            ("defaultHttpRetryPolicy: {attempts: -1}", "defaultHttpRetryPolicy.attempts"),
            ("caCertificates: [{}]", "caCertificates[0]"),
            ("serviceSettings: [{hosts: ['a b']}]", "serviceSettings[0].hosts[0]"),
            (
                "discoverySelectors: [{matchExpressions: [{key: a, operator: In}]}]",
                "discoverySelectors[0].matchExpressions[0].values",
            ),
            (
                "localityLbSetting: {distribute: [{from: a, to: {b: 1}}]}",
                "localityLbSetting.distribute[0].to",
            ),
            ("extensionProviders: [{name: a}]", "extensionProviders[0]"),
            (
                "extensionProviders: [{name: a, zipkin: {service: b.c, port: 1}}, {name: a, zipkin: {service: b.c, port: 1}}]",
                "extensionProviders[1].name",
            ),
            (
                "extensionProviders: [{name: a, zipkin: {service: 'a b', port: 1}}]",
                "extensionProviders[0].zipkin.service",
            ),
            (
                "extensionProviders: [{name: a, zipkin: {service: n/a.com, port: 0}}]",
                "extensionProviders[0].zipkin.port",
            ),
            (
                "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: a.com, port: 1, pathPrefix: a}}]",
                "extensionProviders[0].envoyExtAuthzHttp.pathPrefix",
            ),
            (
                "extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: a.com, port: 1, statusOnError: '42'}}]",
                "extensionProviders[0].envoyExtAuthzGrpc.statusOnError",
            ),
            ("defaultConfig: {discoveryAddress: istiod}", "defaultConfig.discoveryAddress"),
            ("defaultConfig: {drainDuration: 1.5s}", "defaultConfig.drainDuration"),
            ("defaultConfig: {proxyAdminPort: 0}", "defaultConfig.proxyAdminPort"),
            ("defaultConfig: {statusPort: 0}", "defaultConfig.statusPort"),
            (
                "defaultConfig: {envoyAccessLogService: {address: als}}",
                "defaultConfig.envoyAccessLogService.address",
            ),
            (
                "defaultConfig: {envoyMetricsService: {address: 'a:x'}}",
                "defaultConfig.envoyMetricsService.address",
            ),
            ("defaultConfig: {privateKeyProvider: {}}", "defaultConfig.privateKeyProvider"),
            (
                "defaultConfig: {privateKeyProvider: {qat: {}}}",
                "defaultConfig.privateKeyProvider.qat.pollDelay",
            ),
            (
                "defaultConfig: {privateKeyProvider: {cryptomb: {pollDelay: 0s}}}",
                "defaultConfig.privateKeyProvider.cryptomb.pollDelay",
            ),
            ("defaultConfig: {tracing: {sampling: 101}}", "defaultConfig.tracing.sampling"),
            (
                "defaultConfig: {tracing: {lightstep: {address: 'a:1'}}}",
                "defaultConfig.tracing.lightstep.accessToken",
            ),
            ("defaultConfig: {tracing: {zipkin: {}}}", "defaultConfig.tracing.zipkin.address"),
            ("defaultConfig: {tracing: {datadog: {address: here}}}", "defaultConfig.tracing.datadog.address"),
            (
                "defaultConfig: {tracing: {zipkin: {address: 'a:1'}, datadog: {address: 'b:2'}}}",
                "defaultConfig.tracing",
            ),
            ("rootNamespace: A_b", "rootNamespace"),
            ("discoverySelectors: [{matchLabels: {a b: c}}]", "discoverySelectors[0].matchLabels.a b"),
        ] {
            assert!(mesh(bad).contains(&path.to_owned()), "{bad} → {:?}", mesh(bad));
        }
        for good in [
            "",
            "tlsDefaults: {ecdhCurves: [X25519, P-256], cipherSuites: [AES128-SHA]}",
            "accessLogFile: /dev/stdout\ndefaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012', proxyMetadata: {A: b}}\ntrustDomain: cluster.local",
            "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: ext-authz.foo.svc.cluster.local, port: 8000, includeRequestHeadersInCheck: [x-a]}}, {name: otel, opentelemetry: {service: a.b, port: 4317}}]",
            "defaultConfig: {tracing: {datadog: {address: '$(HOST_IP):8126'}, sampling: 10}}",
            "defaultConfig: {tracing: {}}",
            "defaultConfig: {tracing: {lightstep: {address: 'a:1', accessToken: b}}}",
            "defaultConfig: {privateKeyProvider: {cryptomb: {pollDelay: 10ms, fallback: true}}}",
            "defaultConfig: {envoyAccessLogService: {address: 'als.shop:9000'}}",
            "connectTimeout: 40s",
            "discoverySelectors: [{matchLabels: {a: b}}, {matchExpressions: [{key: a, operator: Exists}]}]",
        ] {
            assert!(mesh(good).is_empty(), "{good} → {:?}", problems_in_text(good));
        }
    }

    #[test]
    fn networks() {
        let found = |yaml: &str| -> Vec<String> {
            network_problems_in_text(yaml).iter().map(|problem| problem.path.to_string()).collect()
        };
        assert_eq!(
            found("networks: {a: {endpoints: [{fromCidr: 10.0.0.0/99}]}}"),
            ["networks.a.endpoints[0].fromCidr"]
        );
        assert_eq!(found("networks: {a: {endpoints: [{}]}}"), ["networks.a.endpoints[0]"]);
        assert_eq!(
            found("networks: {a: {gateways: [{address: 'a b', port: 0}]}}"),
            ["networks.a.gateways[0].address", "networks.a.gateways[0].port"]
        );
        assert!(found("networks: {a: {endpoints: [{fromRegistry: r}], gateways: [{registryServiceName: gw.istio-system.svc.cluster.local, port: 15443}]}}").is_empty());
    }
}
