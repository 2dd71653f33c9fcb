//! Waits by watching until CRDs are established and Deployments are available, and says why something hangs.

use std::time::Duration;

use futures::StreamExt;
use futures::future::try_join_all;
use kube::Client;
use serde_json::Value;

use super::progress::Step;
use crate::exit::Failure;
use crate::kubernetes::{Event, Objects, Resource, server_failure, text, watch};

/// After this long without readiness the reason is looked up and shown.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for every object of a component that has a notion of being ready.
pub(super) async fn wait(
    client: &Client,
    objects: &[Value],
    timeout: Duration,
    step: &Step,
) -> Result<(), Failure> {
    let waits = objects.iter().filter_map(|object| {
        let (resource, ready): (_, fn(&Value) -> bool) = match text(object, "/kind") {
            "CustomResourceDefinition" => {
                let group = "apiextensions.k8s.io";
                (
                    Resource::known(
                        group,
                        "v1",
                        "CustomResourceDefinition",
                        "customresourcedefinitions",
                        false,
                    ),
                    established,
                )
            }
            "Deployment" => (Resource::known("apps", "v1", "Deployment", "deployments", true), available),
            _ => return None,
        };
        Some(one(client, resource, object, ready, timeout, step))
    });
    try_join_all(waits).await.map(drop)
}

async fn one(
    client: &Client,
    resource: Resource,
    object: &Value,
    ready: fn(&Value) -> bool,
    timeout: Duration,
    step: &Step,
) -> Result<(), Failure> {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    let label = format!("{}/{name}", resource.singular);
    step.waiting(&label);
    let in_namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    let mut events = watch(client, &resource, in_namespace, "", &format!("metadata.name={name}"));
    let became_ready = async {
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Applied(object)) if ready(&object) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(server_failure(error).context(format!("cannot watch {label}"))),
            }
        }
        Err(Failure::new(format!("the watch on {label} ended")))
    };
    tokio::pin!(became_ready);
    let patience = PATIENCE.min(timeout);
    if let Ok(result) = tokio::time::timeout(patience, &mut became_ready).await {
        return result;
    }
    for reason in reasons(client, object).await {
        step.notice(&format!("  still waiting for {label}: {reason}"));
    }
    if let Ok(result) = tokio::time::timeout(timeout.saturating_sub(patience), &mut became_ready).await {
        return result;
    }
    let reasons = reasons(client, object).await;
    let mut failure = Failure::new(format!("{label} was not ready within {} s", timeout.as_secs()));
    for reason in reasons {
        failure = failure.hint(reason);
    }
    let scope = in_namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    Err(failure.hint(format!("sagene kubectl{scope} describe {label}")))
}

fn established(crd: &Value) -> bool {
    condition(crd, "Established")
}

fn available(deployment: &Value) -> bool {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let wanted = deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    number("/status/observedGeneration") >= number("/metadata/generation")
        && number("/status/updatedReplicas") >= wanted
        && number("/status/availableReplicas") >= wanted
        && number("/status/replicas") <= number("/status/updatedReplicas")
}

fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

/// What the pods of a Deployment are waiting for.
async fn reasons(client: &Client, deployment: &Value) -> Vec<String> {
    let Some(selector) = deployment.pointer("/spec/selector/matchLabels").and_then(Value::as_object) else {
        return Vec::new();
    };
    let pairs: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let objects = Objects::new(client.clone());
    let namespace = text(deployment, "/metadata/namespace");
    // Its state now, not as it was rendered.
    let workloads = Resource::known("apps", "v1", "Deployment", "deployments", true);
    let current = objects.get(&workloads, Some(namespace), text(deployment, "/metadata/name")).await;
    let current = current.ok().flatten().unwrap_or_default();
    let deployment = &current;
    let Ok(pods) = objects.list(&Resource::pods(), Some(namespace), &pairs.join(",")).await else {
        return Vec::new();
    };
    if pods.is_empty() {
        let conditions = deployment.pointer("/status/conditions").and_then(Value::as_array);
        // ReplicaFailure is true when pods are refused: by a quota, a webhook, or pod security admission. It has the server's words.
        let failing = conditions.into_iter().flatten().filter(|condition| {
            let bad = if text(condition, "/type") == "ReplicaFailure" { "True" } else { "False" };
            text(condition, "/status") == bad
        });
        let mut reasons: Vec<String> =
            failing.map(|condition| text(condition, "/message").to_owned()).collect();
        reasons.push("it has no pods yet".to_owned());
        return reasons;
    }
    pods.iter().flat_map(pod_reasons).collect()
}

fn pod_reasons(pod: &Value) -> Vec<String> {
    let name = text(pod, "/metadata/name");
    let mut reasons = Vec::new();
    for list in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for status in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            let container = text(status, "/name");
            let (reason, message) =
                (text(status, "/state/waiting/reason"), text(status, "/state/waiting/message"));
            if !reason.is_empty() && reason != "PodInitializing" {
                reasons.push(
                    format!("pod {name}, container {container}: {reason} {message}").trim_end().to_owned(),
                );
            } else if status.get("ready").and_then(Value::as_bool) == Some(false)
                && status.pointer("/state/running").is_some()
            {
                reasons.push(format!("pod {name}, container {container}: running, not ready"));
            }
        }
    }
    if reasons.is_empty() {
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let failing =
            conditions.into_iter().flatten().filter(|condition| text(condition, "/status") == "False");
        reasons.extend(
            failing.map(|it| format!("pod {name}: {} {}", text(it, "/type"), text(it, "/message"))).take(1),
        );
    }
    reasons
}
