//! Behavior of injection as a user sees it on the pod.

use serde_json::{Value, json};

use super::*;

fn config() -> InjectConfig {
    InjectConfig {
        values: json!({"global": {"hub": "example.org/mesh", "tag": "1.0", "proxy": {"image": "sagene"}}}),
        mesh: json!({"trustDomain": "cluster.local", "defaultConfig": {"discoveryAddress": "istiod.istio-system.svc:15012"}}),
        ..InjectConfig::default()
    }
}

fn pod() -> Value {
    json!({
        "metadata": {
            "generateName": "reviews-v1-abc-", "labels": {"app": "reviews", "version": "v1", "pod-template-hash": "abc"},
            "annotations": {"prometheus.io/port": "9999"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "reviews-v1-abc", "controller": true}],
        },
        "spec": {
            "initContainers": [{"name": "migrate"}],
            "containers": [{"name": "reviews", "image": "x", "ports": [{"containerPort": 9080, "name": "http"}],
                "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 2},
                "readinessProbe": {"exec": {"command": ["true"]}}}],
        },
    })
}

fn injected(pod: &Value, config: &InjectConfig) -> Value {
    let request = PodRequest { pod, namespace: "default", parameters: &WebhookParameters::default() };
    injected_pod(&request, config).expect("pod is injectable")
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let entries = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
    entries.map(|entry| entry["name"].as_str().unwrap_or_default().to_owned()).collect()
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    container["env"].as_array()?.iter().find(|entry| entry["name"] == name)?["value"].as_str()
}

#[test]
fn a_native_sidecar_starts_before_the_users_init_containers() {
    let pod = injected(&pod(), &config());
    assert_eq!(names(&pod, "/spec/initContainers"), ["istio-init", "istio-proxy", "migrate"]);
    assert_eq!(names(&pod, "/spec/containers"), ["reviews"]);
    let proxy = &pod["spec"]["initContainers"][1];
    assert_eq!(proxy["restartPolicy"], "Always");
    assert_eq!(proxy["image"], "example.org/mesh/sagene:1.0");
    assert_eq!(variable(proxy, "ISTIO_META_WORKLOAD_NAME"), Some("reviews-v1"));
    assert_eq!(
        variable(proxy, "ISTIO_META_OWNER"),
        Some("kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1")
    );
}

#[test]
fn a_classic_sidecar_is_last_or_first_when_the_application_waits() {
    let mut config = config();
    config.native_sidecars = false;
    assert_eq!(names(&injected(&pod(), &config), "/spec/containers"), ["reviews", "istio-proxy"]);
    let mut waiting = pod();
    waiting["metadata"]["annotations"]["proxy.istio.io/config"] =
        json!("holdApplicationUntilProxyStarts: true");
    let waiting = injected(&waiting, &config);
    assert_eq!(names(&waiting, "/spec/containers"), ["istio-proxy", "reviews"]);
    assert_eq!(names(&waiting, "/spec/initContainers"), ["migrate", "istio-init"]);
    assert_eq!(waiting["spec"]["containers"][0]["lifecycle"]["postStart"]["exec"]["command"][2], "wait");
}

#[test]
fn http_probes_move_to_the_agent_and_the_originals_are_kept() {
    let pod = injected(&pod(), &config());
    let app = &pod["spec"]["containers"][0];
    assert_eq!(app["livenessProbe"]["httpGet"], json!({"path": "/app-health/reviews/livez", "port": 15020}));
    assert!(app["readinessProbe"].get("exec").is_some());
    let text = variable(&pod["spec"]["initContainers"][1], "ISTIO_KUBE_APP_PROBERS").expect("originals");
    let probers: Value = serde_json::from_str(text).expect("JSON");
    let expected = json!({"httpGet": {"path": "/health", "port": 9080}, "timeoutSeconds": 2});
    assert_eq!(probers["/app-health/reviews/livez"], expected);
}

#[test]
fn metrics_are_merged_and_the_application_keeps_its_port() {
    let pod = injected(&pod(), &config());
    assert_eq!(pod["metadata"]["annotations"]["prometheus.io/port"], "15020");
    let text =
        variable(&pod["spec"]["initContainers"][1], "ISTIO_PROMETHEUS_ANNOTATIONS").expect("originals");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), json!({"port": "9999"}));
}

#[test]
fn injecting_twice_changes_nothing() {
    for native in [true, false] {
        let config = InjectConfig { native_sidecars: native, ..config() };
        let mut customized = pod();
        customized["spec"]["containers"]
            .as_array_mut()
            .expect("list")
            .push(json!({"name": "istio-proxy", "image": "auto", "resources": {"limits": {"cpu": "9"}}}));
        let once = injected(&customized, &config);
        assert_eq!(diff(&once, &injected(&once, &config)), []);
    }
}

