//! Rules of DestinationRule.

mod load_balancer;

use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::traffic_policy::connection_pool::H2UpgradePolicy;
use sagene_api::istio::networking::traffic_policy::{
    ClientTlsMode, ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, TrafficPolicy, TunnelSettings,
};
use sagene_api::{Duration, Object};

use super::common::{duration, export_to, labels, percent, port, workload_selector};
use super::host::{host, host_problem, is_label};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

pub(super) use load_balancer::locality_rules;

impl Validate for DestinationRule {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        host(&mut report, &path.key("host"), &spec.host, true);
        policy(&mut report, &path.key("trafficPolicy"), spec.traffic_policy.as_ref());
        for (index, subset) in spec.subsets.iter().enumerate() {
            let path = path.key("subsets").index(index);
            report.require(
                is_label(&subset.name),
                &path.key("name"),
                "subset name is invalid: want letters, digits and '-'",
            );
            let repeated = spec.subsets[..index].iter().any(|other| other.name == subset.name);
            report.require(
                !repeated,
                &path.key("name"),
                format_args!("duplicate subset name {:?}", subset.name),
            );
            labels(&mut report, &path.key("labels"), &subset.labels);
            policy(&mut report, &path.key("trafficPolicy"), subset.traffic_policy.as_ref());
        }
        workload_selector(&mut report, &path.key("workloadSelector"), spec.workload_selector.as_ref());
        export_to(&mut report, &spec.export_to, &object.metadata.namespace, false);
        if spec.workload_selector.is_some() {
            let own = |entry: &String| entry == "." || *entry == object.metadata.namespace;
            report.require(
                spec.export_to.iter().all(own),
                &path.key("exportTo"),
                "a destination rule with a workload selector counts in its own namespace alone; leave exportTo out or set [\".\"]",
            );
        }
        report.finish()
    }
}

fn policy(report: &mut Report, path: &FieldPath, policy: Option<&TrafficPolicy>) {
    let Some(policy) = policy else { return };
    report.require(*policy != TrafficPolicy::default(), path, "traffic policy must have at least one field");
    Blocks {
        balancer: policy.load_balancer.as_ref(),
        pool: policy.connection_pool.as_ref(),
        outlier: policy.outlier_detection.as_ref(),
        tls: policy.tls.as_ref(),
    }
    .check(report, path);
    for (index, settings) in policy.port_level_settings.iter().enumerate() {
        let path = path.key("portLevelSettings").index(index);
        match &settings.port {
            Some(selector) => port(report, &path.key("port").key("number"), selector.number),
            None => report.error(&path, "portLevelSettings must name a port"),
        }
        let PortTrafficPolicy { load_balancer, connection_pool, outlier_detection, tls, .. } = settings;
        let only_port = PortTrafficPolicy { port: settings.port.clone(), ..PortTrafficPolicy::default() };
        report.require(
            *settings != only_port,
            &path,
            "port traffic policy must have at least one field besides port",
        );
        Blocks {
            balancer: load_balancer.as_ref(),
            pool: connection_pool.as_ref(),
            outlier: outlier_detection.as_ref(),
            tls: tls.as_ref(),
        }
        .check(report, &path);
    }
    report.require(
        policy.tunnel.is_none() || policy.proxy_protocol.is_none(),
        &path.key("tunnel"),
        "tunnel and proxyProtocol must not be set together",
    );
    if let Some(settings) = &policy.tunnel {
        tunnel(report, &path.key("tunnel"), settings);
    }
}

/// What policies of a destination and of a port have in common.
struct Blocks<'a> {
    balancer: Option<&'a LoadBalancerSettings>,
    pool: Option<&'a ConnectionPoolSettings>,
    outlier: Option<&'a OutlierDetection>,
    tls: Option<&'a ClientTlsSettings>,
}

impl Blocks<'_> {
    fn check(&self, report: &mut Report, path: &FieldPath) {
        if let Some(balancer) = self.balancer {
            load_balancer::rules(report, &path.key("loadBalancer"), balancer, self.outlier.is_some());
        }
        if let Some(pool) = self.pool {
            connection_pool(report, &path.key("connectionPool"), pool);
        }
        if let Some(outlier) = self.outlier {
            outlier_detection(report, &path.key("outlierDetection"), outlier);
        }
        if let Some(tls) = self.tls {
            client_tls(report, &path.key("tls"), tls);
        }
    }
}

fn tunnel(report: &mut Report, path: &FieldPath, settings: &TunnelSettings) {
    report.require(
        matches!(settings.protocol.as_str(), "" | "CONNECT" | "POST"),
        &path.key("protocol"),
        "tunnel protocol must be \"CONNECT\" or \"POST\"",
    );
    let name = &settings.target_host;
    let fits = host_problem(name, false).is_none() || name.parse::<std::net::IpAddr>().is_ok();
    report.require(
        fits,
        &path.key("targetHost"),
        "tunnel target host must be a fully qualified host name or an IP address",
    );
    port(report, &path.key("targetPort"), settings.target_port);
}

