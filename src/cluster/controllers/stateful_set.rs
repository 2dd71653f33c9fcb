//! StatefulSets: pods with names that stay, one after the other.

mod claims;

use std::sync::Arc;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, content_hash, number, text};
use super::pod_owner::{availability, create_all, delete_all, is_leaving, is_ready, pod};
use crate::api_client::{ApiError, ResourceRef};

/// Label with the hash of the template a pod was made from.
const HASH: &str = "controller-revision-hash";

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(set) = context.get(&ResourceRef::STATEFUL_SETS, namespace, name).await? else { return Ok(None) };
    let hash = content_hash(&set["spec"]["template"]);
    let pods = context.controlled(&ResourceRef::PODS, &set).await?;
    if !set["metadata"]["deletionTimestamp"].is_string() {
        step(context, &set, &pods, &hash).await?;
    }
    let pods = context.controlled(&ResourceRef::PODS, &set).await?;
    let (ready, available, next) = availability(&set, &pods);
    let current = pods.iter().filter(|pod| pod["metadata"]["labels"][HASH] == hash.as_str()).count();
    let revision = format!("{name}-{hash}");
    let status = json!({
        "replicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": available,
        "currentReplicas": current,
        "updatedReplicas": current,
        "currentRevision": revision,
        "updateRevision": revision,
        "collisionCount": 0,
        "observedGeneration": set["metadata"]["generation"],
    });
    context.write_status(&ResourceRef::STATEFUL_SETS, &set, status).await?;
    Ok(next)
}

/// One step: a missing pod, else one too many, else one of an old template. `Parallel` makes and removes all at once.
async fn step(context: &Context, set: &Value, pods: &[Arc<Value>], hash: &str) -> Result<(), ApiError> {
    let name = text(set, "/metadata/name");
    let wanted = number(set, "/spec/replicas").unwrap_or(1).max(0);
    let start = number(set, "/spec/ordinals/start").unwrap_or(0);
    let parallel = text(set, "/spec/podManagementPolicy") == "Parallel";
    let of =
        |ordinal: i64| pods.iter().find(|pod| text(pod, "/metadata/name") == format!("{name}-{ordinal}"));
    let mut missing = Vec::new();
    for ordinal in start..start + wanted {
        match of(ordinal) {
            // A pod that ended is made anew under its name.
            Some(pod) if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") => {
                return context.delete(&ResourceRef::PODS, pod).await;
            }
            Some(pod) if is_ready(pod) && !is_leaving(pod) => {}
            Some(_) if parallel => {}
            Some(_) => return Ok(()),
            None => {
                let pod_name = format!("{name}-{ordinal}");
                let index = ordinal.to_string();
                let labels = [
                    ("statefulset.kubernetes.io/pod-name", pod_name.as_str()),
                    ("apps.kubernetes.io/pod-index", &index),
                    (HASH, hash),
                ];
                let mut pod = pod(&ResourceRef::STATEFUL_SETS, set, Some(&pod_name), &labels);
                pod["spec"]["hostname"] = json!(pod_name);
                pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
                claims::give(context, set, &mut pod).await?;
                missing.push(pod);
                if !parallel {
                    break;
                }
            }
        }
    }
    if !missing.is_empty() {
        return create_all(context, &ResourceRef::STATEFUL_SETS, set, missing).await;
    }
    let ordinal = |pod: &Value| {
        text(pod, "/metadata/name")
            .rsplit_once('-')
            .and_then(|(_, ordinal)| ordinal.parse::<i64>().ok())
            .unwrap_or(-1)
    };
    let mut extra: Vec<Arc<Value>> =
        pods.iter().filter(|pod| !(start..start + wanted).contains(&ordinal(pod))).cloned().collect();
    extra.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
    if !extra.is_empty() {
        return delete_all(
            context,
            &ResourceRef::STATEFUL_SETS,
            set,
            if parallel { &extra } else { &extra[..1] },
        )
        .await;
    }
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return Ok(());
    }
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let stale = pods.iter().filter(|pod| {
        pod["metadata"]["labels"][HASH] != hash && ordinal(pod) >= partition && !is_leaving(pod)
    });
    match stale.max_by_key(|pod| ordinal(pod)) {
        Some(pod) => context.delete(&ResourceRef::PODS, pod).await,
        None => Ok(()),
    }
}
