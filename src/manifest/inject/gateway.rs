//! Template `gateway`: turns a pod with an `istio-proxy` container of image `auto` into a gateway.

use serde_json::{Value, json};

use super::container::{Role, proxy_container};
use super::scope::Scope;
use super::{PROXY_CONTAINER, merge, sidecar, volumes};

/// Adds the router to a pod.
pub(super) fn apply(pod: &mut Value, scope: &Scope<'_>) {
    sidecar::merge_metadata(pod, "labels", sidecar::canonical_labels(scope));
    let mut annotations = sidecar::annotations(scope);
    for key in ["kubectl.kubernetes.io/default-logs-container", "kubectl.kubernetes.io/default-container"] {
        if scope.annotation(key).is_none() && annotations.get(key).is_none() {
            annotations.insert(key.to_owned(), json!(PROXY_CONTAINER));
        }
    }
    sidecar::merge_metadata(pod, "annotations", annotations);
    let mut added = json!({
        "containers": [proxy_container(scope, Role::Router)],
        "volumes": volumes::volumes(scope),
        "securityContext": security_context(),
    });
    if let Some(secrets) = sidecar::pull_secrets(scope) {
        added["imagePullSecrets"] = secrets;
    }
    merge::strategic(&mut pod["spec"], &added);
}

/// Lets the unprivileged router listen on 80 and 443.
pub(crate) fn security_context() -> Value {
    json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]})
}
