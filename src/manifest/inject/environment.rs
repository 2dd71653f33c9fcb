//! Environment of the proxy container, in Istio's order.

use serde_json::{Value, json};

use super::PROXY_CONTAINER;
use super::scope::Scope;

/// Builds the `env` list of an `istio-proxy` container.
#[derive(Debug, Default)]
pub(crate) struct Environment(Vec<Value>);

impl Environment {
    /// The list for a sidecar or a gateway pod.
    pub(crate) fn of_proxy(scope: &Scope<'_>) -> Vec<Value> {
        let mut env = Self::default();
        env.identity(scope);
        env.pod_facts(scope);
        env.mesh_facts(scope);
        for (name, value) in scope.proxy_metadata() {
            env.literal(name, &value);
        }
        for (name, value) in &scope.parameters.environment {
            env.literal(name, value);
        }
        env.0
    }

    fn identity(&mut self, scope: &Scope<'_>) {
        if scope.mesh.pointer("/inboundTrafficPolicy/mode").and_then(Value::as_str) == Some("LOCALHOST") {
            self.literal("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true");
        }
        self.literal("PILOT_CERT_PROVIDER", &scope.setting("", "/global/pilotCertProvider", "istiod"));
        self.literal("CA_ADDR", &ca_address(scope));
        self.field("POD_NAME", "metadata.name");
        self.field("POD_NAMESPACE", "metadata.namespace");
        self.field("INSTANCE_IP", "status.podIP");
        self.field("SERVICE_ACCOUNT", "spec.serviceAccountName");
        self.field("HOST_IP", "status.hostIP");
        self.resource("ISTIO_CPU_LIMIT", "limits.cpu");
        self.literal("PROXY_CONFIG", &format!("{}\n", scope.proxy_config));
    }

    fn pod_facts(&mut self, scope: &Scope<'_>) {
        let apps = || scope.containers.iter().filter(|container| name_of(container) != PROXY_CONTAINER);
        let ports: Vec<&Value> = apps()
            .filter_map(|container| container.get("ports").and_then(Value::as_array))
            .flatten()
            .collect();
        self.literal("ISTIO_META_POD_PORTS", &json!(ports).to_string());
        let names: Vec<&str> = apps().map(name_of).collect();
        if !names.is_empty() {
            self.literal("ISTIO_META_APP_CONTAINERS", &names.join(","));
        }
        self.resource("GOMEMLIMIT", "limits.memory");
        self.resource("GOMAXPROCS", "limits.cpu");
        if let Some(policy) = scope.text("/pilot/env/COMPLIANCE_POLICY") {
            self.literal("COMPLIANCE_POLICY", &policy);
        }
    }

    fn mesh_facts(&mut self, scope: &Scope<'_>) {
        let cluster = scope.parameters.cluster.clone();
        let cluster = cluster.or_else(|| scope.text("/global/multiCluster/clusterName"));
        self.literal("ISTIO_META_CLUSTER_ID", cluster.as_deref().unwrap_or("Kubernetes"));
        self.field("ISTIO_META_NODE_NAME", "spec.nodeName");
        self.literal("ISTIO_META_INTERCEPTION_MODE", &scope.interception_mode());
        let network = scope.label("topology.istio.io/network").map(str::to_owned);
        let network =
            network.or_else(|| scope.parameters.network.clone()).or_else(|| scope.text("/global/network"));
        if let Some(network) = network {
            self.literal("ISTIO_META_NETWORK", &network);
        }
        if !scope.workload.name.is_empty() {
            self.literal("ISTIO_META_WORKLOAD_NAME", &scope.workload.name);
            self.literal("ISTIO_META_OWNER", &scope.workload.owner_url(scope.namespace));
        }
        if scope.annotation("sidecar.istio.io/bootstrapOverride").is_some() {
            self.literal("ISTIO_BOOTSTRAP_OVERRIDE", "/etc/istio/custom-bootstrap/custom_bootstrap.json");
        }
        let trust_domain = scope.mesh.get("trustDomain").and_then(Value::as_str).map(str::to_owned);
        let trust_domain = trust_domain.or_else(|| scope.text("/global/trustDomain"));
        if let Some(mesh_id) = scope.text("/global/meshID").or_else(|| trust_domain.clone()) {
            self.literal("ISTIO_META_MESH_ID", &mesh_id);
        }
        if let Some(domain) = trust_domain {
            self.literal("TRUST_DOMAIN", &domain);
        }
    }

    fn literal(&mut self, name: &str, value: &str) {
        // A later setting of the same name replaces the earlier one: Kubernetes refuses duplicates on apply.
        self.0.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(name));
        self.0.push(json!({"name": name, "value": value}));
    }

    fn field(&mut self, name: &str, path: &str) {
        self.0
            .push(json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}));
    }

    fn resource(&mut self, name: &str, resource: &str) {
        let reference = json!({"resource": resource, "divisor": "0"});
        self.0.push(json!({"name": name, "valueFrom": {"resourceFieldRef": reference}}));
    }
}

fn ca_address(scope: &Scope<'_>) -> String {
    if let Some(address) = scope.text("/global/caAddress") {
        return address;
    }
    let revision = scope.text("/revision").filter(|revision| revision != "default");
    let suffix = revision.map(|revision| format!("-{revision}")).unwrap_or_default();
    format!("istiod{suffix}.{}.svc:15012", scope.istio_namespace())
}

fn name_of(container: &Value) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}
