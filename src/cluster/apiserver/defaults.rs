//! The defaults that Kubernetes writes into built-in kinds.

mod admission;
mod pod;
mod service;
mod workload;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(crate) use pod::quality_of_service;

use super::kinds::autoscaling;

/// Fills in what is absent, by group and plural.
pub(crate) fn apply(kind: (&str, &str), object: &mut Value) {
    match kind {
        ("", "pods") => pod::pod(object),
        ("", "podtemplates") => pod::spec(&mut object["template"]["spec"]),
        ("", "services") => service::service(object),
        ("", "endpoints") => service::endpoints(object),
        ("", "secrets") => put(object, "type", json!("Opaque")),
        ("", "namespaces") => {
            let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
            if !name.is_empty() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            }
        }
        ("", "persistentvolumeclaims") => put(&mut object["spec"], "volumeMode", json!("Filesystem")),
        ("", "replicationcontrollers") | ("apps" | "batch", _) => workload::apply(kind.1, object),
        ("autoscaling", _) => autoscaler(object),
        ("discovery.k8s.io", "endpointslices") => service::endpoint_slice(object),
        ("networking.k8s.io", "networkpolicies") => service::network_policy(object),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") => {
            admission::webhooks(object, true)
        }
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => {
            admission::webhooks(object, false)
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            super::registry::custom::apply_defaults(object)
        }
        ("rbac.authorization.k8s.io", "clusterrolebindings" | "rolebindings") => role_binding(object),
        ("storage.k8s.io", "storageclasses") => {
            put(object, "reclaimPolicy", json!("Delete"));
            put(object, "volumeBindingMode", json!("Immediate"));
        }
        _ => {}
    }
    drop_nulls(object);
    if let Some(spec) = object.get_mut("spec") {
        drop_nulls(spec);
    }
}

/// Looking into a missing field leaves a null behind; an absent field must stay absent.
fn drop_nulls(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

/// Sets a field of an object that has none. Does nothing to anything that is not an object.
pub(super) fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value);
    }
}

/// The items of a list field.
pub(super) fn items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Without metrics the CPU is looked at; in v1 that default comes with the conversion, which knows of metrics in annotations.
fn autoscaler(object: &mut Value) {
    let of_v1 = object["apiVersion"] == "autoscaling/v1";
    let spec = &mut object["spec"];
    put(spec, "minReplicas", json!(1));
    if !of_v1 && spec["metrics"].as_array().is_none_or(Vec::is_empty) {
        spec["metrics"] = json!([autoscaling::default_metric()]);
    }
    let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) else { return };
    let policy = |kind: &str, value: i64| json!({"type": kind, "value": value, "periodSeconds": 15});
    for (direction, policies) in [
        ("scaleUp", json!([policy("Pods", 4), policy("Percent", 100)])),
        ("scaleDown", json!([policy("Percent", 100)])),
    ] {
        put(behavior, direction, json!({}));
        let rules = &mut behavior[direction];
        put(rules, "selectPolicy", json!("Max"));
        put(rules, "policies", policies);
    }
    put(&mut behavior["scaleUp"], "stabilizationWindowSeconds", json!(0));
}

fn role_binding(object: &mut Value) {
    put(&mut object["roleRef"], "apiGroup", json!("rbac.authorization.k8s.io"));
    for subject in items(object, "subjects") {
        if subject["kind"] != "ServiceAccount" {
            put(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        }
    }
}

/// Moves `stringData` of a secret into `data`.
pub(crate) fn merge_string_data(object: &mut Value) {
    let Some(Value::Object(texts)) = object.as_object_mut().and_then(|map| map.remove("stringData")) else {
        return;
    };
    if !object["data"].is_object() {
        object["data"] = json!({});
    }
    for (key, text) in texts {
        object["data"][key] = json!(STANDARD.encode(text.as_str().unwrap_or("")));
    }
}