pub(super) fn connection_pool(report: &mut Report, path: &FieldPath, pool: &ConnectionPoolSettings) {
    report.require(
        pool.tcp.is_some() || pool.http.is_some(),
        path,
        "connection pool must have at least one field",
    );
    if let Some(tcp) = &pool.tcp {
        let path = path.key("tcp");
        report.require(
            tcp.max_connections >= 0,
            &path.key("maxConnections"),
            "max connections must be non-negative",
        );
        duration(report, &path.key("connectTimeout"), tcp.connect_timeout);
        duration(report, &path.key("maxConnectionDuration"), tcp.max_connection_duration);
        // None at all turns the timeout off.
        duration(
            report,
            &path.key("idleTimeout"),
            tcp.idle_timeout.filter(|timeout| *timeout != Duration::default()),
        );
        if let Some(probes) = &tcp.tcp_keepalive {
            let path = path.key("tcpKeepalive");
            duration(report, &path.key("time"), probes.time);
            duration(report, &path.key("interval"), probes.interval);
        }
    }
    if let Some(http) = &pool.http {
        let path = path.key("http");
        let counts = [
            ("http1MaxPendingRequests", http.http1_max_pending_requests),
            ("http2MaxRequests", http.http2_max_requests),
            ("maxRequestsPerConnection", http.max_requests_per_connection),
            ("maxRetries", http.max_retries),
            ("maxConcurrentStreams", http.max_concurrent_streams),
        ];
        for (field, count) in counts {
            report.require(count >= 0, &path.key(field), format_args!("{field} must be non-negative"));
        }
        duration(report, &path.key("idleTimeout"), http.idle_timeout);
        report.require(
            !(http.use_client_protocol && http.h2_upgrade_policy == H2UpgradePolicy::Upgrade),
            &path.key("useClientProtocol"),
            "use client protocol must not be true when h2UpgradePolicy is UPGRADE",
        );
    }
}

pub(super) fn outlier_detection(report: &mut Report, path: &FieldPath, outlier: &OutlierDetection) {
    duration(report, &path.key("interval"), outlier.interval);
    duration(report, &path.key("baseEjectionTime"), outlier.base_ejection_time);
    percent(report, &path.key("maxEjectionPercent"), outlier.max_ejection_percent.into());
    percent(report, &path.key("minHealthPercent"), outlier.min_health_percent.into());
    if outlier.consecutive_errors != 0 {
        report.warning(
            &path.key("consecutiveErrors"),
            "outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or consecutive5xxErrors instead",
        );
    }
    report.require(
        outlier.split_external_local_origin_errors || outlier.consecutive_local_origin_failures.unwrap_or(0) == 0,
        &path.key("consecutiveLocalOriginFailures"),
        "outlier detection consecutive local origin failures is specified, but split external local origin errors is set to false",
    );
}

fn client_tls(report: &mut Report, path: &FieldPath, tls: &ClientTlsSettings) {
    let files = [
        ("clientCertificate", &tls.client_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("caCrl", &tls.ca_crl),
    ];
    let none_of = |report: &mut Report, words: &str| {
        for (field, _) in files.iter().filter(|(_, value)| !value.is_empty()) {
            report.error(&path.key(field), words);
        }
    };
    let by_credential = !tls.credential_name.is_empty();
    match tls.mode {
        ClientTlsMode::IstioMutual => {
            let words = "must not be set in ISTIO_MUTUAL mode: the mesh brings its own certificates";
            none_of(report, words);
            report.require(!by_credential, &path.key("credentialName"), words);
        }
        ClientTlsMode::Mutual | ClientTlsMode::Simple if by_credential => {
            none_of(report, "cannot be set together with credentialName; remove one of them");
        }
        ClientTlsMode::Mutual => {
            for (field, value) in &files[..2] {
                report.require(
                    !value.is_empty(),
                    path,
                    format_args!("{field} must be specified when mode is MUTUAL without credentialName"),
                );
            }
        }
        ClientTlsMode::Simple | ClientTlsMode::Disable => {}
    }
    if tls.insecure_skip_verify == Some(true) {
        for (field, set) in [
            ("caCertificates", !tls.ca_certificates.is_empty()),
            ("caCrl", !tls.ca_crl.is_empty()),
            ("subjectAltNames", !tls.subject_alt_names.is_empty()),
            // In SIMPLE mode the credential is the CA bundle.
            ("credentialName", by_credential && tls.mode == ClientTlsMode::Simple),
        ] {
            report.require(
                !set,
                &path.key(field),
                format_args!("cannot specify {field} when insecureSkipVerify is set true"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
