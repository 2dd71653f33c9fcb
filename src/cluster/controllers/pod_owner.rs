//! What the owners of pods share: making pods from a template, and judging them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::context::{Context, controller_reference, number, seconds_since, text};
use crate::api_client::{ApiError, ResourceRef};
use crate::events::Event;

/// A pod of `owner` from its template. With `name` it is called so, else by a prefix and letters of the server's.
pub(super) fn pod(
    resource: &ResourceRef,
    owner: &Value,
    name: Option<&str>,
    labels: &[(&str, &str)],
) -> Value {
    let template = &owner["spec"]["template"];
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": [controller_reference(resource, owner)],
        },
        "spec": template["spec"],
    });
    for field in ["labels", "annotations"] {
        if template["metadata"][field].is_object() {
            pod["metadata"][field] = template["metadata"][field].clone();
        }
    }
    for (key, value) in labels {
        pod["metadata"]["labels"][*key] = json!(value);
    }
    match name {
        Some(name) => pod["metadata"]["name"] = json!(name),
        None => pod["metadata"]["generateName"] = json!(format!("{}-", text(owner, "/metadata/name"))),
    }
    pod
}

/// Creates the owner's pods and tells of it: one, then two, four and so on side by side, as long as none is refused. What refuses one
/// refuses all of them mostly.
pub(super) async fn create_all(
    context: &Context,
    resource: &ResourceRef,
    owner: &Value,
    mut pods: Vec<Value>,
) -> Result<(), ApiError> {
    let mut together = 1;
    while !pods.is_empty() {
        let later = pods.split_off(together.min(pods.len()));
        create_together(context, resource, owner, pods).await?;
        pods = later;
        together *= 2;
    }
    Ok(())
}

/// Creates pods side by side; the first failure is returned after all were tried.
async fn create_together(
    context: &Context,
    resource: &ResourceRef,
    owner: &Value,
    pods: Vec<Value>,
) -> Result<(), ApiError> {
    let created = pods.into_iter().map(|pod| {
        let namespace = text(&pod, "/metadata/namespace").to_owned();
        async move {
            let created = context.api.create(&ResourceRef::PODS, &namespace, pod).await;
            tell(
                context,
                resource,
                owner,
                match &created {
                    Ok(pod) => Event::normal(
                        "SuccessfulCreate",
                        format!("Created pod: {}", text(pod, "/metadata/name")),
                    ),
                    Err(error) => Event::warning("FailedCreate", format!("Error creating: {error}")),
                },
            );
            created
        }
    });
    let outcomes = futures::future::join_all(created).await;
    outcomes.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

fn tell(context: &Context, resource: &ResourceRef, owner: &Value, event: Event) {
    let component = format!("{}-controller", resource.kind.to_ascii_lowercase());
    context.events.record(&component, resource, owner, event);
}

/// Deletes the owner's pods side by side and tells of it.
pub(super) async fn delete_all(
    context: &Context,
    resource: &ResourceRef,
    owner: &Value,
    pods: &[Arc<Value>],
) -> Result<(), ApiError> {
    let kind = ResourceRef::PODS;
    let deleted = futures::future::join_all(pods.iter().map(|pod| context.delete(&kind, pod))).await;
    for (pod, _) in pods.iter().zip(&deleted).filter(|(_, deleted)| deleted.is_ok()) {
        let message = format!("Deleted pod: {}", text(pod, "/metadata/name"));
        tell(context, resource, owner, Event::normal("SuccessfulDelete", message));
    }
    deleted.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

/// Running or about to: neither finished nor leaving.
pub(super) fn is_active(pod: &Value) -> bool {
    !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") && !is_leaving(pod)
}

pub(super) fn is_leaving(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

/// The pod's `Ready` condition where it is true.
fn ready_condition(pod: &Value) -> Option<&Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

pub(super) fn is_ready(pod: &Value) -> bool {
    ready_condition(pod).is_some()
}

/// How many pods are ready, and available: ready for as long as the owner wants. Last, when the next one will be.
pub(super) fn availability(owner: &Value, pods: &[Arc<Value>]) -> (usize, usize, Option<Duration>) {
    let wanted = number(owner, "/spec/minReadySeconds").unwrap_or(0).max(0) as f64;
    let (mut ready, mut available, mut next) = (0, 0, None::<Duration>);
    for condition in pods.iter().filter_map(|pod| ready_condition(pod)) {
        ready += 1;
        let age = seconds_since(text(condition, "/lastTransitionTime")).unwrap_or(f64::MAX);
        if age >= wanted {
            available += 1;
        } else {
            let left = Duration::from_secs_f64((wanted - age).clamp(0.05, 3600.0));
            next = Some(next.map_or(left, |known| known.min(left)));
        }
    }
    (ready, available, next)
}

/// Order in which pods are given up: those that do least first, then the youngest.
pub(super) fn by_worth(pods: &mut [Arc<Value>]) {
    pods.sort_by_key(|pod| {
        let unscheduled = text(pod, "/spec/nodeName").is_empty();
        let phase = match text(pod, "/status/phase") {
            "Pending" | "" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let created = std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned());
        (!unscheduled, phase, is_ready(pod), created, text(pod, "/metadata/name").to_owned())
    });
}
