//! The order to apply objects in: what others need comes first.

use serde_json::Value;

/// Sorts by kind as Istio's installer does, then by group, kind and name.
pub fn sort(objects: &mut [Value]) {
    objects.sort_by_cached_key(|object| {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        (rank(&kind), api_version, kind, text("/metadata/namespace"), text("/metadata/name"))
    });
}

fn rank(kind: &str) -> u8 {
    match kind {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" => 2,
        "ClusterRoleBinding" | "RoleBinding" => 3,
        "ValidatingWebhookConfiguration" => 4,
        "ConfigMap" | "Secret" => 5,
        "HorizontalPodAutoscaler" => 7,
        "Service" => 8,
        _ => 6,
    }
}
