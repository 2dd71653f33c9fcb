//! Taints of a node and the tolerations of pods.

use serde_json::Value;

/// The tolerations of a pod's `spec` that put up with `taint`.
pub(crate) fn of_taint<'a>(spec: &'a Value, taint: &'a Value) -> impl Iterator<Item = &'a Value> {
    spec["tolerations"].as_array().into_iter().flatten().filter(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let effect = text(&toleration["effect"]).is_empty() || toleration["effect"] == taint["effect"];
    let exists = toleration["operator"] == "Exists";
    let key = (text(&toleration["key"]).is_empty() && exists) || toleration["key"] == taint["key"];
    effect && key && (exists || text(&toleration["value"]) == text(&taint["value"]))
}