#[test]
fn the_users_proxy_container_wins_over_the_template() {
    let mut pod = pod();
    pod["spec"]["containers"].as_array_mut().expect("list").push(json!({
        "name": "istio-proxy", "image": "auto", "resources": {"limits": {"cpu": "9"}},
        "env": [{"name": "ISTIO_META_CLUSTER_ID", "value": "mine"}]}));
    let pod = injected(&pod, &config());
    let proxy = &pod["spec"]["initContainers"][1];
    assert_eq!(proxy["resources"]["limits"]["cpu"], "9");
    assert_eq!(proxy["image"], "example.org/mesh/sagene:1.0");
    assert_eq!(variable(proxy, "ISTIO_META_CLUSTER_ID"), Some("mine"));
    assert!(pod["metadata"]["annotations"]["proxy.istio.io/overrides"].as_str().is_some());
}

#[test]
fn the_label_beats_the_annotation_and_both_beat_the_policy() {
    let decide = |pod: &Value, config: &InjectConfig| {
        let request = PodRequest { pod, namespace: "default", parameters: &WebhookParameters::default() };
        inject(&request, config).expect("decidable")
    };
    let mut pod = pod();
    pod["metadata"]["annotations"]["sidecar.istio.io/inject"] = json!("true");
    pod["metadata"]["labels"]["sidecar.istio.io/inject"] = json!("false");
    assert_eq!(decide(&pod, &config()), Decision::Skip(SkipReason::PodOptedOut));
    pod["metadata"]["labels"]["sidecar.istio.io/inject"] = json!("perhaps");
    let disabled = InjectConfig { policy: Policy::Disabled, ..config() };
    assert_eq!(decide(&pod, &disabled), Decision::Skip(SkipReason::PolicyDisabled));
    pod["spec"]["hostNetwork"] = json!(true);
    assert_eq!(decide(&pod, &config()), Decision::Skip(SkipReason::HostNetwork));
}

