//! Defaults of the kinds that make pods.

use serde_json::{Value, json};

use super::{pod, put};

/// By plural.
pub(super) fn apply(plural: &str, object: &mut Value) {
    if !object["spec"].is_object() {
        return;
    }
    let spec = &mut object["spec"];
    match plural {
        "deployments" => deployment(spec),
        "replicasets" => put(spec, "replicas", json!(1)),
        "replicationcontrollers" => {
            put(spec, "replicas", json!(1));
            let labels = spec["template"]["metadata"]["labels"].clone();
            put(spec, "selector", labels);
        }
        "statefulsets" => stateful_set(spec),
        "daemonsets" => {
            put(spec, "revisionHistoryLimit", json!(10));
            rolling_update(spec, "updateStrategy", json!({"maxUnavailable": 1, "maxSurge": 0}));
        }
        "jobs" => job(spec),
        "cronjobs" => cron_job(spec),
        _ => {}
    }
    let path = if plural == "cronjobs" { "/jobTemplate/spec/template" } else { "/template" };
    if let Some(template) = spec.pointer_mut(path).filter(|template| template.is_object()) {
        pod::spec(&mut template["spec"]);
        put(template, "metadata", json!({}));
    }
}

fn rolling_update(spec: &mut Value, field: &str, parameters: Value) {
    if !spec[field].is_object() {
        spec[field] = json!({});
    }
    put(&mut spec[field], "type", json!("RollingUpdate"));
    if spec[field]["type"] == "RollingUpdate" {
        put(&mut spec[field], "rollingUpdate", json!({}));
        for (name, value) in parameters.as_object().into_iter().flatten() {
            put(&mut spec[field]["rollingUpdate"], name, value.clone());
        }
    }
}

fn deployment(spec: &mut Value) {
    put(spec, "replicas", json!(1));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "progressDeadlineSeconds", json!(600));
    rolling_update(spec, "strategy", json!({"maxSurge": "25%", "maxUnavailable": "25%"}));
}

fn stateful_set(spec: &mut Value) {
    put(spec, "replicas", json!(1));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "podManagementPolicy", json!("OrderedReady"));
    put(
        spec,
        "persistentVolumeClaimRetentionPolicy",
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    rolling_update(spec, "updateStrategy", json!({"partition": 0}));
}

fn job(spec: &mut Value) {
    put(spec, "completionMode", json!("NonIndexed"));
    put(spec, "suspend", json!(false));
    put(spec, "backoffLimit", json!(6));
    put(spec, "podReplacementPolicy", json!("TerminatingOrFailed"));
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        put(spec, "completions", json!(1));
    }
    put(spec, "parallelism", json!(1));
    put(spec, "manualSelector", json!(false));
    if let Some(map) = spec.as_object_mut()
        && map.get("completions").is_some_and(Value::is_null)
    {
        map.remove("completions");
    }
}

fn cron_job(spec: &mut Value) {
    put(spec, "concurrencyPolicy", json!("Allow"));
    put(spec, "suspend", json!(false));
    put(spec, "successfulJobsHistoryLimit", json!(3));
    put(spec, "failedJobsHistoryLimit", json!(1));
}
