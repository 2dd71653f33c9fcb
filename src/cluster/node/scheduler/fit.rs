//! Whether a pod may run on a node: cordons, taints, node selectors and required node affinity.

use serde_json::{Value, json};

use crate::tolerations;

/// Why the pod may not run there, in the scheduler's words.
pub(super) fn refusal(pod: &Value, node: &Value) -> Option<String> {
    let spec = &pod["spec"];
    let cordon = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    if node["spec"]["unschedulable"] == true && !tolerated(spec, &cordon) {
        return Some("1 node(s) were unschedulable".to_owned());
    }
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let mut hard = taints.filter(|taint| taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute");
    if let Some(taint) = hard.find(|taint| !tolerated(spec, taint)) {
        let word = |field: &str| taint[field].as_str().unwrap_or("").to_owned();
        return Some(format!("1 node(s) had untolerated taint {{{}: {}}}", word("key"), word("value")));
    }
    if selected(spec, node) && affine(spec, node) {
        None
    } else {
        Some("1 node(s) didn't match Pod's node affinity/selector".to_owned())
    }
}

fn tolerated(spec: &Value, taint: &Value) -> bool {
    tolerations::of_taint(spec, taint).next().is_some()
}

fn selected(spec: &Value, node: &Value) -> bool {
    let wanted = spec["nodeSelector"].as_object().into_iter().flatten();
    wanted.into_iter().all(|(key, value)| node["metadata"]["labels"][key] == *value)
}

/// One of the terms of `requiredDuringSchedulingIgnoredDuringExecution` holds, where there are any.
fn affine(spec: &Value, node: &Value) -> bool {
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let Some(terms) = required["nodeSelectorTerms"].as_array() else { return true };
    terms.iter().any(|term| {
        let list = |field: &str| term[field].as_array().cloned().unwrap_or_default();
        let (labels, fields) = (list("matchExpressions"), list("matchFields"));
        // A term without any requirement matches nothing.
        !(labels.is_empty() && fields.is_empty())
            && labels
                .iter()
                .all(|one| holds(one, node["metadata"]["labels"][one["key"].as_str().unwrap_or("")].as_str()))
            && fields
                .iter()
                .all(|one| one["key"] == "metadata.name" && holds(one, node["metadata"]["name"].as_str()))
    })
}

fn holds(requirement: &Value, found: Option<&str>) -> bool {
    let values: Vec<&str> =
        requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let number = |text: &str| text.parse::<i64>().ok();
    let compared = |wanted: std::cmp::Ordering| {
        let both = found.and_then(number).zip(values.first().copied().and_then(number));
        both.is_some_and(|(found, limit)| found.cmp(&limit) == wanted)
    };
    match requirement["operator"].as_str() {
        Some("In") => found.is_some_and(|found| values.contains(&found)),
        Some("NotIn") => found.is_none_or(|found| !values.contains(&found)),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        Some("Gt") => compared(std::cmp::Ordering::Greater),
        Some("Lt") => compared(std::cmp::Ordering::Less),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_fit_by_cordon_taints_selector_and_affinity() {
        let node = |spec: Value| json!({"metadata": {"name": "n", "labels": {"disk": "ssd"}}, "spec": spec});
        let pod = |spec: Value| json!({"spec": spec});
        let free = node(json!({}));
        assert_eq!(refusal(&pod(json!({})), &free), None);
        let cordoned = node(json!({"unschedulable": true}));
        assert_eq!(refusal(&pod(json!({})), &cordoned).unwrap(), "1 node(s) were unschedulable");
        let tainted = node(json!({"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]}));
        assert_eq!(refusal(&pod(json!({})), &tainted).unwrap(), "1 node(s) had untolerated taint {a: b}");
        let tolerant = pod(json!({"tolerations": [{"key": "a", "operator": "Equal", "value": "b"}]}));
        assert_eq!(refusal(&tolerant, &tainted), None);
        assert!(refusal(&pod(json!({"nodeSelector": {"disk": "hdd"}})), &free).is_some());
        let affinity = |operator: &str| {
            let terms =
                json!([{"matchExpressions": [{"key": "disk", "operator": operator, "values": ["ssd"]}]}]);
            pod(json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}))
        };
        assert_eq!(refusal(&affinity("In"), &free), None);
        assert!(refusal(&affinity("NotIn"), &free).is_some());
    }
}
