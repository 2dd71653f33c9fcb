//! Deployments: one ReplicaSet per template, and the way from the old one to the new.

mod rollout;
mod status;

use std::sync::Arc;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, content_hash, controller_reference, number, text};
use crate::api_client::{ApiError, ResourceRef};

/// Label that tells the pods of one template from those of another.
const HASH: &str = "pod-template-hash";
/// Annotation that counts templates.
const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(deployment) = context.get(&ResourceRef::DEPLOYMENTS, namespace, name).await? else {
        return Ok(None);
    };
    let sets = context.controlled(&ResourceRef::REPLICA_SETS, &deployment).await?;
    if deployment["metadata"]["deletionTimestamp"].is_string() {
        return status::write(context, &deployment, &sets).await;
    }
    let paused = deployment["spec"]["paused"] == true;
    let newest = match sets.iter().find(|set| is_of_template(set, &deployment)) {
        Some(set) => Some(update_revision(context, &deployment, set, &sets).await?),
        None if paused => None,
        None => Some(create_newest(context, &deployment, &sets).await?),
    };
    if let (Some(newest), false) = (&newest, paused) {
        let old: Vec<Arc<Value>> =
            sets.iter().filter(|set| set["metadata"]["uid"] != newest["metadata"]["uid"]).cloned().collect();
        rollout::step(context, &deployment, newest, &old).await?;
        forget_old(context, &deployment, &old).await?;
    }
    let sets = context.controlled(&ResourceRef::REPLICA_SETS, &deployment).await?;
    status::write(context, &deployment, &sets).await
}

/// True where a ReplicaSet has the Deployment's template.
fn is_of_template(set: &Value, deployment: &Value) -> bool {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    without_nulls(&template) == without_nulls(&deployment["spec"]["template"])
}

/// Servers write `creationTimestamp: null` into templates or leave it out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, field)| !field.is_null())
            .map(|(key, field)| (key.clone(), without_nulls(field)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn revision(object: &Value) -> i64 {
    object["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn create_newest(
    context: &Context,
    deployment: &Value,
    sets: &[Arc<Value>],
) -> Result<Arc<Value>, ApiError> {
    let next = sets.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let hash = content_hash(&without_nulls(&deployment["spec"]["template"]));
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    let namespace = text(deployment, "/metadata/namespace");
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", text(deployment, "/metadata/name")),
            "namespace": namespace,
            "labels": template["metadata"]["labels"],
            "annotations": {
                REVISION: next.to_string(),
                "deployment.kubernetes.io/desired-replicas": number(deployment, "/spec/replicas").unwrap_or(1).to_string(),
            },
            "ownerReferences": [controller_reference(&ResourceRef::DEPLOYMENTS, deployment)],
        },
        // The rollout gives it its replicas; the first template gets all at once there.
        "spec": { "replicas": 0, "selector": selector, "template": template, "minReadySeconds": deployment["spec"]["minReadySeconds"] },
    });
    let created = context.api.create(&ResourceRef::REPLICA_SETS, namespace, set).await?;
    write_revision(context, &ResourceRef::DEPLOYMENTS, deployment, next).await?;
    Ok(created)
}

/// A template that comes back (a rollback) becomes the newest revision.
async fn update_revision(
    context: &Context,
    deployment: &Value,
    set: &Arc<Value>,
    sets: &[Arc<Value>],
) -> Result<Arc<Value>, ApiError> {
    let others = sets.iter().filter(|other| other["metadata"]["uid"] != set["metadata"]["uid"]);
    let newest = others.map(|other| revision(other)).max().unwrap_or(0);
    let mut set = set.clone();
    if revision(&set) <= newest {
        set = write_revision(context, &ResourceRef::REPLICA_SETS, &set, newest + 1).await?;
    }
    write_revision(context, &ResourceRef::DEPLOYMENTS, deployment, revision(&set)).await?;
    Ok(set)
}

async fn write_revision(
    context: &Context,
    resource: &ResourceRef,
    object: &Value,
    wanted: i64,
) -> Result<Arc<Value>, ApiError> {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    if revision(object) == wanted {
        return context.api.get(resource, namespace, name).await;
    }
    let patch = json!({ "metadata": { "annotations": { REVISION: wanted.to_string() } } });
    context.api.merge_patch(resource, namespace, name, "", patch).await
}

/// Deletes empty ReplicaSets beyond `revisionHistoryLimit`, oldest first.
async fn forget_old(context: &Context, deployment: &Value, old: &[Arc<Value>]) -> Result<(), ApiError> {
    let limit = usize::try_from(number(deployment, "/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(0);
    let mut empty: Vec<&Arc<Value>> = old
        .iter()
        .filter(|set| {
            number(set, "/spec/replicas") == Some(0) && number(set, "/status/replicas").unwrap_or(0) == 0
        })
        .collect();
    empty.sort_by_key(|set| revision(set));
    for set in empty.iter().take(empty.len().saturating_sub(limit)) {
        context.delete(&ResourceRef::REPLICA_SETS, set).await?;
    }
    Ok(())
}
