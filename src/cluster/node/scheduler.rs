//! Binds pods to the one node, or says why they do not fit.

use std::time::Duration;

use serde_json::{Value, json};

use super::events::{EventKind, EventRecorder};
use super::{NODE_NAME, registration};
use crate::api_client::resource::{name_of, namespace_of};
use crate::api_client::{ApiClient, ResourceRef, WatchEventType, WatchOptions};

const WATCH_RETRY: Duration = Duration::from_millis(200);

/// Runs until it is aborted.
pub(super) async fn run(api: ApiClient) {
    let events = EventRecorder::new(api.clone());
    loop {
        let options = WatchOptions { field_selector: "spec.nodeName=".to_owned(), ..WatchOptions::default() };
        match api.watch(&ResourceRef::PODS, "", &options).await {
            Ok(mut pods) => {
                while let Ok(event) = pods.next().await {
                    if event.event_type != WatchEventType::Deleted {
                        schedule(&api, &events, &event.object).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "cannot watch pods"),
        }
        tokio::time::sleep(WATCH_RETRY).await;
    }
}

async fn schedule(api: &ApiClient, events: &EventRecorder, pod: &Value) {
    let spec = &pod["spec"];
    let other_scheduler = spec["schedulerName"].as_str().is_some_and(|name| name != "default-scheduler");
    let gated = spec["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    let deleted = !pod["metadata"]["deletionTimestamp"].is_null();
    if other_scheduler || gated || deleted || !spec["nodeName"].as_str().unwrap_or("").is_empty() {
        return;
    }
    let (namespace, name) = (namespace_of(pod), name_of(pod));
    if let Some((key, value)) = unmatched(spec) {
        let message = format!(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector: the node has no label {key}={value}."
        );
        refuse(api, events, pod, &message).await;
        return;
    }
    match api
        .merge_patch(&ResourceRef::PODS, namespace, name, "", json!({"spec": {"nodeName": NODE_NAME}}))
        .await
    {
        Ok(bound) => {
            let message = format!("Successfully assigned {namespace}/{name} to {NODE_NAME}");
            events.about(&bound).pod(EventKind::Normal, "Scheduled", &message);
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => tracing::warn!(pod = name, %error, "cannot bind a pod"),
    }
}

/// The first entry of `nodeSelector` that the node does not have.
fn unmatched(spec: &Value) -> Option<(&str, &str)> {
    let labels = registration::labels();
    let wanted = spec["nodeSelector"].as_object().into_iter().flatten();
    wanted
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or("")))
        .find(|(key, value)| labels.get(*key).and_then(Value::as_str) != Some(value))
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
    events.about(pod).pod(EventKind::Warning, "FailedScheduling", message);
}
