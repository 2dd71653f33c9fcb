//! Rules of DestinationRule.

use sagene_api::Object;
use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::traffic_policy::load_balancer::LocalityLoadBalancerSetting;
use sagene_api::istio::networking::traffic_policy::{
    ClientTlsMode, ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, TrafficPolicy,
};

use super::common::{duration, export_to, host, is_dns_label, port};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

/// Largest Maglev table.
const LARGEST_TABLE: u64 = 5_000_011;

impl Validate for DestinationRule {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        host(&mut report, &path.key("host"), &spec.host, true);
        policy(&mut report, &path.key("trafficPolicy"), spec.traffic_policy.as_ref());
        for (index, subset) in spec.subsets.iter().enumerate() {
            let path = path.key("subsets").index(index);
            report.require(
                is_dns_label(&subset.name.to_ascii_lowercase()),
                &path.key("name"),
                "subset name is invalid: want letters, digits and '-'",
            );
            let repeated = spec.subsets[..index].iter().any(|other| other.name == subset.name);
            report.require(!repeated, &path.key("name"), &format!("duplicate subset name {:?}", subset.name));
            policy(&mut report, &path.key("trafficPolicy"), subset.traffic_policy.as_ref());
        }
        export_to(&mut report, &spec.export_to);
        report.finish()
    }
}

fn policy(report: &mut Report, path: &FieldPath, policy: Option<&TrafficPolicy>) {
    let Some(policy) = policy else { return };
    report.require(*policy != TrafficPolicy::default(), path, "traffic policy must have at least one field");
    blocks(
        report,
        path,
        policy.load_balancer.as_ref(),
        policy.connection_pool.as_ref(),
        policy.outlier_detection.as_ref(),
        policy.tls.as_ref(),
    );
    for (index, settings) in policy.port_level_settings.iter().enumerate() {
        let path = path.key("portLevelSettings").index(index);
        match &settings.port {
            Some(selector) => port(report, &path.key("port").key("number"), selector.number),
            None => report.error(&path, "portLevelSettings must name a port"),
        }
        let PortTrafficPolicy { load_balancer, connection_pool, outlier_detection, tls, .. } = settings;
        blocks(
            report,
            &path,
            load_balancer.as_ref(),
            connection_pool.as_ref(),
            outlier_detection.as_ref(),
            tls.as_ref(),
        );
    }
}

fn blocks(
    report: &mut Report,
    path: &FieldPath,
    balancer: Option<&LoadBalancerSettings>,
    pool: Option<&ConnectionPoolSettings>,
    outlier: Option<&OutlierDetection>,
    tls: Option<&ClientTlsSettings>,
) {
    if let Some(balancer) = balancer {
        load_balancer(report, &path.key("loadBalancer"), balancer);
    }
    if let Some(pool) = pool {
        connection_pool(report, &path.key("connectionPool"), pool);
    }
    if let Some(outlier) = outlier {
        outlier_detection(report, &path.key("outlierDetection"), outlier);
    }
    if let Some(tls) = tls {
        client_tls(report, &path.key("tls"), tls);
    }
}

fn load_balancer(report: &mut Report, path: &FieldPath, settings: &LoadBalancerSettings) {
    if let Some(hash) = &settings.consistent_hash {
        let path = path.key("consistentHash");
        if let Some(cookie) = &hash.http_cookie {
            report.require(
                !cookie.name.is_empty(),
                &path.key("httpCookie").key("name"),
                "name required for HttpCookie",
            );
            report.require(
                cookie.ttl.is_some(),
                &path.key("httpCookie").key("ttl"),
                "ttl required for HttpCookie",
            );
        }
        if let Some(maglev) = &hash.maglev {
            let size = maglev.table_size;
            let good = size == 0 || (size < LARGEST_TABLE && is_prime(size));
            report.require(
                good,
                &path.key("maglev").key("tableSize"),
                &format!("tableSize must be a prime number below {LARGEST_TABLE}"),
            );
        }
    }
    if let Some(locality) = &settings.locality_lb_setting {
        locality_rules(report, &path.key("localityLbSetting"), locality);
    }
}

fn is_prime(number: u64) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

