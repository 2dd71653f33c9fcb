//! Objects that break the shape of their kind, and what is said of them.

use super::*;

fn found(kind: &str, group: &str, spec: &str) -> Vec<String> {
    let spec: Value = serde_yaml::from_str(spec).expect("YAML");
    let version = if kind == "EnvoyFilter" { "v1alpha3" } else { "v1" };
    let object = serde_json::json!({"apiVersion": format!("{group}.istio.io/{version}"), "kind": kind, "metadata": {"name": "a"}, "spec": spec});
    problems(&object).iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn every_rule_of_the_definition_counts() {
    for (kind, group, spec, wanted) in [
        (
            "VirtualService",
            "networking",
            "{hots: [a]}",
            "spec.hots: unknown field \"hots\"; did you mean \"hosts\"?",
        ),
        (
            "VirtualService",
            "networking",
            "{hosts: a}",
            "spec.hosts: must be a list, not a string; begin each element with \"- \"",
        ),
        (
            "VirtualService",
            "networking",
            "{http: [{timeout: 5}]}",
            "spec.http[0].timeout: must be a string, not a number; add a unit, as in 5s",
        ),
        (
            "VirtualService",
            "networking",
            "{http: [{timeout: 0.5ms}]}",
            "spec.http[0].timeout: \"0.5ms\" is too short; a duration must be at least 1ms",
        ),
        (
            "VirtualService",
            "networking",
            "{http: [{match: [{uri: {exact: a, prefix: b}}]}]}",
            "spec.http[0].match[0].uri: only one of exact, prefix, regex may be set, not exact and prefix",
        ),
        (
            "VirtualService",
            "networking",
            "{http: [{directResponse: {status: 200, body: {bytes: 'a*'}}}]}",
            "spec.http[0].directResponse.body.bytes: is not base64, as in aGVsbG8=",
        ),
        (
            "VirtualService",
            "networking",
            "{http: [{route: [{weight: 1}]}]}",
            "spec.http[0].route[0].destination: destination is required",
        ),
        (
            "DestinationRule",
            "networking",
            "{host: a, trafficPolicy: {loadBalancer: {simple: ROUNDROBIN}}}",
            "spec.trafficPolicy.loadBalancer.simple: \"ROUNDROBIN\" is not one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, LEAST_REQUEST; did you mean \"ROUND_ROBIN\"?",
        ),
        ("ServiceEntry", "networking", "{hosts: []}", "spec.hosts: must have at least 1 elements"),
        ("ServiceEntry", "networking", "{hosts: ['*']}", "spec.hosts[0]: hostname cannot be wildcard"),
        (
            "AuthorizationPolicy",
            "security",
            "{selector: {matchLabels: {a: 'b*'}}}",
            "spec.selector.matchLabels.a: wildcard not allowed in label value match",
        ),
        (
            "Telemetry",
            "telemetry",
            "{tracing: [{randomSamplingPercentage: 101}]}",
            "spec.tracing[0].randomSamplingPercentage: 101 is out of range; want a number from 0 to 100",
        ),
    ] {
        let all = found(kind, group, spec);
        assert!(all.contains(&wanted.to_owned()), "{spec}: {all:#?}");
    }
}

#[test]
fn the_envelope_counts_too() {
    let all = |object: Value| -> Vec<String> {
        problems(&object).iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    };
    let of = |api: &str, kind: &str| serde_json::json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "lables": {}}, "spek": {}});
    assert_eq!(
        all(of("networking.istio.io/v1", "Gateway")),
        [
            "spek: unknown field \"spek\"; did you mean \"spec\"?",
            "metadata.lables: unknown field \"lables\"; did you mean \"labels\"?"
        ]
    );
    assert_eq!(
        all(of("networking.istio.io/v1", "Gatway")),
        ["kind: networking.istio.io has no kind \"Gatway\"; did you mean \"Gateway\"?"]
    );
    assert!(
        all(of("networking.istio.io/v9", "Gateway"))[0]
            .starts_with("apiVersion: Gateway is not served as networking.istio.io/v9; use one of v1, ")
    );
    assert!(all(of("apps/v1", "Deployment")).is_empty() && all(Value::Null).is_empty());
}

#[test]
fn a_mistake_is_told_once() {
    let port = "{template: {}, probe: {grpc: {port: -1}}}";
    assert_eq!(
        found("WorkloadGroup", "networking", port),
        ["spec.probe.grpc.port: -1 is out of range; want a number from 0 to 4294967295"]
    );
    let codes = "{host: a, trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [1.5]}}}";
    assert_eq!(found("DestinationRule", "networking", codes).len(), 1);
    let large =
        "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {minimumRingSize: 9223372036854775808}}}}";
    assert_eq!(found("DestinationRule", "networking", large).len(), 1);
    let object = serde_json::json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "TrafficExtension", "metadata": {"name": "a"},
        "spec": {"wasm": {"url": "a"}, "lua": {"inlineCode": "a"}}});
    let told = problems(&object);
    assert_eq!(told.len(), 1, "{told:?}");
    let null =
        "{hosts: [a], http: [{headers: {request: {add: {x: null}}}, route: [{destination: {host: a}}]}]}";
    assert_eq!(
        found("VirtualService", "networking", null),
        ["spec.http[0].headers.request.add.x: must not be null"]
    );
}

#[test]
fn null_is_absent_and_free_form_is_free() {
    assert!(
        found(
            "VirtualService",
            "networking",
            "{hosts: [a], http: [{timeout: null, route: [{destination: {host: a}}]}], tls: null}"
        )
        .is_empty()
    );
    assert!(
        found("EnvoyFilter", "networking", "{configPatches: [{patch: {value: {a: {b: [1, x]}}}}]}")
            .is_empty()
    );
}
