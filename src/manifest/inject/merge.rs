//! Strategic merge for the few lists that workloads and Services touch: containers, env, ports, mounts and volumes merge by name.
//! `$patch: delete` removes an element or a map, `$patch: replace` puts a map in the place of the old one.

use serde_json::Value;

/// What an element or a map says is to be done with it.
const DIRECTIVE: &str = "$patch";

/// Merges `overlay` into `base`: maps by key, keyed lists by element, everything else replaced. `null` removes.
pub fn strategic(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            if overlay.get(DIRECTIVE).is_some_and(|directive| directive == "replace") {
                base.clear();
            }
            for (key, value) in overlay.iter().filter(|(key, _)| *key != DIRECTIVE) {
                if value.is_null() || is_deletion(value) {
                    base.remove(key);
                    continue;
                }
                match (base.get_mut(key), merge_key(key, value)) {
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
        let same = |old: &Value| old.get(key).is_some() && old.get(key) == element.get(key);
        if is_deletion(element) {
            base.retain(|old| !same(old));
            continue;
        }
        match base.iter_mut().find(|old| same(old)) {
            Some(old) => strategic(old, element),
            None => base.push(element.clone()),
        }
    }
}

fn is_deletion(value: &Value) -> bool {
    value.get(DIRECTIVE).is_some_and(|directive| directive == "delete")
}

/// Kubernetes' merge keys of the lists of pods and Services.
fn merge_key(field: &str, overlay: &Value) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some("name"),
        // Containers and Services have ports.
        "ports" if overlay.pointer("/0/port").is_some() => Some("port"),
        "ports" => Some("containerPort"),
        "volumeMounts" => Some("mountPath"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_of_services_merge_by_number_and_directives_are_heeded() {
        let mut service = json!({"spec": {"type": "LoadBalancer", "selector": {"a": "b"},
            "ports": [{"name": "status", "port": 15021}, {"name": "http", "port": 80}]}});
        strategic(
            &mut service,
            &json!({"spec": {"selector": {"$patch": "replace", "c": "d"}, "type": {"$patch": "delete"},
                "ports": [{"port": 15021, "$patch": "delete"}, {"port": 80, "nodePort": 30080}]}}),
        );
        assert_eq!(
            service,
            json!({"spec": {"selector": {"c": "d"}, "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}})
        );
    }
}
