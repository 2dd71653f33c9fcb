//! Admission: what the server itself adds to objects, and the webhooks.

mod limit_range;
mod service_account;
mod webhook;

use serde_json::{Value, json};

use super::actor::Actor;
use super::error::ApiError;
use super::kinds::kind_key;
use super::operations::{Operations, Target, WriteOptions};

pub(crate) use webhook::{WebhookClients, compile_match_condition};

/// The request that is being admitted.
pub(crate) struct Review<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) target: &'a Target,
    /// `CREATE`, `UPDATE`, `DELETE`.
    pub(crate) operation: &'static str,
    pub(crate) old: Option<&'a Value>,
    pub(crate) options: &'a WriteOptions,
}

/// Built-in admission of new objects.
pub(crate) fn admit_builtin_create(
    operations: &Operations,
    _actor: &Actor,
    target: &Target,
    object: &mut Value,
) -> Result<(), ApiError> {
    match kind_key(target) {
        ("", "pods") => {
            service_account::admit(operations, target, object)?;
            add_tolerations(object);
            set_priority(operations, object);
            limit_range::admit(operations, target, object)?;
        }
        ("networking.k8s.io", "ingresses") => default_ingress_class(operations, object),
        ("", "persistentvolumeclaims") => {
            default_storage_class(operations, object);
            limit_range::admit(operations, target, object)?;
        }
        ("", "serviceaccounts") => {}
        _ => {}
    }
    Ok(())
}

/// Built-in admission of changed objects.
pub(crate) fn admit_builtin_update(
    _operations: &Operations,
    _review: &Review<'_>,
    _object: &mut Value,
) -> Result<(), ApiError> {
    Ok(())
}

/// `DefaultTolerationSeconds`: a pod survives five minutes of a node that is not ready.
fn add_tolerations(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    let Some(tolerations) = spec["tolerations"].as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |one: &Value| {
            one["key"] == key || (one["key"].as_str().unwrap_or("").is_empty() && one["operator"] == "Exists")
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
}

/// `Priority`: the class's value, or that of the default class.
fn set_priority(operations: &Operations, pod: &mut Value) {
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or("");
    let value = match name {
        "" => 0,
        "system-node-critical" => 2_000_001_000,
        "system-cluster-critical" => 2_000_000_000,
        name => operations
            .find("scheduling.k8s.io", "priorityclasses", "", name)
            .map_or(0, |class| class["value"].as_i64().unwrap_or(0)),
    };
    pod["spec"]["priority"] = json!(value);
    if pod["spec"]["preemptionPolicy"].is_null() {
        pod["spec"]["preemptionPolicy"] = json!("PreemptLowerPriority");
    }
}

fn default_of(operations: &Operations, table: &str, annotation: &str) -> Option<String> {
    let (classes, _) = operations.store.list(table, "");
    let is_default = |class: &&std::sync::Arc<Value>| class["metadata"]["annotations"][annotation] == "true";
    classes.iter().find(is_default).and_then(|class| class["metadata"]["name"].as_str().map(str::to_owned))
}

fn default_ingress_class(operations: &Operations, ingress: &mut Value) {
    let named = ingress["spec"]["ingressClassName"].is_string()
        || ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_string();
    if named {
        return;
    }
    if let Some(class) = default_of(
        operations,
        "networking.k8s.io/ingressclasses",
        "ingressclass.kubernetes.io/is-default-class",
    ) {
        ingress["spec"]["ingressClassName"] = json!(class);
    }
}

fn default_storage_class(operations: &Operations, claim: &mut Value) {
    if claim["spec"].get("storageClassName").is_some() {
        return;
    }
    if let Some(class) =
        default_of(operations, "storage.k8s.io/storageclasses", "storageclass.kubernetes.io/is-default-class")
    {
        claim["spec"]["storageClassName"] = json!(class);
    }
}
