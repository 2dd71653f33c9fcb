//! Validation of objects before they are stored, with Kubernetes' field paths and messages.

mod core;
mod pod;
mod service;
mod workload;

use serde_json::{Value, json};

use super::error::Cause;
use super::kinds::kind_key;
use super::object_meta::{self, NameRule};
use super::operations::{Operations, Target};
use super::registry::custom;
use super::schema::{self, Schema, SchemaKind};

/// Most causes that one refusal lists.
const CAUSE_LIMIT: usize = 50;

fn name_rule(target: &Target) -> NameRule {
    match kind_key(target) {
        ("", "services") => NameRule::ServiceLabel,
        ("", "namespaces") => NameRule::Label,
        ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    }
}

/// Every problem of a new object.
pub(crate) fn validate_create(operations: &Operations, target: &Target, object: &Value) -> Vec<Cause> {
    let mut causes = object_meta::validate(object, name_rule(target), target.definition.reference.namespaced);
    validate_body(operations, target, object, None, &mut causes);
    if kind_key(target) == ("", "pods") {
        pod::validate_create(object, &mut causes);
    }
    causes.truncate(CAUSE_LIMIT);
    causes
}

/// Every problem of a changed object, also fields that may not change.
pub(crate) fn validate_update(
    operations: &Operations,
    target: &Target,
    object: &Value,
    old: &Value,
) -> Vec<Cause> {
    let mut causes = object_meta::validate(object, name_rule(target), target.definition.reference.namespaced);
    if target.subresource == "status" && !target.definition.custom {
        return causes;
    }
    validate_body(operations, target, object, Some(old), &mut causes);
    match kind_key(target) {
        ("", "pods") if target.subresource == "ephemeralcontainers" => {
            pod::validate_ephemeral(object, old, &mut causes);
        }
        ("", "pods") => pod::validate_update(object, old, &mut causes),
        ("", "configmaps" | "secrets") => core::validate_immutable_data(object, old, &mut causes),
        ("apps" | "batch", plural) => workload::validate_update(plural, object, old, &mut causes),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            custom::validate_update(object, old, &mut causes)
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            immutable("roleRef", object, old, &mut causes)
        }
        ("discovery.k8s.io", "endpointslices") => immutable("addressType", object, old, &mut causes),
        _ => {}
    }
    forbid_new_finalizers(object, old, &mut causes);
    causes.truncate(CAUSE_LIMIT);
    causes
}

fn validate_body(
    operations: &Operations,
    target: &Target,
    object: &Value,
    old: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    let schema = &target.version_definition().schema;
    if target.definition.custom {
        causes.extend(schema::validate(schema, object, old));
        return;
    }
    let before = causes.len();
    match kind_key(target) {
        ("", "pods") => pod::validate(&object["spec"], "spec", causes),
        ("", "services") => service::validate(object, causes),
        ("", "configmaps" | "secrets") => core::validate_data(object, causes),
        ("", "endpoints") => {}
        ("apps" | "batch", plural) => workload::validate(plural, object, causes),
        ("apiextensions.k8s.io", "customresourcedefinitions") => custom::validate(operations, object, causes),
        ("admissionregistration.k8s.io", _) => core::validate_webhooks(object, causes),
        ("rbac.authorization.k8s.io", _) => core::validate_rbac(object, causes),
        ("policy", "poddisruptionbudgets") => core::validate_budget(object, causes),
        ("coordination.k8s.io", "leases") => core::validate_lease(object, causes),
        _ => {}
    }
    if causes.len() == before {
        required_fields(schema, object, "", causes);
    }
}

/// Fields that the published API marks as required.
fn required_fields(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let node = schema.resolved();
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (&node.kind, value) {
        (SchemaKind::Object { fields, .. }, Value::Object(map)) => {
            for name in &node.required {
                if !map.contains_key(name) {
                    causes.push(Cause::required(join(name), ""));
                }
            }
            for (name, value) in map.iter().filter(|(name, _)| *name != "status" && *name != "metadata") {
                if let Some(field) = fields.get(name) {
                    required_fields(field, value, &join(name), causes);
                }
            }
        }
        (SchemaKind::Map(item), Value::Object(map)) => {
            for (name, value) in map {
                required_fields(item, value, &join(name), causes);
            }
        }
        (SchemaKind::List { item, .. }, Value::Array(items)) => {
            for (at, value) in items.iter().enumerate() {
                required_fields(item, value, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

/// A field that never changes.
fn immutable(field: &str, object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let mut new_value = object;
    let mut old_value = old;
    for part in field.split('.') {
        new_value = &new_value[part];
        old_value = &old_value[part];
    }
    if new_value != old_value {
        causes.push(Cause::invalid(field, new_value, "field is immutable"));
    }
}

fn forbid_new_finalizers(object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if !crate::api_client::resource::is_deleting(old) {
        return;
    }
    let list = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let before = list(old);
    let added: Vec<Value> =
        list(object).into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
    if !added.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers {}",
            json!(added)
        );
        causes.push(Cause::forbidden("metadata.finalizers", &detail));
    }
}
