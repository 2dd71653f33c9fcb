//! What differs from kind to kind when objects are created, changed and deleted.

pub(super) mod autoscaling;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::defaults;
use super::error::ApiError;
use super::operations::Target;
use super::registry::{ResourceDefinition, custom};
use super::schema;
use crate::api_client::ResourceRef;

/// Group and plural, to match on.
pub(crate) fn kind_key(target: &Target) -> (&str, &str) {
    if target.definition.custom {
        ("custom", "")
    } else {
        (&target.definition.reference.group, &target.definition.reference.plural)
    }
}

/// The object in the version of the request.
pub(crate) fn in_version(target: &Target, object: &Arc<Value>) -> Arc<Value> {
    if object["apiVersion"] == target.api_version().as_str() {
        return object.clone();
    }
    let mut converted = (**object).clone();
    convert(&target.definition, &mut converted, &target.version);
    Arc::new(converted)
}

/// Makes another version of an object. Versions of a CRD differ in name only (conversion `None`).
pub(crate) fn convert(definition: &ResourceDefinition, object: &mut Value, version: &str) {
    let api_version = definition.api_version(version);
    if object["apiVersion"] == api_version.as_str() {
        return;
    }
    object["apiVersion"] = json!(api_version);
    if &*definition.reference.group == "autoscaling" && !definition.custom {
        match version {
            "v1" => autoscaling::downgrade(object),
            _ => autoscaling::upgrade(object),
        }
    }
}

/// Puts the storage version in. What the request could not change because it is of another version stays as `stored` has it.
pub(crate) fn prepare_storage(target: &Target, object: &mut Value, stored: Option<&Value>) {
    let reference = &target.definition.reference;
    let other_version = target.version != *reference.version;
    convert(&target.definition, object, &reference.version);
    if let Some(status) = stored.and_then(|stored| stored.get("status"))
        && other_version
        && target.version_definition().status
        && target.subresource.is_empty()
    {
        object["status"] = status.clone();
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}

/// What Kubernetes' create strategies do: status is not the creator's to set, generation starts at 1.
pub(crate) fn prepare_create(target: &Target, object: &mut Value) {
    let version = target.version_definition();
    if version.status {
        remove(object, "status");
    }
    if has_generation(target) {
        object["metadata"]["generation"] = json!(1);
    } else if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("generation");
    }
    match kind_key(target) {
        ("", "pods") => {
            object["status"] = json!({"phase": "Pending", "qosClass": defaults::quality_of_service(object)})
        }
        ("", "namespaces") => {
            object["status"] = json!({"phase": "Active"});
            object["spec"]["finalizers"] = json!(["kubernetes"]);
        }
        ("", "secrets") => defaults::merge_string_data(object),
        ("", "services") => object["status"] = json!({"loadBalancer": {}}),
        ("networking.k8s.io", "ingresses") => object["status"] = json!({"loadBalancer": {}}),
        ("", "nodes") => {}
        ("batch", "jobs") => {
            object["status"] = json!({});
            select_own_pods(object);
        }
        ("apps" | "batch", _) if version.status => object["status"] = json!({}),
        _ => {}
    }
    if target.definition.is(&ResourceRef::CUSTOM_RESOURCE_DEFINITIONS) {
        custom::apply_defaults(object);
        custom::establish(object, None);
    }
}

/// A job selects its pods by its own uid, unless its writer wants otherwise.
fn select_own_pods(job: &mut Value) {
    if job["spec"]["manualSelector"] == true || !job["spec"]["template"].is_object() {
        return;
    }
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for prefix in ["batch.kubernetes.io/", ""] {
        labels[format!("{prefix}controller-uid")] = uid.clone();
        if name.is_string() {
            labels[format!("{prefix}job-name")] = name.clone();
        }
    }
    job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid;
}

/// What Kubernetes' update strategies do: an update of the object keeps its status, an update of the status keeps the rest.
pub(crate) fn prepare_update(target: &Target, object: &mut Value, old: &Value) {
    let version = target.version_definition();
    match target.subresource.as_str() {
        "status" => keep_all_but_status(target, object, old),
        "ephemeralcontainers" => {
            let wanted = object["spec"]["ephemeralContainers"].clone();
            let entries = object["metadata"]["managedFields"].clone();
            *object = old.clone();
            object["spec"]["ephemeralContainers"] = wanted;
            object["metadata"]["managedFields"] = entries;
        }
        "finalize" => {
            let finalizers = object["spec"]["finalizers"].clone();
            *object = old.clone();
            object["spec"]["finalizers"] = finalizers;
        }
        _ => {
            if version.status {
                match old.get("status") {
                    Some(status) => object["status"] = status.clone(),
                    None => remove(object, "status"),
                }
            }
            keep_fixed_fields(target, object, old);
        }
    }
}

