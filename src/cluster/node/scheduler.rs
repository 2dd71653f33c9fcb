//! Binds pods to the one node, or says why they do not fit.

mod fit;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::NODE_NAME;
use crate::api_client::resource::{name_of, namespace_of};
use crate::api_client::{ApiClient, ListOptions, ResourceRef, WatchOptions};
use crate::events::{Event, EventRecorder};

const WATCH_RETRY: Duration = Duration::from_millis(200);
/// Pods without a node.
const UNBOUND: &str = "spec.nodeName=";
const COMPONENT: &str = "default-scheduler";

/// Runs until it is aborted.
pub(super) async fn run(api: ApiClient) {
    let events = EventRecorder::new(api.clone());
    let look = Arc::new(Notify::new());
    let mut watches = JoinSet::new();
    // Whatever may make a pod fit that did not.
    let watched =
        [(ResourceRef::PODS, UNBOUND), (ResourceRef::NODES, ""), (ResourceRef::PERSISTENT_VOLUME_CLAIMS, "")];
    for (resource, selector) in watched {
        watches.spawn(follow(api.clone(), resource, selector, look.clone()));
    }
    loop {
        look.notified().await;
        let options = ListOptions { field_selector: UNBOUND.to_owned(), ..ListOptions::default() };
        match api.list(&ResourceRef::PODS, "", &options).await {
            Ok(pods) => {
                for pod in pods.items {
                    schedule(&api, &events, &pod).await;
                }
            }
            Err(error) => tracing::warn!(%error, "cannot list pods"),
        }
    }
}

async fn follow(api: ApiClient, resource: ResourceRef, selector: &str, look: Arc<Notify>) {
    loop {
        let options = WatchOptions { field_selector: selector.to_owned(), ..WatchOptions::default() };
        match api.watch(&resource, "", &options).await {
            Ok(mut changes) => {
                while changes.next().await.is_ok() {
                    look.notify_one();
                }
            }
            Err(error) => tracing::warn!(resource = %resource.plural, %error, "cannot watch"),
        }
        tokio::time::sleep(WATCH_RETRY).await;
    }
}

async fn schedule(api: &ApiClient, events: &EventRecorder, pod: &Value) {
    let spec = &pod["spec"];
    let other_scheduler = spec["schedulerName"].as_str().is_some_and(|name| name != COMPONENT);
    let gated = spec["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    let deleted = !pod["metadata"]["deletionTimestamp"].is_null();
    if other_scheduler || gated || deleted || !spec["nodeName"].as_str().unwrap_or("").is_empty() {
        return;
    }
    // The node registers itself; its coming is a change.
    let Ok(node) = api.get(&ResourceRef::NODES, "", NODE_NAME).await else { return };
    let (namespace, name) = (namespace_of(pod), name_of(pod));
    if let Some(reason) = unbound_claim(api, pod).await.or_else(|| fit::refusal(pod, &node)) {
        let message = format!("0/1 nodes are available: {reason}.");
        refuse(api, events, pod, &message).await;
        return;
    }
    let message = format!("Successfully assigned {namespace}/{name} to {NODE_NAME}");
    let assigned = Event::normal("Scheduled", message);
    match api
        .merge_patch(&ResourceRef::PODS, namespace, name, "", json!({"spec": {"nodeName": NODE_NAME}}))
        .await
    {
        Ok(bound) => events.record(COMPONENT, &ResourceRef::PODS, &bound, assigned),
        Err(error) if error.is_not_found() => {}
        Err(error) => tracing::warn!(pod = name, %error, "cannot bind a pod"),
    }
}

/// A claim of the pod that is missing or has no volume yet.
async fn unbound_claim(api: &ApiClient, pod: &Value) -> Option<String> {
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() else { continue };
        match api.get(&ResourceRef::PERSISTENT_VOLUME_CLAIMS, namespace_of(pod), claim).await {
            Ok(found) if found["status"]["phase"] == "Bound" => {}
            Ok(_) => return Some("pod has unbound immediate PersistentVolumeClaims".to_owned()),
            Err(_) => return Some(format!("persistentvolumeclaim {claim:?} not found")),
        }
    }
    None
}

async fn refuse(api: &ApiClient, events: &EventRecorder, pod: &Value, message: &str) {
    let known = pod["status"]["conditions"].as_array().into_iter().flatten();
    if known.clone().any(|condition| condition["type"] == "PodScheduled" && condition["message"] == message) {
        return;
    }
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastProbeTime": null, "lastTransitionTime": format!("{:.0}", jiff::Timestamp::now()),
    });
    let patch = json!({"status": {"phase": "Pending", "conditions": [condition]}});
    if let Err(error) =
        api.merge_patch(&ResourceRef::PODS, namespace_of(pod), name_of(pod), "status", patch).await
    {
        tracing::debug!(%error, "cannot write why a pod does not fit");
    }
    events.record(COMPONENT, &ResourceRef::PODS, pod, Event::warning("FailedScheduling", message));
}
