//! The `ServiceAccount` admission plugin: every pod has an account, and its token where the account and the pod allow it.

use serde_json::{Value, json};

use crate::apiserver::error::ApiError;
use crate::apiserver::object_meta;
use crate::apiserver::operations::{Operations, Target};

/// Where containers find the token, the CA and the namespace.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour and seven seconds, which tells this token from those people ask for.
const TOKEN_SECONDS: i64 = 3607;

pub(super) fn admit(operations: &Operations, target: &Target, pod: &mut Value) -> Result<(), ApiError> {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return Ok(());
    }
    if spec["serviceAccountName"].as_str().unwrap_or("").is_empty() {
        spec["serviceAccountName"] = json!("default");
    }
    let name = spec["serviceAccountName"].as_str().unwrap_or("").to_owned();
    spec["serviceAccount"] = json!(name);
    let Some(account) = operations.find("", "serviceaccounts", &target.namespace, &name) else {
        let why = format!(
            "error looking up service account {}/{name}: serviceaccount {name:?} not found",
            target.namespace
        );
        return Err(ApiError::forbidden(&target.definition.reference, object_meta::called(pod), &why));
    };
    if spec["imagePullSecrets"].as_array().is_none_or(Vec::is_empty) && account["imagePullSecrets"].is_array()
    {
        spec["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    let automount = spec["automountServiceAccountToken"]
        .as_bool()
        .or(account["automountServiceAccountToken"].as_bool())
        .unwrap_or(true);
    if automount {
        mount_token(spec);
    }
    drop_null(spec, "imagePullSecrets");
    Ok(())
}

fn drop_null(spec: &mut Value, field: &str) {
    if let Some(map) = spec.as_object_mut().filter(|map| map.get(field).is_some_and(Value::is_null)) {
        map.remove(field);
    }
}

fn mount_token(spec: &mut Value) {
    let existing =
        spec["volumes"].as_array().into_iter().flatten().filter_map(|volume| volume["name"].as_str());
    let existing = existing.into_iter().find(|name| name.starts_with("kube-api-access-")).map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| object_meta::generated_name("kube-api-access-"));
    let mut used = false;
    for field in ["initContainers", "containers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            if !container["volumeMounts"].is_array() {
                container["volumeMounts"] = json!([]);
            }
            let Some(mounts) = container["volumeMounts"].as_array_mut() else { continue };
            if !mounts.iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
                used = true;
            }
        }
    }
    if used && existing.is_none() {
        if !spec["volumes"].is_array() {
            spec["volumes"] = json!([]);
        }
        if let Some(volumes) = spec["volumes"].as_array_mut() {
            volumes.push(token_volume(&name));
        }
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}
