//! The objects that every cluster has from the start.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::error::ApiError;
use super::services::KUBERNETES_SERVICE_IP;
use crate::api_client::{ApiClient, ResourceRef};

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Creates what is missing.
pub(super) async fn create_missing(
    client: &ApiClient,
    advertise: SocketAddr,
    ca_certificate: &str,
) -> Result<(), ApiError> {
    let class = json!({
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": crate::controllers::storage::PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
    });
    ensure(client, &ResourceRef::STORAGE_CLASSES, "", class).await?;
    for name in NAMESPACES {
        ensure(client, &ResourceRef::NAMESPACES, "", json!({"metadata": {"name": name}})).await?;
    }
    let service = json!({
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": KUBERNETES_SERVICE_IP.to_string(), "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": advertise.port()}]},
    });
    ensure(client, &ResourceRef::SERVICES, "default", service).await?;
    let authentication = json!({"metadata": {"name": "extension-apiserver-authentication"}, "data": {"client-ca-file": ca_certificate}});
    ensure(client, &ResourceRef::CONFIG_MAPS, "kube-system", authentication).await?;
    for (resource, object) in roles() {
        ensure(client, &resource, "", object).await?;
    }
    publish_endpoints(client, advertise).await
}

async fn ensure(
    client: &ApiClient,
    resource: &ResourceRef,
    namespace: &str,
    object: Value,
) -> Result<(), ApiError> {
    match client.create(resource, namespace, object).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where the `kubernetes` service leads: this server, whose address may change from start to start.
async fn publish_endpoints(client: &ApiClient, advertise: SocketAddr) -> Result<(), ApiError> {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [advertise.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": advertise.port(), "protocol": "TCP"}],
    });
    let options = crate::api_client::ApplyOptions::forced("kube-apiserver");
    client.apply(&ResourceRef::ENDPOINT_SLICES, "default", "kubernetes", slice, &options).await?;
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": advertise.ip().to_string()}], "ports": [{"name": "https", "port": advertise.port(), "protocol": "TCP"}]}],
    });
    client.apply(&ResourceRef::ENDPOINTS, "default", "kubernetes", endpoints, &options).await?;
    let patch = json!({"spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": advertise.port()}]}});
    client.merge_patch(&ResourceRef::SERVICES, "default", "kubernetes", "", patch).await?;
    Ok(())
}

/// The default roles that clients rely on, and their bindings.
fn roles() -> Vec<(ResourceRef, Value)> {
    let cluster_role =
        ResourceRef::new("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false);
    let binding = ResourceRef::new(
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        false,
    );
    let labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let role =
        |name: &str, rules: Value| json!({"metadata": {"name": name, "labels": labels}, "rules": rules});
    let bind = |name: &str, groups: &[&str]| {
        let subjects: Vec<Value> = groups
            .iter()
            .map(|group| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}))
            .collect();
        json!({"metadata": {"name": name, "labels": labels}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}})
    };
    let read = json!(["get", "list", "watch"]);
    let write = json!(["get", "list", "watch", "create", "delete", "deletecollection", "patch", "update"]);
    let discovery = json!([{"nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"], "verbs": ["get"]}]);
    let public = json!([{"nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"]}]);
    let issuer = json!([{"nonResourceURLs": ["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"], "verbs": ["get"]}]);
    let own_reviews = json!([
        {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ]);
    let delegation = json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]);
    let namespaced = |verbs: &Value| {
        json!([
            {"apiGroups": [""], "resources": ["bindings", "configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/log", "pods/status",
                "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status"], "verbs": verbs},
            {"apiGroups": ["apps", "autoscaling", "batch", "networking.k8s.io", "policy", "discovery.k8s.io"], "resources": ["*"], "verbs": verbs},
            {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
        ])
    };
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    vec![
        (cluster_role.clone(), role("cluster-admin", all)),
        (cluster_role.clone(), role("admin", namespaced(&write))),
        (cluster_role.clone(), role("edit", namespaced(&write))),
        (cluster_role.clone(), role("view", namespaced(&read))),
        (cluster_role.clone(), role("system:discovery", discovery)),
        (cluster_role.clone(), role("system:public-info-viewer", public)),
        (cluster_role.clone(), role("system:service-account-issuer-discovery", issuer)),
        (cluster_role.clone(), role("system:basic-user", own_reviews)),
        (cluster_role, role("system:auth-delegator", delegation)),
        (binding.clone(), bind("cluster-admin", &["system:masters"])),
        (binding.clone(), bind("system:discovery", &["system:authenticated"])),
        (
            binding.clone(),
            bind("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
        ),
        (binding.clone(), bind("system:service-account-issuer-discovery", &["system:serviceaccounts"])),
        (binding, bind("system:basic-user", &["system:authenticated"])),
    ]
}