fn locality_rules(report: &mut Report, path: &FieldPath, setting: &LocalityLoadBalancerSetting) {
    let exclusive = !setting.distribute.is_empty()
        && (!setting.failover.is_empty() || !setting.failover_priority.is_empty());
    report.require(!exclusive, path, "can not specify distribute together with failover or failoverPriority");
    for (index, distribute) in setting.distribute.iter().enumerate() {
        let path = path.key("distribute").index(index);
        let total: u32 = distribute.to.values().sum();
        report.require(total == 100, &path.key("to"), &format!("total locality weight {total} != 100"));
        report.require(
            distribute.to.values().all(|weight| *weight > 0),
            &path.key("to"),
            "locality weight must not be 0",
        );
    }
    for (index, failover) in setting.failover.iter().enumerate() {
        report.require(
            failover.from != failover.to,
            &path.key("failover").index(index),
            "locality lb failover from and to must be different regions",
        );
    }
}

fn connection_pool(report: &mut Report, path: &FieldPath, pool: &ConnectionPoolSettings) {
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
            report.require(count >= 0, &path.key(field), "must be non-negative");
        }
        duration(report, &path.key("idleTimeout"), http.idle_timeout);
    }
}

fn outlier_detection(report: &mut Report, path: &FieldPath, outlier: &OutlierDetection) {
    duration(report, &path.key("interval"), outlier.interval);
    duration(report, &path.key("baseEjectionTime"), outlier.base_ejection_time);
    for (field, value) in [
        ("maxEjectionPercent", outlier.max_ejection_percent),
        ("minHealthPercent", outlier.min_health_percent),
    ] {
        report.require(
            (0..=100).contains(&value),
            &path.key(field),
            &format!("percentage {value} is not in range 0..100"),
        );
    }
}

fn client_tls(report: &mut Report, path: &FieldPath, tls: &ClientTlsSettings) {
    let files = [
        ("clientCertificate", &tls.client_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("credentialName", &tls.credential_name),
    ];
    match tls.mode {
        ClientTlsMode::IstioMutual => {
            for (field, value) in files {
                report.require(
                    value.is_empty(),
                    &path.key(field),
                    "must not be set in ISTIO_MUTUAL mode: the mesh brings its own certificates",
                );
            }
        }
        ClientTlsMode::Mutual if tls.credential_name.is_empty() => {
            for (field, value) in &files[..2] {
                report.require(
                    !value.is_empty(),
                    path,
                    &format!("{field} must be specified when mode is MUTUAL without credentialName"),
                );
            }
        }
        ClientTlsMode::Mutual => {
            for (field, value) in &files[..3] {
                report.require(
                    value.is_empty(),
                    &path.key(field),
                    "cannot be set together with credentialName",
                );
            }
        }
        ClientTlsMode::Simple | ClientTlsMode::Disable => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        let spec: DestinationRule = serde_yaml::from_str(spec).expect("a spec");
        DestinationRule::problems(&Object::new("n", "d", spec))
            .iter()
            .map(|problem| problem.path.to_string())
            .collect()
    }

    #[test]
    fn every_rule_names_its_field() {
        for (spec, path) in [
            ("host: ''", "spec.host"),
            ("{host: a, trafficPolicy: {}}", "spec.trafficPolicy"),
            ("{host: a, subsets: [{name: v1}, {name: v1}]}", "spec.subsets[1].name"),
            ("{host: a, trafficPolicy: {tls: {mode: MUTUAL}}}", "spec.trafficPolicy.tls"),
            (
                "{host: a, trafficPolicy: {tls: {mode: ISTIO_MUTUAL, privateKey: k}}}",
                "spec.trafficPolicy.tls.privateKey",
            ),
            (
                "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {tableSize: 100}}}}}",
                "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
            ),
            (
                "{host: a, trafficPolicy: {outlierDetection: {interval: 0.5ms}}}",
                "spec.trafficPolicy.outlierDetection.interval",
            ),
            (
                "{host: a, trafficPolicy: {portLevelSettings: [{tls: {mode: SIMPLE}}]}}",
                "spec.trafficPolicy.portLevelSettings[0]",
            ),
            ("{host: a, exportTo: ['*', b]}", "spec.exportTo"),
        ] {
            assert!(problems(spec).contains(&path.to_owned()), "{spec} → {:?}", problems(spec));
        }
        for good in [
            "{host: '*.a.com'}",
            "{host: a, subsets: [{name: v1, labels: {version: v1}}], trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, loadBalancer: {simple: RANDOM}}}",
        ] {
            assert!(problems(good).is_empty(), "{good}");
        }
    }
}
