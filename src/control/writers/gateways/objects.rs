//! What a Gateway of the Gateway API is served by: ServiceAccount, Deployment and Service, and what its parameters add.

use sagene_api::SortedMap;
use sagene_api::{Object, gateway_api::KubernetesGateway};
use sagene_model::gateway_api::{GATEWAY_NAME_LABEL, service_name};
use serde_json::{Value, json};

use super::parameters::Parameters;
use crate::options::ControlPlaneOptions;

/// The objects, with `parameters` laid over them in their order.
pub(super) fn of(
    gateway: &Object<KubernetesGateway>,
    options: &ControlPlaneOptions,
    parameters: &[Parameters],
) -> Vec<Value> {
    let mut objects = plain(gateway, options);
    let optional = ["HorizontalPodAutoscaler", "PodDisruptionBudget"];
    let head = objects[0]["metadata"].clone();
    for kind in optional {
        if parameters.iter().any(|parameters| parameters.speak_of(kind)) {
            objects.push(optional_object(kind, &head, gateway));
        }
    }
    for object in &mut objects {
        for parameters in parameters {
            parameters.lay_over(object);
        }
    }
    objects
}

/// What is there only where parameters speak of it.
fn optional_object(kind: &str, head: &Value, gateway: &Object<KubernetesGateway>) -> Value {
    match kind {
        "HorizontalPodAutoscaler" => json!({
            "apiVersion": "autoscaling/v2", "kind": kind, "metadata": head,
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": head["name"]},
                "maxReplicas": 1,
            },
        }),
        _ => json!({
            "apiVersion": "policy/v1", "kind": kind, "metadata": head,
            "spec": {"selector": {"matchLabels": {GATEWAY_NAME_LABEL: gateway.metadata.name}}},
        }),
    }
}

/// ServiceAccount, Deployment and Service.
fn plain(gateway: &Object<KubernetesGateway>, options: &ControlPlaneOptions) -> Vec<Value> {
    let metadata = &gateway.metadata;
    let (namespace, name) = service_name(gateway);
    let infrastructure = gateway.spec.infrastructure.clone().unwrap_or_default();
    let mut labels = infrastructure.labels;
    let selector = [(GATEWAY_NAME_LABEL.to_owned(), metadata.name.clone())];
    labels.extend(selector.clone());
    let class = &gateway.spec.gateway_class_name;
    labels.insert("gateway.networking.k8s.io/gateway-class-name".to_owned(), class.clone());
    labels.insert("gateway.istio.io/managed".to_owned(), "istio.io-gateway-controller".to_owned());
    let selector: SortedMap<String, String> = selector.into();
    let owner = json!([{
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": metadata.name,
        "uid": metadata.uid,
    }]);
    let of = |annotations: &SortedMap<String, String>| {
        json!({"name": name, "namespace": namespace, "labels": labels, "annotations": annotations,
               "ownerReferences": owner})
    };
    let head = of(&infrastructure.annotations);
    let mut pod_labels = labels.clone();
    for (key, value) in [
        ("sidecar.istio.io/inject", "true"),
        ("service.istio.io/canonical-name", name.as_str()),
        ("service.istio.io/canonical-revision", "latest"),
    ] {
        pod_labels.insert(key.to_owned(), value.to_owned());
    }
    if !matches!(options.revision.as_str(), "" | "default") {
        pod_labels.insert("istio.io/rev".to_owned(), options.revision.clone());
    }
    let mut pod_annotations = infrastructure.annotations.clone();
    pod_annotations.insert("inject.istio.io/templates".to_owned(), "gateway".to_owned());
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": head}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": head,
            "spec": {
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": pod_labels, "annotations": pod_annotations},
                    "spec": {
                        "serviceAccountName": name,
                        "containers": [{"name": "istio-proxy", "image": "auto"}],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": head,
            "spec": {"type": service_type(gateway), "selector": selector, "ports": ports(gateway)},
        }),
    ]
}

fn service_type(gateway: &Object<KubernetesGateway>) -> &str {
    let stated = gateway.metadata.annotations.get("networking.istio.io/service-type");
    stated.map_or("LoadBalancer", String::as_str)
}

/// The status port and one port per number that listeners use.
fn ports(gateway: &Object<KubernetesGateway>) -> Vec<Value> {
    // The protocol is said: the port's name says none.
    let status = json!({"name": "status-port", "port": 15021, "protocol": "TCP", "targetPort": 15021, "appProtocol": "tcp"});
    let mut ports = vec![status];
    let mut seen = Vec::new();
    for listener in &gateway.spec.listeners {
        if seen.contains(&listener.port) {
            continue;
        }
        seen.push(listener.port);
        let protocol = listener.protocol.to_lowercase();
        ports.push(json!({
            "name": listener.name, "port": listener.port, "protocol": "TCP",
            "targetPort": listener.port, "appProtocol": protocol,
        }));
    }
    ports
}
