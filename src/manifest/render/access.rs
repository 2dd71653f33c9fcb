//! Accounts and permissions.

use serde_json::{Value, json};

const ISTIO_GROUPS: [&str; 4] =
    ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"];

/// A ServiceAccount.
pub(super) fn service_account(namespace: &str, name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace, "labels": labels}})
}

/// A ClusterRole and its binding to one account; both have the same name.
pub(super) fn cluster_role(
    name: &str,
    rules: Value,
    namespace: &str,
    account: &str,
    labels: Value,
) -> [Value; 2] {
    [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels}, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]}),
    ]
}

/// A Role and its binding to one account; both have the same name.
pub(super) fn role(namespace: &str, name: &str, rules: Value, account: &str, labels: Value) -> [Value; 2] {
    [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": name, "namespace": namespace, "labels": labels}, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]}),
    ]
}

/// What the control plane reads and writes in the whole cluster.
pub(super) fn istiod_cluster_rules() -> Value {
    let read = json!(["get", "list", "watch"]);
    let gateway = ["gateway.networking.k8s.io", "gateway.networking.x-k8s.io"];
    json!([
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            "verbs": ["get", "list", "watch", "update", "patch"]},
        {"apiGroups": ISTIO_GROUPS, "resources": ["*"], "verbs": read},
        {"apiGroups": ISTIO_GROUPS, "resources": ["*/status"], "verbs": ["update", "patch"]},
        {"apiGroups": ["networking.istio.io"], "resources": ["workloadentries", "workloadentries/status"],
            "verbs": ["get", "watch", "list", "update", "patch", "create", "delete"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": read},
        {"apiGroups": [""], "resources": ["pods", "nodes", "services", "namespaces", "endpoints", "serviceaccounts"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "update", "patch", "create", "delete"]},
        {"apiGroups": [""], "resources": ["services", "serviceaccounts"], "verbs": ["get", "list", "watch", "update", "patch", "create", "delete"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["get", "list", "watch", "update", "patch", "create", "delete"]},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["get", "list", "watch", "update", "patch", "create", "delete"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get", "list", "watch", "update", "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": read},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
        {"apiGroups": gateway, "resources": ["*"], "verbs": read},
        {"apiGroups": gateway, "resources": ["*/status"], "verbs": ["update", "patch"]},
        {"apiGroups": gateway, "resources": ["gatewayclasses"], "verbs": ["create", "update", "patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
    ])
}

/// What the control plane writes in its own namespace.
pub(super) fn istiod_rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "get", "watch", "list", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get", "watch", "list", "update", "patch", "delete"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update", "patch", "create"]},
    ])
}

/// What a control plane of another cluster reads here, and the same for dashboards.
pub(super) fn reader_rules() -> Value {
    let read = json!(["get", "list", "watch"]);
    json!([
        {"apiGroups": ISTIO_GROUPS, "resources": ["*"], "verbs": read},
        {"apiGroups": [""], "resources": ["endpoints", "pods", "services", "nodes", "replicationcontrollers", "namespaces", "secrets"], "verbs": read},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["replicasets", "deployments"], "verbs": read},
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["*"], "verbs": read},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ])
}

/// A gateway reads the secrets its servers name.
pub(super) fn gateway_rules() -> Value {
    json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}])
}
