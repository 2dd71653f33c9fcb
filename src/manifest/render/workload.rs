//! Pieces that the control plane's and the gateways' workloads share.

use serde_json::{Value, json};

/// `<hub>/<image>:<tag>`; a component's own hub, tag and complete image names win.
pub(super) fn image(values: &Value, component: &Value) -> String {
    let of = |key: &str| {
        let own = component.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        own.or_else(|| values["global"].get(key).and_then(Value::as_str)).unwrap_or_default()
    };
    let name =
        component.get("image").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or("sagene");
    if name.contains('/') {
        return name.to_owned();
    }
    let hub = if of("hub").is_empty() { String::new() } else { format!("{}/", of("hub")) };
    let tag = if of("tag").is_empty() { String::new() } else { format!(":{}", of("tag")) };
    format!("{hub}{name}{tag}")
}

/// Security context of a container that needs nothing. Pod security level `restricted` wants a seccomp profile: the settings', else the
/// runtime's default.
pub(super) fn locked_down(seccomp_profile: &Value) -> Value {
    let own = seccomp_profile.as_object().is_some_and(|profile| !profile.is_empty());
    json!({
        "seccompProfile": if own { seccomp_profile.clone() } else { json!({"type": "RuntimeDefault"}) },
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
    })
}

/// Node selector, tolerations, affinity, priority class and pull secrets of a pod.
pub(super) fn placement(pod: &mut Value, settings: &Value, values: &Value) {
    let empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        other => other.is_null(),
    };
    for key in ["nodeSelector", "tolerations", "affinity"] {
        if let Some(value) = settings.get(key).filter(|value| !empty(value)) {
            pod[key] = value.clone();
        }
    }
    if let Some(class) = values["global"].get("priorityClassName").filter(|value| !empty(value)) {
        pod["priorityClassName"] = class.clone();
    }
    let secrets = values["global"].get("imagePullSecrets").and_then(Value::as_array);
    let reference = |secret: &Value| {
        if secret.is_string() { json!({"name": secret}) } else { secret.clone() }
    };
    if let Some(secrets) = secrets.filter(|secrets| !secrets.is_empty()) {
        pod["imagePullSecrets"] = secrets.iter().map(reference).collect();
    }
}

/// Adds the members of a map to another.
pub(super) fn extend(target: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        target[key] = json!(text(value));
    }
}

/// A scalar as text: labels, annotations and variables are always text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The address families that a component's values name for its Service.
pub(super) fn address_families(service: &mut Value, values: &Value) {
    let is_named = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    for key in ["ipFamilyPolicy", "ipFamilies"] {
        if is_named(&values[key]) {
            service["spec"][key] = values[key].clone();
        }
    }
}

/// One replica may go at a time.
pub(super) fn disruption_budget(namespace: &str, name: &str, selector: Value, labels: Value) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": selector}},
    })
}

/// Scales by CPU between `autoscaleMin` and `autoscaleMax`.
pub(super) fn autoscaler(namespace: &str, name: &str, settings: &Value, labels: Value) -> Value {
    let number =
        |pointer: &str, default: u64| settings.pointer(pointer).and_then(Value::as_u64).unwrap_or(default);
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "minReplicas": number("/autoscaleMin", 1),
            "maxReplicas": number("/autoscaleMax", 5),
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": number("/cpu/targetAverageUtilization", 80)}}}],
        },
    })
}
