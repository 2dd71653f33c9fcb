//! The pod of a rendered gateway, from the same container builder as injected pods.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::container::{Role, proxy_container};
use super::scope::Scope;
use super::workload::Workload;
use super::{WebhookParameters, gateway, merge, volumes};

/// What a gateway Deployment's pod is made of.
#[derive(Debug)]
pub(crate) struct RouterPod<'a> {
    pub(crate) values: &'a Value,
    pub(crate) mesh: &'a Value,
    pub(crate) revision: &'a str,
    /// Name of the Deployment.
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) service_account: &'a str,
    /// Ports besides the metrics port.
    pub(crate) container_ports: Vec<Value>,
    /// Variables of the gateway's own.
    pub(crate) environment: BTreeMap<String, String>,
}

/// Builds the pod's `spec`.
pub(crate) fn router_pod(router: &RouterPod<'_>) -> Value {
    let parameters =
        WebhookParameters { environment: router.environment.clone(), ..WebhookParameters::default() };
    let nothing = Map::new();
    let scope = Scope {
        labels: Map::new(),
        annotations: Map::new(),
        containers: Vec::new(),
        namespace: router.namespace,
        workload: Workload {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: router.name.into(),
        },
        values: router.values,
        mesh: router.mesh,
        proxy_config: router.mesh.get("defaultConfig").cloned().unwrap_or_else(|| json!({})),
        revision: router.revision,
        parameters: &parameters,
        injected_annotations: &nothing,
        native_sidecar: false,
    };
    let mut container = proxy_container(&scope, Role::Router);
    if let Some(ports) = container.get_mut("ports").and_then(Value::as_array_mut) {
        merge::keyed(ports, &json!(router.container_ports), "containerPort");
    }
    json!({
        "serviceAccountName": router.service_account,
        "securityContext": gateway::security_context(),
        "containers": [container],
        "volumes": volumes::volumes(&scope),
    })
}
