//! Deployment, Service and ServiceAccount of Gateways of the Gateway API that ask for them, and the class they name.
//!
//! The pods are made gateways by the injector's template `gateway`. Everything is owned by the Gateway and goes with it.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use sagene_api::SortedMap;
use sagene_api::{Object, gateway_api::KubernetesGateway};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use sagene_model::{
    Kind,
    gateway_api::{GATEWAY_NAME_LABEL, is_managed, is_ours, service_name},
};
use sagene_store::Feed;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::leader::Leadership;
use crate::{discovery::Discovery, options::ControlPlaneOptions};

const MANAGER: &str = "istio.io/gateway-controller";

/// Keeps the objects of managed Gateways right for as long as this replica leads.
pub(crate) async fn deploy(
    client: Client,
    discovery: Arc<Discovery>,
    mut feed: Feed,
    mut leadership: Leadership,
) {
    let mut applied: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    let mut backoff = Backoff::new(BackoffPolicy::default());
    loop {
        let mut failed = false;
        if leadership.is_leader() {
            let snapshot = discovery.snapshot();
            let gateways = snapshot.kubernetes_gateways.iter();
            let managed: Vec<_> = gateways
                .filter(|one| one.metadata.deletion_timestamp.is_none())
                .filter(|one| is_ours(&snapshot, &one.spec) && is_managed(&snapshot, &one.spec))
                .collect();
            for gateway in managed {
                let key = (gateway.metadata.namespace.clone(), gateway.metadata.name.clone());
                let wanted = objects(gateway, &discovery.options);
                if applied.get(&key) == Some(&wanted) {
                    continue;
                }
                match apply_all(&client, &wanted).await {
                    Ok(()) => {
                        info!(namespace = key.0, gateway = key.1, "gateway deployed");
                        applied.insert(key, wanted);
                    }
                    Err(error) => {
                        warn!(namespace = key.0, gateway = key.1, error = %error_chain(&error), "gateway not deployed");
                        failed = true;
                    }
                }
            }
            applied
                .retain(|(namespace, name), _| snapshot.kubernetes_gateways.get(namespace, name).is_some());
        } else {
            applied.clear();
        }
        if failed {
            backoff.wait().await;
            continue;
        }
        backoff.reset();
        loop {
            tokio::select! {
                changes = feed.changed() => {
                    let kinds = changes.kinds();
                    // Namespaces are seen or not by their labels.
                    if kinds.iter().any(|kind| {
                        matches!(kind, Kind::KubernetesGateway | Kind::GatewayClass | Kind::Namespace | Kind::ConfigMap)
                    }) {
                        break;
                    }
                }
                () = leadership.changed() => break,
            }
        }
    }
}

async fn apply_all(client: &Client, objects: &[Value]) -> Result<(), kube::Error> {
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
        let kind = text("/kind");
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: text("/apiVersion").to_owned(),
            kind: kind.to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), text("/metadata/namespace"), &resource);
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch(text("/metadata/name"), &parameters, &Patch::Apply(object)).await?;
    }
    Ok(())
}

/// ServiceAccount, Deployment and Service of a Gateway.
fn objects(gateway: &Object<KubernetesGateway>, options: &ControlPlaneOptions) -> Vec<Value> {
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
