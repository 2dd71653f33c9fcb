//! Events in, keys out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::context::{Context, controller_of, text};
use super::key::Key;
use super::queue::Queue;
use crate::api_client::{ApiError, ListOptions, ResourceRef, WatchEventType, WatchOptions};

/// Pause before a watch that broke is begun anew.
const PAUSE: Duration = Duration::from_millis(200);

/// The kinds whose events matter: those that controllers make or read, and all that can own or be owned.
pub(super) const WATCHED: &[&ResourceRef] = &[
    &ResourceRef::NAMESPACES,
    &ResourceRef::PODS,
    &ResourceRef::SERVICES,
    &ResourceRef::CONFIG_MAPS,
    &ResourceRef::SECRETS,
    &ResourceRef::SERVICE_ACCOUNTS,
    &ResourceRef::ENDPOINTS,
    &ResourceRef::DEPLOYMENTS,
    &ResourceRef::REPLICA_SETS,
    &ResourceRef::STATEFUL_SETS,
    &ResourceRef::DAEMON_SETS,
    &ResourceRef::JOBS,
    &ResourceRef::CRON_JOBS,
    &ResourceRef::PERSISTENT_VOLUMES,
    &ResourceRef::PERSISTENT_VOLUME_CLAIMS,
    &ResourceRef::STORAGE_CLASSES,
    &ResourceRef::ENDPOINT_SLICES,
    &ResourceRef::NODES,
    &ResourceRef::HORIZONTAL_POD_AUTOSCALERS,
    &ResourceRef::POD_DISRUPTION_BUDGETS,
    &ResourceRef::RESOURCE_QUOTAS,
    &ResourceRef::INGRESSES,
];

