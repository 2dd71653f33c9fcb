//! Strategic merge for the few lists a pod template touches: containers, env, ports, mounts and volumes merge by name.

use serde_json::Value;

/// Merges `overlay` into `base`: maps by key, keyed lists by element, everything else replaced. `null` removes.
pub(crate) fn strategic(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                if value.is_null() {
                    base.remove(key);
                    continue;
                }
                match (base.get_mut(key), merge_key(key)) {
                    (Some(Value::Array(old)), Some(merge_key)) if value.is_array() => {
                        keyed(old, value, merge_key)
                    }
                    (Some(old), _) => strategic(old, value),
                    (None, _) => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (slot, value) => *slot = value.clone(),
    }
}

/// Merges a list by the member that identifies an element; new elements go to the end.
pub(crate) fn keyed(base: &mut Vec<Value>, overlay: &Value, key: &str) {
    for element in overlay.as_array().into_iter().flatten() {
        let same = |old: &&mut Value| old.get(key).is_some() && old.get(key) == element.get(key);
        match base.iter_mut().find(same) {
            Some(old) => strategic(old, element),
            None => base.push(element.clone()),
        }
    }
}

/// Kubernetes' merge keys of the pod's lists.
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some("name"),
        "ports" => Some("containerPort"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}
