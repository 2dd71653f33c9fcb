//! Component `Pilot`: the control plane's Deployment, Service, account, configuration and webhooks.

use serde_json::{Map, Value, json};

use super::customize::{self, Settings};
use super::{RenderError, access, config, webhook, workload};
use crate::profile::Installation;

/// All objects, none when the component is off. Profile `remote` renders the webhook alone: the control plane runs elsewhere.
pub(super) fn objects(installation: &Installation) -> Result<Vec<Value>, RenderError> {
    let component = &installation.spec["components"]["pilot"];
    if component.get("enabled").and_then(Value::as_bool) != Some(true) {
        return Ok(Vec::new());
    }
    let mut objects = vec![webhook::injector(installation)];
    if installation.revision.is_empty() {
        objects.push(webhook::revision_tag(installation, "default"));
    }
    if installation.values.pointer("/istiodRemote/enabled").and_then(Value::as_bool) == Some(true) {
        return Ok(objects);
    }
    if webhook::validates(installation) {
        objects.push(webhook::revision_validator(installation));
    }
    objects.extend(accounts(installation));
    if flag(installation, "/pilot/configMap", true) {
        objects.push(config::mesh(installation));
    }
    if !flag(installation, "/global/omitSidecarInjectorConfigMap", false) {
        objects.push(config::injector(installation));
    }
    objects.push(config::values(installation));
    objects.push(service(installation));
    objects.push(deployment(installation));
    let name = name(installation);
    if flag(installation, "/global/defaultPodDisruptionBudget/enabled", true) {
        objects.push(workload::disruption_budget(
            &installation.namespace,
            &name,
            selector(installation),
            labels(installation),
        ));
    }
    if flag(installation, "/pilot/autoscaleEnabled", true) {
        let settings = &installation.values["pilot"];
        objects.push(workload::autoscaler(&installation.namespace, &name, settings, labels(installation)));
    }
    let settings = Settings { component: "pilot", settings: component, workload: &name, service: &name };
    customize::apply(&mut objects, &settings)?;
    Ok(objects)
}

fn flag(installation: &Installation, pointer: &str, default: bool) -> bool {
    installation.values.pointer(pointer).and_then(Value::as_bool).unwrap_or(default)
}

fn name(installation: &Installation) -> String {
    format!("istiod{}", installation.suffix())
}

fn labels(installation: &Installation) -> Value {
    json!({"app": "istiod", "istio": "pilot", "istio.io/rev": installation.revision_label(), "release": "istio"})
}

fn selector(installation: &Installation) -> Value {
    match installation.revision.as_str() {
        "" => json!({"istio": "pilot"}),
        revision => json!({"app": "istiod", "istio.io/rev": revision}),
    }
}

fn accounts(installation: &Installation) -> Vec<Value> {
    let (name, namespace, suffix) = (name(installation), &installation.namespace, installation.suffix());
    let labels = json!({"app": "istiod", "release": "istio"});
    let mut objects = vec![access::service_account(namespace, &name, labels.clone())];
    let cluster_role = format!("istiod-clusterrole{suffix}-{namespace}");
    objects.extend(access::cluster_role(
        &cluster_role,
        access::istiod_cluster_rules(),
        namespace,
        &name,
        labels.clone(),
    ));
    objects.extend(access::role(namespace, &name, access::istiod_rules(), &name, labels));
    objects
}

/// The Service of the control plane.
pub(super) fn service(installation: &Installation) -> Value {
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "protocol": "TCP"});
    let mut annotations =
        installation.values.pointer("/pilot/serviceAnnotations").cloned().unwrap_or_default();
    if !annotations.is_object() {
        annotations = json!({});
    }
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name(installation), "namespace": installation.namespace, "labels": labels(installation), "annotations": annotations},
        "spec": {
            "ports": [
                port("grpc-xds", 15010),
                port("https-dns", 15012),
                {"name": "https-webhook", "port": 443, "targetPort": 15017, "protocol": "TCP"},
                port("http-monitoring", 15014),
            ],
            "selector": selector(installation),
        },
    });
    workload::address_families(&mut service, &installation.values["pilot"]);
    service
}