/// Follows one kind for ever: lists, then watches from there; begins anew when the history was cut.
pub(super) async fn follow(context: Arc<Context>, queue: Arc<Queue>, resource: &'static ResourceRef) {
    let mut known: BTreeMap<(String, String), Arc<Value>> = BTreeMap::new();
    loop {
        if let Err(error) = once(&context, &queue, resource, &mut known).await {
            tracing::debug!(resource = %resource.plural, %error, "watching again");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn once(
    context: &Context,
    queue: &Arc<Queue>,
    resource: &'static ResourceRef,
    known: &mut BTreeMap<(String, String), Arc<Value>>,
) -> Result<(), ApiError> {
    let list = context.api.list(resource, "", &ListOptions::default()).await?;
    let mut before = std::mem::take(known);
    for object in list.items {
        let name = named(&object);
        before.remove(&name);
        changed(context, queue, resource, &object, false).await?;
        known.insert(name, object);
    }
    for gone in before.into_values() {
        changed(context, queue, resource, &gone, true).await?;
    }
    let options = WatchOptions { resource_version: Some(list.resource_version), ..WatchOptions::default() };
    let mut watch = context.api.watch(resource, "", &options).await?;
    loop {
        let event = watch.next().await?;
        match event.event_type {
            WatchEventType::Deleted => {
                known.remove(&named(&event.object));
                changed(context, queue, resource, &event.object, true).await?;
            }
            WatchEventType::Added | WatchEventType::Modified => {
                let before = known.insert(named(&event.object), event.object.clone());
                // A pod that lost a label leaves the services that selected it: they have to hear of its old self too.
                if let Some(before) =
                    before.filter(|before| before["metadata"]["labels"] != event.object["metadata"]["labels"])
                {
                    changed(context, queue, resource, &before, false).await?;
                }
                changed(context, queue, resource, &event.object, false).await?;
            }
        }
    }
}

fn named(object: &Value) -> (String, String) {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

/// Asks for everything that an event may concern.
async fn changed(
    context: &Context,
    queue: &Arc<Queue>,
    resource: &'static ResourceRef,
    object: &Value,
    gone: bool,
) -> Result<(), ApiError> {
    let (namespace, name) = named(object);
    own_key(queue, resource, &namespace, &name);
    if let Some(owner) = controller_of(object) {
        owner_key(queue, &namespace, text(owner, "/kind"), text(owner, "/name"));
    }
    if resource.kind == "Pod" {
        for service in context.list(&ResourceRef::SERVICES, &namespace).await? {
            if super::endpoint_slice::selects(&service, object) {
                queue.add(Key::Service(namespace.clone(), text(&service, "/metadata/name").to_owned()));
            }
        }
    }
    let slice_of = object.pointer("/metadata/labels/kubernetes.io~1service-name").and_then(Value::as_str);
    if let (Some(service), "EndpointSlice") = (slice_of, resource.kind.as_ref()) {
        queue.add(Key::Service(namespace.clone(), service.to_owned()));
    }
    if resource.kind == "Endpoints" {
        queue.add(Key::Service(namespace.clone(), name.clone()));
    }
    for counting in super::limits::COUNTING {
        if !namespace.is_empty() && !context.list(&counting, &namespace).await?.is_empty() {
            queue.add(Key::Limits(namespace.clone()));
        }
    }
    storage_keys(context, queue, resource, object).await?;
    super::token_secret::keys(context, queue, resource, object).await?;
    super::autoscaler::keys(context, queue, resource, object).await?;
    super::taint_eviction::keys(context, queue, resource, object, gone).await?;
    if resource.kind == "Node" {
        for set in context.list(&ResourceRef::DAEMON_SETS, "").await? {
            own_key(
                queue,
                &ResourceRef::DAEMON_SETS,
                text(&set, "/metadata/namespace"),
                text(&set, "/metadata/name"),
            );
        }
    }
    garbage_keys(queue, resource, object, &namespace, &name, gone);
    Ok(())
}

/// An object that comes with owners which are gone already, or the end of something in a namespace that waits for it.
fn garbage_keys(
    queue: &Arc<Queue>,
    resource: &'static ResourceRef,
    object: &Value,
    namespace: &str,
    name: &str,
    gone: bool,
) {
    if gone {
        if !namespace.is_empty() {
            queue.add(Key::Namespace(namespace.to_owned()));
        }
    } else if object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty()) {
        let (resource, namespace, name) = (resource.clone(), namespace.to_owned(), name.to_owned());
        queue.add(Key::Dependent { resource, namespace, name });
    }
}

/// A claim's volume hears of its claim; claims that wait hear of volumes and classes.
async fn storage_keys(
    context: &Context,
    queue: &Arc<Queue>,
    resource: &ResourceRef,
    object: &Value,
) -> Result<(), ApiError> {
    let volume = text(object, "/spec/volumeName");
    match resource.kind.as_ref() {
        "PersistentVolumeClaim" if !volume.is_empty() => queue.add(Key::Volume(volume.to_owned())),
        "PersistentVolume" | "StorageClass" => {
            for claim in context.list(&ResourceRef::PERSISTENT_VOLUME_CLAIMS, "").await? {
                if text(&claim, "/status/phase") != "Bound"
                    || claim["spec"]["volumeName"] == object["metadata"]["name"]
                {
                    own_key(
                        queue,
                        &ResourceRef::PERSISTENT_VOLUME_CLAIMS,
                        text(&claim, "/metadata/namespace"),
                        text(&claim, "/metadata/name"),
                    );
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn own_key(queue: &Arc<Queue>, resource: &ResourceRef, namespace: &str, name: &str) {
    let (space, name) = (namespace.to_owned(), name.to_owned());
    match resource.kind.as_ref() {
        "Namespace" => queue.add(Key::Namespace(name)),
        "Deployment" => queue.add(Key::Deployment(space, name)),
        "ReplicaSet" => queue.add(Key::ReplicaSet(space, name)),
        "StatefulSet" => queue.add(Key::StatefulSet(space, name)),
        "DaemonSet" => queue.add(Key::DaemonSet(space, name)),
        "Job" => queue.add(Key::Job(space, name)),
        "PersistentVolumeClaim" => queue.add(Key::Claim(space, name)),
        "PersistentVolume" => queue.add(Key::Volume(name)),
        "CronJob" => queue.add(Key::CronJob(space, name)),
        "Service" => queue.add(Key::Service(space, name)),
        "HorizontalPodAutoscaler" => queue.add(Key::Autoscaler(space, name)),
        _ => {}
    }
}

fn owner_key(queue: &Arc<Queue>, namespace: &str, kind: &str, name: &str) {
    let known = [
        &ResourceRef::DEPLOYMENTS,
        &ResourceRef::REPLICA_SETS,
        &ResourceRef::STATEFUL_SETS,
        &ResourceRef::DAEMON_SETS,
        &ResourceRef::JOBS,
        &ResourceRef::CRON_JOBS,
    ];
    if let Some(resource) = known.into_iter().find(|resource| resource.kind == kind) {
        own_key(queue, resource, namespace, name);
    }
}
