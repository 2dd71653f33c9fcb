//! Pods and pod templates.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::apiserver::error::Cause;
use crate::apiserver::object_meta::{NameRule, validate_labels, wrong_name};

/// A pod spec at `path`.
pub(super) fn validate(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let volumes = volumes(spec, path, causes);
    let mut names = HashSet::new();
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for (at, container) in spec[field].as_array().into_iter().flatten().enumerate() {
            let path = format!("{path}.{field}[{at}]");
            validate_container(container, &path, &volumes, causes);
            if let Some(name) = container["name"].as_str()
                && !names.insert(name)
            {
                causes.push(Cause::duplicate(format!("{path}.name"), &container["name"]));
            }
        }
    }
    validate_labels(&spec["nodeSelector"], &format!("{path}.nodeSelector"), causes);
    let account = spec["serviceAccountName"].as_str().unwrap_or("");
    if let Some(detail) = wrong_name(account, NameRule::Subdomain).filter(|_| !account.is_empty()) {
        causes.push(Cause::invalid(
            format!("{path}.serviceAccountName"),
            &spec["serviceAccountName"],
            &detail,
        ));
    }
    let policy = spec["restartPolicy"].as_str().unwrap_or("Always");
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        let supported = ["Always", "OnFailure", "Never"].map(str::to_owned);
        causes.push(Cause::not_supported(
            format!("{path}.restartPolicy"),
            &spec["restartPolicy"],
            &supported,
        ));
    }
}

fn volumes<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (at, volume) in spec["volumes"].as_array().into_iter().flatten().enumerate() {
        let field = format!("{path}.volumes[{at}].name");
        match volume["name"].as_str() {
            None | Some("") => causes.push(Cause::required(field, "")),
            Some(name) => {
                if let Some(detail) = wrong_name(name, NameRule::Label) {
                    causes.push(Cause::invalid(field.clone(), &volume["name"], &detail));
                }
                if !names.insert(name) {
                    causes.push(Cause::duplicate(field, &volume["name"]));
                }
            }
        }
    }
    names
}

fn validate_container(container: &Value, path: &str, volumes: &HashSet<&str>, causes: &mut Vec<Cause>) {
    match container["name"].as_str() {
        None | Some("") => causes.push(Cause::required(format!("{path}.name"), "")),
        Some(name) => {
            if let Some(detail) = wrong_name(name, NameRule::Label) {
                causes.push(Cause::invalid(format!("{path}.name"), &container["name"], &detail));
            }
        }
    }
    if container["image"].as_str().unwrap_or("").is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    validate_ports(container, path, causes);
    let mut mount_paths = HashSet::new();
    for (at, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        let name = mount["name"].as_str().unwrap_or("");
        if !volumes.contains(name) {
            let message = format!("Not found: {name:?}");
            causes.push(Cause {
                reason: "FieldValueNotFound".to_owned(),
                message,
                field: format!("{path}.name"),
            });
        }
        let mount_path = mount["mountPath"].as_str().unwrap_or("");
        if mount_path.is_empty() {
            causes.push(Cause::required(format!("{path}.mountPath"), ""));
        } else if !mount_paths.insert(mount_path) {
            causes.push(Cause::invalid(format!("{path}.mountPath"), &mount["mountPath"], "must be unique"));
        }
    }
    for (at, variable) in container["env"].as_array().into_iter().flatten().enumerate() {
        if variable["name"].as_str().unwrap_or("").is_empty() {
            causes.push(Cause::required(format!("{path}.env[{at}].name"), ""));
        }
        if variable["valueFrom"].is_object() && !variable["value"].as_str().unwrap_or("").is_empty() {
            let detail = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{path}.env[{at}].valueFrom"), &json!(""), detail));
        }
    }
}

fn validate_ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut names = HashSet::new();
    for (at, port) in container["ports"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.ports[{at}]");
        match port["containerPort"].as_i64() {
            None => causes.push(Cause::required(format!("{path}.containerPort"), "")),
            Some(1..=65535) => {}
            Some(_) => {
                let detail = "must be between 1 and 65535, inclusive";
                causes.push(Cause::invalid(format!("{path}.containerPort"), &port["containerPort"], detail));
            }
        }
        if let Some(name) = port["name"].as_str() {
            if name.len() > 15 {
                causes.push(Cause::invalid(
                    format!("{path}.name"),
                    &port["name"],
                    "must be no more than 15 characters",
                ));
            }
            if !names.insert(name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &port["name"]));
            }
        }
    }
}