fn deployment(installation: &Installation) -> Value {
    let pilot = &installation.values["pilot"];
    let mut pod_labels = labels(installation);
    for (key, value) in [
        ("sidecar.istio.io/inject", "false"),
        ("istio.io/dataplane-mode", "none"),
        ("app.kubernetes.io/name", "istiod"),
    ] {
        pod_labels[key] = json!(value);
    }
    if !installation.revision.is_empty() {
        // The default revision's Service selects all pods that are called `pilot`.
        pod_labels["istio"] = json!("istiod");
    }
    workload::extend(&mut pod_labels, &pilot["podLabels"]);
    let mut annotations = json!({
        "prometheus.io/port": "15014", "prometheus.io/scrape": "true", "sidecar.istio.io/inject": "false",
    });
    workload::extend(&mut annotations, &pilot["podAnnotations"]);
    let mut deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name(installation), "namespace": installation.namespace, "labels": labels(installation)},
        "spec": {
            "strategy": {"rollingUpdate": {
                "maxSurge": pilot["rollingMaxSurge"], "maxUnavailable": pilot["rollingMaxUnavailable"]}},
            "selector": {"matchLabels": selector(installation)},
            "template": {
                "metadata": {"labels": pod_labels, "annotations": annotations},
                "spec": {
                    "serviceAccountName": name(installation),
                    "containers": [container(installation)],
                    "volumes": [
                        {"name": "local-certs", "emptyDir": {"medium": "Memory"}},
                        {"name": "cacerts", "secret": {"secretName": "cacerts", "optional": true}},
                    ],
                },
            },
        },
    });
    if !flag(installation, "/pilot/autoscaleEnabled", true) {
        deployment["spec"]["replicas"] = pilot["replicaCount"].clone();
    }
    let spec = &mut deployment["spec"]["template"]["spec"];
    workload::placement(spec, pilot, &installation.values);
    deployment
}

fn container(installation: &Installation) -> Value {
    let values = &installation.values;
    let text = |pointer: &str| values.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut arguments = vec![
        "control-plane".to_owned(),
        "--monitoringAddr=:15014".to_owned(),
        format!("--log_output_level={}", text("/global/logging/level")),
        "--domain".to_owned(),
        text("/global/proxy/clusterDomain").to_owned(),
    ];
    if flag(installation, "/global/logAsJson", false) {
        arguments.push("--log_as_json".to_owned());
    }
    json!({
        "name": "discovery",
        "image": workload::image(values, &values["pilot"]),
        "imagePullPolicy": text("/global/imagePullPolicy"),
        "args": arguments,
        "ports": [
            {"name": "http-debug", "containerPort": 8080, "protocol": "TCP"},
            {"name": "grpc-xds", "containerPort": 15010, "protocol": "TCP"},
            {"name": "tls-xds", "containerPort": 15012, "protocol": "TCP"},
            {"name": "https-webhooks", "containerPort": 15017, "protocol": "TCP"},
            {"name": "http-monitoring", "containerPort": 15014, "protocol": "TCP"},
        ],
        // Ready within a second of being ready: whoever installs waits for this.
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5},
        "env": environment(installation),
        "resources": values["pilot"]["resources"],
        "securityContext": workload::locked_down(&values["pilot"]["seccompProfile"]),
        "volumeMounts": [
            {"name": "local-certs", "mountPath": "/var/run/secrets/istio-dns"},
            {"name": "cacerts", "mountPath": "/etc/cacerts", "readOnly": true},
        ],
    })
}

fn environment(installation: &Installation) -> Vec<Value> {
    let values = &installation.values;
    let text = |pointer: &str, default: &str| match values.pointer(pointer) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => default.to_owned(),
    };
    let mut literal = Map::new();
    literal.insert("REVISION".into(), json!(installation.revision_label()));
    literal.insert("PILOT_CERT_PROVIDER".into(), json!(text("/global/pilotCertProvider", "istiod")));
    literal.insert("CLUSTER_ID".into(), json!(text("/global/multiCluster/clusterName", "Kubernetes")));
    literal.insert("PILOT_TRACE_SAMPLING".into(), json!(text("/pilot/traceSampling", "1")));
    literal.insert("PLATFORM".into(), json!(text("/global/platform", "")));
    // The C library keeps freed memory by thread; fewer arenas keep less of it (500 sidecars connecting: a sixth less at the peak).
    literal.insert("MALLOC_ARENA_MAX".into(), json!("2"));
    for (name, value) in values.pointer("/pilot/env").and_then(Value::as_object).into_iter().flatten() {
        literal.insert(name.clone(), json!(workload::text(value)));
    }
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    ];
    env.extend(literal.into_iter().map(|(name, value)| json!({"name": name, "value": value})));
    env
}