#[test]
fn excluded_ports_always_hold_the_proxys_own() {
    let mut pod = pod();
    pod["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeInboundPorts"] = json!("15020, 8081");
    pod["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeOutboundPorts"] = json!("3306");
    let pod = injected(&pod, &config());
    let arguments: Vec<&str> = pod["spec"]["initContainers"][0]["args"]
        .as_array()
        .expect("list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let after =
        |flag: &str| arguments[arguments.iter().position(|argument| *argument == flag).expect("flag") + 1];
    assert_eq!(after("-d"), "15090,15021,15020,8081");
    assert_eq!(after("-o"), "3306");
}

#[test]
fn a_gateway_pod_becomes_a_router() {
    let pod = json!({
        "metadata": {"name": "gw", "annotations": {"inject.istio.io/templates": "gateway"}, "labels": {"istio": "ingress"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
    });
    let pod = injected(&pod, &config());
    assert_eq!(names(&pod, "/spec/containers"), ["istio-proxy"]);
    assert_eq!(pod["spec"]["containers"][0]["args"][1], "router");
    assert!(pod["spec"].get("initContainers").is_none());
    assert_eq!(pod["spec"]["securityContext"]["sysctls"][0]["value"], "0");
}

#[test]
fn bad_annotations_are_named() {
    let mut pod = pod();
    pod["metadata"]["annotations"]["proxy.istio.io/config"] = json!("a: [");
    let request = PodRequest { pod: &pod, namespace: "default", parameters: &WebhookParameters::default() };
    let error = inject(&request, &config()).expect_err("not YAML");
    assert!(error.to_string().starts_with("annotation proxy.istio.io/config: "), "{error}");
}

#[test]
fn webhook_paths_carry_cluster_and_network() {
    let parsed = WebhookParameters::parse("/inject/cluster/east/net/net--slash--1");
    assert_eq!((parsed.cluster.as_deref(), parsed.network.as_deref()), (Some("east"), Some("net/1")));
    assert_eq!(WebhookParameters::parse("/inject/:ENV=cluster=c:ENV=A=b").environment["A"], "b");
    assert_eq!(WebhookParameters::parse("/inject"), WebhookParameters::default());
}

#[test]
fn an_interception_mode_that_cannot_be_is_refused_when_the_pod_is_made() {
    let mut pod = pod();
    pod["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] = json!("BRIDGE");
    let request = PodRequest { pod: &pod, namespace: "default", parameters: &WebhookParameters::default() };
    let error = inject(&request, &config()).expect_err("refused").to_string();
    assert!(error.contains("\"BRIDGE\" is not known: use REDIRECT, TPROXY or NONE"), "{error}");
}

#[test]
fn proxy_configs_are_merged_from_the_mesh_to_the_workload_under_the_annotation() {
    let object = |namespace: &str, name: &str, spec: Value| {
        let object = json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec});
        std::sync::Arc::new(sagene_api::Object::from_value(object).expect("a ProxyConfig"))
    };
    let metadata = |value: &str| json!({"A": value, value: "1"});
    let selector = |app: &str| json!({"matchLabels": {"app": app}});
    let mut config = config();
    config.proxy_configs = vec![
        object(
            "default",
            "workload",
            json!({"selector": selector("reviews"), "environmentVariables": metadata("WORKLOAD")}),
        ),
        object(
            "default",
            "other",
            json!({"selector": selector("ratings"), "environmentVariables": metadata("OTHER")}),
        ),
        object(
            "default",
            "namespace",
            json!({"concurrency": 3, "environmentVariables": metadata("NAMESPACE")}),
        ),
        object(
            "istio-system",
            "mesh",
            json!({"concurrency": 2, "image": {"imageType": "debug"}, "environmentVariables": metadata("MESH")}),
        ),
        object("shop", "elsewhere", json!({"concurrency": 7})),
    ];
    let mut pod = pod();
    let proxy = injected(&pod, &config)["spec"]["initContainers"][1].clone();
    let merged: Value = serde_json::from_str(variable(&proxy, "PROXY_CONFIG").expect("set")).expect("JSON");
    assert_eq!(merged["concurrency"], 3);
    assert_eq!(merged["image"]["imageType"], "debug");
    assert_eq!(merged["discoveryAddress"], "istiod.istio-system.svc:15012");
    assert_eq!(variable(&proxy, "A"), Some("WORKLOAD"));
    let set = ["MESH", "NAMESPACE", "WORKLOAD", "OTHER"].map(|name| variable(&proxy, name).is_some());
    assert_eq!(set, [true, true, true, false]);

    pod["metadata"]["annotations"]["proxy.istio.io/config"] =
        json!("{concurrency: 1, proxyMetadata: {A: pod}}");
    let proxy = injected(&pod, &config)["spec"]["initContainers"][1].clone();
    assert!(variable(&proxy, "PROXY_CONFIG").is_some_and(|merged| merged.contains("\"concurrency\":1")));
    assert_eq!((variable(&proxy, "A"), variable(&proxy, "MESH")), (Some("pod"), Some("1")));
}

/// The configuration with one template of the operator's, as the ConfigMap has it.
fn with_template(text: &str) -> InjectConfig {
    let map = json!({"templates": {"custom": text, "sidecar": "{{ .Istio }}"}}).to_string();
    let read = InjectConfig::from_config_maps(&map, "{}", "{}", "").expect("readable");
    InjectConfig { templates: read.templates, ..config() }
}

#[test]
fn templates_of_the_operator_are_laid_over_the_sidecar_wherever_it_is() {
    let mut config = with_template(
        "metadata: {labels: {team: blue}}\nspec:\n  containers:\n  - name: istio-proxy\n    env: [{name: GREETING, value: hello-world}]\n  - name: more\n",
    );
    let mut asking = pod();
    asking["metadata"]["annotations"]["inject.istio.io/templates"] = json!("sidecar,custom");
    for native in [true, false] {
        config.native_sidecars = native;
        let made = injected(&asking, &config);
        let list = if native { "/spec/initContainers" } else { "/spec/containers" };
        let proxy = made.pointer(list).and_then(Value::as_array).expect(list);
        let proxy = proxy.iter().find(|one| one["name"] == "istio-proxy").expect("the proxy");
        assert_eq!(
            (variable(proxy, "GREETING"), &proxy["image"]),
            (Some("hello-world"), &json!("example.org/mesh/sagene:1.0"))
        );
        assert!(names(&made, "/spec/containers").contains(&"more".to_owned()));
        assert_eq!(made["metadata"]["labels"]["team"], "blue");
        assert_eq!(injected(&made, &config), made, "a second pass changes nothing");
    }
    assert!(!names(&injected(&pod(), &config), "/spec/containers").contains(&"more".to_owned()));
    config.default_templates = vec!["sidecar".to_owned(), "custom".to_owned()];
    assert!(names(&injected(&pod(), &config), "/spec/containers").contains(&"more".to_owned()));
}

#[test]
fn a_template_that_cannot_be_used_is_refused_by_name() {
    let mut asking = pod();
    for (text, name, said) in [
        ("spec: {priority: {{ .Values.x }}}", "custom", "actions of Go templates"),
        ("a: [", "custom", "template \"custom\""),
        ("spec: {}", "other", "use one of sidecar, gateway, custom"),
    ] {
        asking["metadata"]["annotations"]["inject.istio.io/templates"] = json!(name);
        let request =
            PodRequest { pod: &asking, namespace: "default", parameters: &WebhookParameters::default() };
        let error = injected_pod(&request, &with_template(text)).expect_err(name).to_string();
        assert!(error.contains(said), "{error}");
    }
}
