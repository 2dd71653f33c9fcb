//! Kinds with a pod template.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{immutable, pod};
use crate::apiserver::error::Cause;
use crate::apiserver::object_meta::{validate_annotations, validate_labels};
use crate::apiserver::selector::LabelSelector;

pub(super) fn validate(plural: &str, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let template = match plural {
        "cronjobs" => &spec["jobTemplate"]["spec"]["template"],
        "controllerrevisions" => return,
        _ => &spec["template"],
    };
    let path = if plural == "cronjobs" { "spec.jobTemplate.spec.template" } else { "spec.template" };
    if plural == "cronjobs" && spec["schedule"].as_str().unwrap_or("").is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    }
    if matches!(plural, "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        && !validate_selector(spec, causes)
    {
        return;
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
    let metadata = &template["metadata"];
    validate_labels(&metadata["labels"], &format!("{path}.labels"), causes);
    validate_annotations(&metadata["annotations"], &format!("{path}.annotations"), causes);
    pod::validate(&with_claims(&template["spec"], spec), &format!("{path}.spec"), causes);
    let policy = template["spec"]["restartPolicy"].as_str().unwrap_or("Always");
    let job = matches!(plural, "jobs" | "cronjobs");
    if job && policy == "Always" {
        let detail = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required(format!("{path}.spec.restartPolicy"), detail));
    }
    if !job && policy != "Always" {
        let supported = ["Always".to_owned()];
        causes.push(Cause::not_supported(
            format!("{path}.spec.restartPolicy"),
            &Value::from(policy),
            &supported,
        ));
    }
}

/// The pods of a StatefulSet mount its claims, too, under the names of their templates.
fn with_claims<'a>(pod: &'a Value, spec: &Value) -> Cow<'a, Value> {
    let claims = spec["volumeClaimTemplates"].as_array().into_iter().flatten();
    let claims: Vec<Value> = claims
        .map(|claim| json!({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}))
        .collect();
    if claims.is_empty() {
        return Cow::Borrowed(pod);
    }
    let mut pod = pod.clone();
    let own = pod["volumes"].as_array().cloned().unwrap_or_default();
    // A claim stands in for a volume of its name.
    let own = own.into_iter().filter(|volume| claims.iter().all(|claim| claim["name"] != volume["name"]));
    pod["volumes"] = own.chain(claims.iter().cloned()).collect();
    Cow::Owned(pod)
}

/// Whether the selector can be read: where it cannot, Kubernetes looks no further.
fn validate_selector(spec: &Value, causes: &mut Vec<Cause>) -> bool {
    let selector = &spec["selector"];
    let has = |field: &str| {
        selector[field].as_object().is_some_and(|map| !map.is_empty())
            || selector[field].as_array().is_some_and(|list| !list.is_empty())
    };
    if !selector.is_object() {
        causes.push(Cause::required("spec.selector", ""));
    } else if !has("matchLabels") && !has("matchExpressions") {
        causes.push(Cause::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    }
    let before = causes.len();
    validate_labels(&selector["matchLabels"], "spec.selector.matchLabels", causes);
    if causes.len() > before {
        causes.push(Cause::invalid("spec.selector", selector, "invalid label selector"));
        return false;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !selector.is_object() || !LabelSelector::from_object(selector).matches(labels) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    true
}

pub(super) fn validate_update(plural: &str, object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    match plural {
        "deployments" | "replicasets" | "daemonsets" => immutable("spec.selector", object, old, causes),
        "statefulsets" => {
            for field in ["spec.selector", "spec.serviceName", "spec.podManagementPolicy"] {
                immutable(field, object, old, causes);
            }
        }
        "jobs" => {
            for field in ["spec.selector", "spec.template", "spec.completionMode"] {
                immutable(field, object, old, causes);
            }
        }
        _ => {}
    }
}