fn keep_all_but_status(target: &Target, object: &mut Value, old: &Value) {
    let mut merged = old.clone();
    match object.get("status") {
        Some(status) => merged["status"] = status.clone(),
        None => remove(&mut merged, "status"),
    }
    let shared_metadata = matches!(kind_key(target), ("", "pods" | "nodes" | "services" | "namespaces"));
    let metadata: Map<String, Value> = object["metadata"].as_object().cloned().unwrap_or_default();
    if shared_metadata {
        for field in ["labels", "annotations", "finalizers"] {
            match metadata.get(field) {
                Some(value) => merged["metadata"][field] = value.clone(),
                None => {
                    if let Some(map) = merged["metadata"].as_object_mut() {
                        map.remove(field);
                    }
                }
            }
        }
    }
    merged["metadata"]["managedFields"] = metadata.get("managedFields").cloned().unwrap_or_default();
    merged["metadata"]["resourceVersion"] = metadata.get("resourceVersion").cloned().unwrap_or_default();
    *object = merged;
}

fn keep_fixed_fields(target: &Target, object: &mut Value, old: &Value) {
    match kind_key(target) {
        ("", "secrets") => defaults::merge_string_data(object),
        ("", "namespaces") => object["spec"] = old["spec"].clone(),
        ("", "services") => keep_service_allocations(object, old),
        ("apiextensions.k8s.io", "customresourcedefinitions") => custom::establish(object, Some(old)),
        _ => {}
    }
}

/// A service update that leaves allocated values out keeps them (`kubectl replace` of a manifest without clusterIP).
fn keep_service_allocations(object: &mut Value, old: &Value) {
    let (new, old) = (&mut object["spec"], &old["spec"]);
    let same_shape = (new["type"] == "ExternalName") == (old["type"] == "ExternalName");
    if !same_shape {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        if new[field].is_null() && !old[field].is_null() {
            new[field] = old[field].clone();
        }
        if new[field].is_null() {
            remove(new, field);
        }
    }
    let with_node_ports = new["type"] == "NodePort" || new["type"] == "LoadBalancer";
    let Some(ports) = new["ports"].as_array_mut().filter(|_| with_node_ports) else { return };
    for port in ports {
        let same = |other: &&Value| other["port"] == port["port"] && other["name"] == port["name"];
        let known =
            old["ports"].as_array().into_iter().flatten().find(same).map(|other| other["nodePort"].clone());
        if port["nodePort"].as_i64().unwrap_or(0) == 0
            && let Some(known) = known.filter(Value::is_number)
        {
            port["nodePort"] = known;
        }
    }
}

/// Defaults of built-in kinds, or of the CRD's schema.
pub(crate) fn apply_defaults(target: &Target, object: &mut Value) {
    if target.definition.custom {
        schema::apply_defaults(&target.version_definition().schema, object);
    } else {
        defaults::apply(kind_key(target), object);
    }
}

/// Whether `metadata.generation` counts changes of this kind's wanted state.
fn has_generation(target: &Target) -> bool {
    matches!(
        kind_key(target),
        ("custom", _)
            | ("apps" | "batch" | "policy" | "admissionregistration.k8s.io" | "apiextensions.k8s.io", _)
            | ("", "pods" | "replicationcontrollers")
            | ("networking.k8s.io", "ingresses" | "networkpolicies" | "ingressclasses")
            | ("discovery.k8s.io", "endpointslices")
    )
}

/// Counts the generation up when anything but metadata and status differs.
pub(crate) fn bump_generation(target: &Target, object: &mut Value, old: &Value) {
    if !has_generation(target) || !target.subresource.is_empty() {
        return;
    }
    let ignores_status = target.version_definition().status;
    let wanted = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let counted = fields.filter(|(name, _)| match name.as_str() {
            "metadata" | "apiVersion" | "kind" => false,
            "status" => !ignores_status,
            _ => true,
        });
        counted.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    if wanted(object) != wanted(old) {
        object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
    }
}

/// Some objects cannot be deleted.
pub(crate) fn check_delete(target: &Target) -> Result<(), ApiError> {
    let protected =
        matches!(target.name.as_str(), "default" | "kube-system" | "kube-public" | "kube-node-lease");
    if kind_key(target) == ("", "namespaces") && protected {
        return Err(ApiError::forbidden(
            &target.definition.reference,
            &target.name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// Seconds that a deleted object stays for its graceful end: pods that run somewhere.
pub(crate) fn delete_grace(target: &Target, object: &Value, requested: Option<i64>) -> i64 {
    if kind_key(target) != ("", "pods") {
        return 0;
    }
    let scheduled = !object["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
    let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !scheduled || ended {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    requested.unwrap_or(own).max(0)
}

/// Whether nothing holds the object back.
pub(crate) fn without_finalizers(target: &Target, object: &Value) -> bool {
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    empty(&object["metadata"]["finalizers"])
        && (kind_key(target) != ("", "namespaces") || empty(&object["spec"]["finalizers"]))
}

/// Whether a deleted object disappears with this update.
pub(crate) fn may_go(target: &Target, object: &Value) -> bool {
    without_finalizers(target, object)
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// The status of an object that waits for its end.
pub(crate) fn mark_terminating(target: &Target, object: &mut Value) {
    match kind_key(target) {
        ("", "namespaces") => object["status"]["phase"] = json!("Terminating"),
        ("apiextensions.k8s.io", "customresourcedefinitions") => custom::mark_terminating(object),
        _ => {}
    }
}
