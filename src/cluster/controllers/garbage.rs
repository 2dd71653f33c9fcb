//! Garbage collection: what an object owned goes with it, in the way the deletion asked for.
//!
//! Background: the owner goes at once and its dependents after it. Foreground: dependents that block it go first. Orphan: dependents
//! stay and forget it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, text};
use super::key::Key;
use super::namespace::namespaced_kinds;
use super::queue::Queue;
use crate::api_client::{ApiError, OwnerChange, ResourceRef};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// How soon an owner that waits for its dependents is looked at again.
const PAUSE: Duration = Duration::from_millis(100);

fn owners(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map_or(&[], Vec::as_slice)
}

/// Everything that names the owner, with its kind. Cluster-scoped owners may own in all namespaces, others in their own.
fn dependents(context: &Context, namespace: &str, uid: &str) -> Vec<(ResourceRef, Arc<Value>)> {
    let mut found = context.api.dependents(uid);
    found.retain(|(_, object)| namespace.is_empty() || text(object, "/metadata/namespace") == namespace);
    found
}

/// Follows what happens to owners of every kind. What lost its owner while nobody looked is found at the start.
pub(super) async fn follow(context: Arc<Context>, queue: Arc<Queue>) {
    let mut events = context.api.owner_events();
    for (resource, namespace, name) in context.api.owned() {
        queue.add(Key::Dependent { resource, namespace, name });
    }
    while let Some(event) = events.next().await {
        queue.add(match event {
            OwnerChange::Gone { namespace, uid } => Key::OwnerGone { namespace, uid },
            OwnerChange::Leaving { resource, namespace, name } => Key::Leaving { resource, namespace, name },
        });
    }
}

/// An owner is gone: dependents without any other owner go too.
pub(super) async fn owner_gone(context: &Context, namespace: &str, uid: &str) -> Reconciled {
    for (resource, object) in dependents(context, namespace, uid) {
        collect(context, &resource, &object).await?;
    }
    Ok(None)
}

/// An object with owners: it goes where none of them exists.
pub(super) async fn dependent(
    context: &Context,
    resource: &ResourceRef,
    namespace: &str,
    name: &str,
) -> Reconciled {
    if let Some(object) = context.get(resource, namespace, name).await? {
        collect(context, resource, &object).await?;
    }
    Ok(None)
}

async fn collect(context: &Context, resource: &ResourceRef, object: &Value) -> Result<(), ApiError> {
    if object["metadata"]["deletionTimestamp"].is_string() || owners(object).is_empty() {
        return Ok(());
    }
    for owner in owners(object) {
        if exists(context, owner, text(object, "/metadata/namespace")).await? {
            return Ok(());
        }
    }
    context.delete(resource, object).await
}

/// True where the owner is there, or nobody can tell: a kind that is unknown now may come back.
async fn exists(context: &Context, owner: &Value, namespace: &str) -> Result<bool, ApiError> {
    let Some(resource) = kind_of(context, owner).await? else { return Ok(true) };
    let place = if resource.namespaced { namespace } else { "" };
    let found = context.get(&resource, place, text(owner, "/name")).await?;
    Ok(found.is_some_and(|found| text(&found, "/metadata/uid") == text(owner, "/uid")))
}

async fn kind_of(context: &Context, owner: &Value) -> Result<Option<ResourceRef>, ApiError> {
    let (version, kind) = (text(owner, "/apiVersion"), text(owner, "/kind"));
    if let Some(resource) = ResourceRef::builtin(version, kind) {
        return Ok(Some(resource.clone()));
    }
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let kinds = namespaced_kinds(context).await?;
    Ok(kinds.into_iter().find(|resource| resource.kind == kind && resource.group == group))
}

/// An object on its way out that waits for the garbage collector.
pub(super) async fn leaving(
    context: &Context,
    resource: &ResourceRef,
    namespace: &str,
    name: &str,
) -> Reconciled {
    let Some(object) = context.get(resource, namespace, name).await? else { return Ok(None) };
    let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let uid = text(&object, "/metadata/uid");
    if finalizers.iter().any(|finalizer| finalizer == ORPHAN) {
        for (kind, dependent) in dependents(context, namespace, uid) {
            forget(context, &kind, &dependent, uid).await?;
        }
        remove_finalizer(context, resource, &object, ORPHAN).await?;
    } else if finalizers.iter().any(|finalizer| finalizer == FOREGROUND) {
        let mut blocking = 0;
        for (kind, dependent) in dependents(context, namespace, uid) {
            let blocks = owners(&dependent)
                .iter()
                .any(|owner| text(owner, "/uid") == uid && owner["blockOwnerDeletion"] == true);
            blocking += usize::from(blocks);
            if !dependent["metadata"]["deletionTimestamp"].is_string() {
                let options = crate::api_client::DeleteOptions {
                    propagation: Some(crate::api_client::Propagation::Foreground),
                    ..Default::default()
                };
                let deleted = context
                    .api
                    .delete(
                        &kind,
                        text(&dependent, "/metadata/namespace"),
                        text(&dependent, "/metadata/name"),
                        &options,
                    )
                    .await;
                deleted
                    .map(|_| ())
                    .or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })?;
            }
        }
        if blocking > 0 {
            return Ok(Some(PAUSE));
        }
        remove_finalizer(context, resource, &object, FOREGROUND).await?;
    }
    Ok(None)
}

async fn forget(
    context: &Context,
    resource: &ResourceRef,
    dependent: &Value,
    uid: &str,
) -> Result<(), ApiError> {
    let left: Vec<&Value> = owners(dependent).iter().filter(|owner| text(owner, "/uid") != uid).collect();
    let patch = json!({ "metadata": { "ownerReferences": left } });
    let (namespace, name) = (text(dependent, "/metadata/namespace"), text(dependent, "/metadata/name"));
    context.api.merge_patch(resource, namespace, name, "", patch).await.map(|_| ())
}

async fn remove_finalizer(
    context: &Context,
    resource: &ResourceRef,
    object: &Value,
    finalizer: &str,
) -> Result<(), ApiError> {
    let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let left: Vec<&Value> = finalizers.iter().filter(|known| *known != finalizer).collect();
    let patch = json!({ "metadata": { "finalizers": left } });
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    match context.api.merge_patch(resource, namespace, name, "", patch).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
