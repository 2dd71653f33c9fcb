//! DestinationRules that are valid, and such that are not.

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
        ("host: a_b", "spec.host"),
        ("{host: a, trafficPolicy: {}}", "spec.trafficPolicy"),
        ("{host: a, subsets: [{name: v1}, {name: v1}]}", "spec.subsets[1].name"),
        ("{host: a, subsets: [{name: v_1}]}", "spec.subsets[0].name"),
        ("{host: a, subsets: [{name: v1, labels: {version: 'a b'}}]}", "spec.subsets[0].labels.version"),
        ("{host: a, exportTo: ['*', b]}", "spec.exportTo"),
        ("{host: a, exportTo: ['~']}", "spec.exportTo[0]"),
        ("{host: a, exportTo: [., 'n']}", "spec.exportTo[1]"),
        ("{host: a, exportTo: ['*'], workloadSelector: {matchLabels: {a: b}}}", "spec.exportTo"),
        ("{host: a, workloadSelector: {matchLabels: {a: '*'}}}", "spec.workloadSelector.matchLabels.a"),
    ] {
        assert!(problems(spec).contains(&path.to_owned()), "{spec} → {:?}", problems(spec));
    }
    for good in [
        "{host: '*.a.com'}",
        "{host: '*'}",
        "{host: '*-a.b.com'}",
        "{host: a, exportTo: [., b], subsets: [{name: v1, labels: {version: v1}}]}",
        "{host: a, exportTo: ['n'], workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: SIMPLE}}}",
    ] {
        assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
    }
}

#[test]
fn every_rule_of_a_traffic_policy_names_its_field() {
    for (policy, path) in [
        ("tls: {mode: MUTUAL}", "tls"),
        ("tls: {mode: ISTIO_MUTUAL, privateKey: k}", "tls.privateKey"),
        ("tls: {mode: SIMPLE, credentialName: a, caCertificates: b}", "tls.caCertificates"),
        ("tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]}", "tls.subjectAltNames"),
        (
            "loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {tableSize: 100}}}",
            "loadBalancer.consistentHash.maglev.tableSize",
        ),
        (
            "loadBalancer: {consistentHash: {httpCookie: {name: ''}}}",
            "loadBalancer.consistentHash.httpCookie.name",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {b: 99}}]}}",
            "loadBalancer.localityLbSetting.distribute[0].to",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: '*/a', to: {b: 100}}]}}",
            "loadBalancer.localityLbSetting.distribute[0].from",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {b: 100}}, {from: a/b, to: {b: 100}}]}}",
            "loadBalancer.localityLbSetting.distribute[1].from",
        ),
        (
            "loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}",
            "loadBalancer.localityLbSetting.failover[0]",
        ),
        (
            "loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}",
            "loadBalancer.localityLbSetting",
        ),
        ("outlierDetection: {interval: 0.5ms}", "outlierDetection.interval"),
        ("outlierDetection: {maxEjectionPercent: 105}", "outlierDetection.maxEjectionPercent"),
        ("outlierDetection: {consecutiveErrors: 5}", "outlierDetection.consecutiveErrors"),
        (
            "outlierDetection: {consecutiveLocalOriginFailures: 5}",
            "outlierDetection.consecutiveLocalOriginFailures",
        ),
        ("connectionPool: {}", "connectionPool"),
        ("connectionPool: {http: {maxRetries: -1}}", "connectionPool.http.maxRetries"),
        (
            "connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}",
            "connectionPool.http.useClientProtocol",
        ),
        ("portLevelSettings: [{tls: {mode: SIMPLE}}]", "portLevelSettings[0]"),
        ("portLevelSettings: [{port: {number: 80}}]", "portLevelSettings[0]"),
        ("tls: {mode: SIMPLE, insecureSkipVerify: true, credentialName: a}", "tls.credentialName"),
        (
            "loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {}}}",
            "loadBalancer.consistentHash.maglev.tableSize",
        ),
        (
            "loadBalancer: {consistentHash: {httpHeaderName: x, minimumRingSize: 1, ringHash: {}}}",
            "loadBalancer.consistentHash.minimumRingSize",
        ),
        ("loadBalancer: {warmup: {duration: 1s, aggression: 0.5}}", "loadBalancer.warmup.aggression"),
        ("loadBalancer: {warmup: {duration: 1s, minimumPercent: 101}}", "loadBalancer.warmup.minimumPercent"),
        ("connectionPool: {tcp: {idleTimeout: 0.5ms}}", "connectionPool.tcp.idleTimeout"),
        ("connectionPool: {tcp: {tcpKeepalive: {time: 0s}}}", "connectionPool.tcp.tcpKeepalive.time"),
        ("tunnel: {targetHost: a.com, targetPort: 1}, proxyProtocol: {version: V1}", "tunnel"),
        ("tunnel: {targetHost: a.com, targetPort: 0}", "tunnel.targetPort"),
        ("tunnel: {protocol: GET, targetHost: a.com, targetPort: 1}", "tunnel.protocol"),
    ] {
        let found = problems(&format!("{{host: a, trafficPolicy: {{{policy}}}}}"));
        assert!(found.contains(&format!("spec.trafficPolicy.{path}")), "{policy} → {found:?}");
    }
    for good in [
        "tls: {mode: ISTIO_MUTUAL}, loadBalancer: {simple: RANDOM}",
        "tls: {mode: MUTUAL, credentialName: a}",
        "tls: {mode: MUTUAL, credentialName: a, insecureSkipVerify: true}",
        "portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]",
        "loadBalancer: {localityLbSetting: {distribute: [{from: a/b/*, to: {a/b: 80, a/c: 20}}, {from: a/c/*, to: {a/c: 100}}]}}",
        "outlierDetection: {consecutive5xxErrors: 1}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}], failoverPriority: [x]}}",
        "loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 0s}}}",
        "loadBalancer: {consistentHash: {httpCookie: {name: a}}}",
        "loadBalancer: {warmup: {duration: 1s, aggression: 1, minimumPercent: 100}}",
        "connectionPool: {tcp: {maxConnections: 1, connectTimeout: 30ms, idleTimeout: 0s}, http: {http1MaxPendingRequests: 0}}",
    ] {
        let found = problems(&format!("{{host: a, trafficPolicy: {{{good}}}}}"));
        assert!(found.is_empty(), "{good} → {found:?}");
    }
}