/// Fields that make no sense in a container that nobody restarts, probes or calls.
const NOT_EPHEMERAL: [&str; 6] =
    ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources"];

/// A new pod has no ephemeral containers.
pub(super) fn validate_create(object: &Value, causes: &mut Vec<Cause>) {
    if object["spec"]["ephemeralContainers"].as_array().is_some_and(|listed| !listed.is_empty()) {
        causes.push(Cause::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
}

/// Ephemeral containers are added; those there are stay as they are.
pub(super) fn validate_ephemeral(object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let listed = |pod: &Value| pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    let (now, before) = (listed(object), listed(old));
    for known in &before {
        if !now.contains(known) {
            let name = known["name"].as_str().unwrap_or("");
            let detail = format!("existing ephemeral containers {name:?} may not be removed or changed");
            causes.push(Cause::forbidden("spec.ephemeralContainers", &detail));
        }
    }
    let mains = object["spec"]["containers"].as_array().into_iter().flatten();
    let mains: Vec<&Value> = mains.map(|container| &container["name"]).collect();
    for (at, container) in now.iter().enumerate().filter(|(_, container)| !before.contains(container)) {
        let path = format!("spec.ephemeralContainers[{at}]");
        for field in NOT_EPHEMERAL {
            let given = &container[field];
            let empty = given.is_null() || *given == json!({}) || *given == json!([]);
            if !empty {
                let detail = "cannot be set for an Ephemeral Container";
                causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
            }
        }
        let target = &container["targetContainerName"];
        if target.as_str().is_some_and(|name| !name.is_empty()) && !mains.contains(&target) {
            let message = format!("Not found: {target}");
            let field = format!("{path}.targetContainerName");
            causes.push(Cause { reason: "FieldValueNotFound".to_owned(), message, field });
        }
    }
}

/// A running pod changes in few fields only.
pub(super) fn validate_update(object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if object["spec"] == old["spec"] {
        return;
    }
    let fixed = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        for field in ["initContainers", "containers"] {
            for container in spec
                .get_mut(field)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
                .filter_map(Value::as_object_mut)
            {
                container.remove("image");
            }
        }
        if let Some(map) = spec.as_object_mut() {
            for field in
                ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"]
            {
                map.remove(field);
            }
            // Binding by update is what this cluster's single node makes of scheduling.
            if pod["spec"]["nodeName"].is_null() || old["spec"]["nodeName"].is_null() {
                map.remove("nodeName");
            }
        }
        spec
    };
    if fixed(object) != fixed(old) {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.push(Cause::forbidden("spec", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ephemeral_containers_are_added_to_a_pod_there_is_and_stay() {
        let pod = |ephemeral: Value| json!({"spec": {"containers": [{"name": "web"}], "ephemeralContainers": ephemeral}});
        let look = json!({"name": "look", "image": "busybox", "targetContainerName": "web"});
        let fields = |causes: Vec<Cause>| causes.into_iter().map(|cause| cause.field).collect::<Vec<_>>();
        let mut refused = Vec::new();
        validate_create(&pod(json!([look])), &mut refused);
        assert_eq!(fields(refused), ["spec.ephemeralContainers"]);
        let changed = |now: Value, before: Value| {
            let mut causes = Vec::new();
            validate_ephemeral(&pod(now), &pod(before), &mut causes);
            fields(causes)
        };
        assert!(changed(json!([look]), json!([])).is_empty());
        assert_eq!(changed(json!([]), json!([look])), ["spec.ephemeralContainers"]);
        let wrong = json!({"name": "b", "image": "i", "targetContainerName": "no", "livenessProbe": {"periodSeconds": 1}});
        assert_eq!(
            changed(json!([look, wrong]), json!([look])),
            ["spec.ephemeralContainers[1].livenessProbe", "spec.ephemeralContainers[1].targetContainerName"]
        );
    }
}
