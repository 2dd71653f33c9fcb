//! DaemonSets: one pod per node that the template's `nodeSelector` allows.

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, content_hash, text};
use super::pod_owner::{availability, create_all, delete_all, is_active, pod};
use crate::api_client::ResourceRef;

/// Label with the hash of the template a pod was made from.
const HASH: &str = "controller-revision-hash";

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(set) = context.get(&ResourceRef::DAEMON_SETS, namespace, name).await? else { return Ok(None) };
    let hash = content_hash(&set["spec"]["template"]);
    let nodes: Vec<String> = context
        .list(&ResourceRef::NODES, "")
        .await?
        .iter()
        .filter(|node| is_wanted(&set, node))
        .map(|node| text(node, "/metadata/name").to_owned())
        .collect();
    let mut pods = context.controlled(&ResourceRef::PODS, &set).await?;
    pods.retain(|pod| is_active(pod));
    let on = |pod: &Value, node: &str| text(pod, "/spec/nodeName") == node;
    let is_current = |pod: &Value| pod["metadata"]["labels"][HASH] == hash.as_str();
    if !set["metadata"]["deletionTimestamp"].is_string() {
        let replaced = text(&set, "/spec/updateStrategy/type") != "OnDelete";
        let (kept, gone): (Vec<_>, Vec<_>) = pods
            .into_iter()
            .partition(|pod| nodes.iter().any(|node| on(pod, node)) && (is_current(pod) || !replaced));
        delete_all(context, &ResourceRef::DAEMON_SETS, &set, &gone).await?;
        let missing = nodes.iter().filter(|node| !kept.iter().chain(&gone).any(|pod| on(pod, node)));
        let missing = missing.map(|node| {
            let mut pod = pod(&ResourceRef::DAEMON_SETS, &set, None, &[(HASH, &hash)]);
            pod["spec"]["nodeName"] = json!(node);
            pod
        });
        create_all(context, &ResourceRef::DAEMON_SETS, &set, missing.collect()).await?;
        pods = kept;
    }
    let (ready, available, next) = availability(&set, &pods);
    let updated = pods.iter().filter(|pod| is_current(pod)).count();
    let status = json!({
        "currentNumberScheduled": pods.len(),
        "desiredNumberScheduled": nodes.len(),
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": available,
        "numberUnavailable": nodes.len().saturating_sub(available),
        "updatedNumberScheduled": updated,
        "observedGeneration": set["metadata"]["generation"],
    });
    context.write_status(&ResourceRef::DAEMON_SETS, &set, status).await?;
    Ok(next)
}

fn is_wanted(set: &Value, node: &Value) -> bool {
    let selector = set["spec"]["template"]["spec"]["nodeSelector"].as_object();
    selector
        .is_none_or(|selector| selector.iter().all(|(key, value)| node["metadata"]["labels"][key] == *value))
}
