//! What holds for objects of every kind.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn texts(object: &Value) -> Vec<String> {
    problems_of(object).iter().map(ToString::to_string).collect()
}

#[test]
fn one_mistake_is_told_once() {
    let object = |spec: Value| json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a"}, "spec": spec});
    assert_eq!(texts(&object(json!({"hosts": ["*"]}))), ["spec.hosts[0]: hostname cannot be wildcard"]);
    assert_eq!(
        texts(&object(json!({"hosts": ["a.com"], "resolution": "STATC"}))),
        [
            "spec.resolution: \"STATC\" is not one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS; did you mean \"STATIC\"?"
        ]
    );
    assert!(texts(&object(json!({"hosts": ["a.com"], "resolution": "DNS"}))).is_empty());
    let service = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"},
        "spec": {"hosts": ["a"], "http": [{"route": [{"destinaton": {"host": "a"}}]}]}});
    assert_eq!(
        texts(&service),
        [
            "spec.http[0].route[0].destinaton: unknown field \"destinaton\"; did you mean \"destination\"?",
            "spec.http[0].route[0].destination: destination is required"
        ]
    );
    let unknown = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": 1});
    assert!(texts(&unknown).is_empty());
}

#[test]
fn what_definition_and_rules_both_refuse_is_told_of_the_field() {
    for (api_version, kind, spec, path) in [
        (
            "networking.istio.io/v1",
            "WorkloadEntry",
            json!({"address": "unix:///a", "ports": {"a": 1}}),
            "spec.ports",
        ),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            json!({"hosts": ["a.b"], "resolution": "DNS", "addresses": ["10.0.0.0/8"]}),
            "spec.addresses[0]",
        ),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            json!({"hosts": ["a.b"], "ports": [{"number": 80, "name": "a", "protocol": "HTTP"}, {"number": 80, "name": "b", "protocol": "HTTP"}]}),
            "spec.ports[1].number",
        ),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            json!({"hosts": ["a.b"], "endpoints": [{"address": "1.1.1.1"}]}),
            "spec.endpoints",
        ),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            json!({"portLevelMtls": {"80": {"mode": "STRICT"}}}),
            "spec.portLevelMtls",
        ),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            json!({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"0": {"mode": "STRICT"}}}),
            "spec.portLevelMtls.0",
        ),
        (
            "telemetry.istio.io/v1",
            "Telemetry",
            json!({"metrics": [{"overrides": [{"tagOverrides": {"a": {"operation": "UPSERT"}}}]}]}),
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
        ),
        (
            "extensions.istio.io/v1alpha1",
            "WasmPlugin",
            json!({"url": "a", "vmConfig": {"env": [{"name": "A", "valueFrom": "HOST", "value": "b"}]}}),
            "spec.vmConfig.env[0].value",
        ),
    ] {
        let object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        let paths: Vec<String> = problems_of(&object).iter().map(|it| it.path.to_string()).collect();
        assert_eq!(paths, [path], "{object}");
    }
}

#[test]
fn what_cannot_be_reached_is_a_warning() {
    let route = json!({"route": [{"destination": {"host": "a"}}]});
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"},
        "spec": {"hosts": ["a"], "http": [route, route]}});
    let problems = problems_of(&object);
    assert_eq!(problems.len(), 1);
    assert_eq!(
        (problems[0].severity, problems[0].path.to_string()),
        (Severity::Warning, "spec.http[1]".to_owned())
    );
}

/// Words of Istio's definitions, so that random objects reach deep into them.
const WORDS: &[&str] = &[
    "hosts",
    "http",
    "match",
    "route",
    "destination",
    "host",
    "uri",
    "prefix",
    "regex",
    "timeout",
    "retries",
    "tls",
    "mode",
    "servers",
    "port",
    "number",
    "name",
    "protocol",
    "ports",
    "endpoints",
    "address",
    "selector",
    "matchLabels",
    "rules",
    "from",
    "source",
    "to",
    "operation",
    "when",
    "key",
    "values",
    "trafficPolicy",
    "loadBalancer",
    "consistentHash",
    "maglev",
    "tableSize",
    "configPatches",
    "applyTo",
    "patch",
    "value",
    "egress",
    "ingress",
    "jwtRules",
    "tracing",
    "metrics",
    "accessLogging",
    "filter",
    "expression",
    "url",
    "template",
    "probe",
    "portLevelMtls",
    "80",
    "*",
    "a.com",
    "5s",
    "STRICT",
    "(",
    "unix:///",
    "spec",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,6}"]
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(word(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Objects that follow the schema most of the time, so that rules are reached behind it.
fn shaped(schema: &Value, seed: &mut u64) -> Value {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let pick = |count: usize| (*seed >> 33) as usize % count.max(1);
    if pick(40) == 0 {
        return json!(WORDS[pick(WORDS.len())]);
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => {
            let mut fields = serde_json::Map::new();
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if (*seed >> 40).is_multiple_of(3) {
                    fields.insert(name.clone(), shaped(field, seed));
                }
            }
            Value::Object(fields)
        }
        Some("object") => json!({WORDS[pick(WORDS.len())]: shaped(&schema["additionalProperties"], seed)}),
        Some("array") => (0..pick(3)).map(|_| shaped(&schema["items"], seed)).collect(),
        Some("string") => match schema["enum"].as_array() {
            Some(words) => words[pick(words.len())].clone(),
            None => json!(WORDS[pick(WORDS.len())]),
        },
        Some("integer") => json!([0, 1, 80, -1, 70000, i64::MAX][pick(6)]),
        Some("number") => json!([0.0, 1.5, -1.0, 1e300][pick(4)]),
        Some("boolean") => json!(pick(2) == 0),
        _ => json!({"a": [1, null]}),
    }
}

/// `apiVersion` and kind of every kind.
static NAMES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named = |crd: &Value| {
        let version = text(&crd["spec"]["versions"][0]["name"]);
        (format!("{}/{version}", text(&crd["spec"]["group"])), text(&crd["spec"]["names"]["kind"]))
    };
    sagene_api::istio::crd::all().iter().map(named).collect()
});

proptest! {
    #[test]
    fn nothing_panics(kind in 0_usize..15, spec in anything()) {
        let (api_version, kind) = &NAMES[kind];
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        let _ = problems_of(&object);
        let _ = problems_of(&spec);
    }
}

#[test]
fn nothing_of_the_right_shape_panics() {
    let mut seed = 7;
    for (crd, (api_version, kind)) in sagene_api::istio::crd::all().iter().zip(NAMES.iter()) {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for _ in 0..100 {
            let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": shaped(schema, &mut seed)});
            let _ = problems_of(&object);
        }
    }
}
