//! Taints with the effect NoExecute: pods that do not tolerate one are deleted, at once or after their `tolerationSeconds`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, set_condition, text};
use super::key::Key;
use super::queue::Queue;
use crate::api_client::{ApiError, ResourceRef};
use crate::events::Event;
use crate::tolerations;

/// Since when pods are on a node with taints that they tolerate for a while, by uid.
#[derive(Debug, Default)]
pub(super) struct Since(Mutex<HashMap<String, Instant>>);

impl Since {
    fn elapsed(&self, uid: &str) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(uid.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Asks for the pods that a change may concern: a pod that was bound, all pods of a node.
pub(super) async fn keys(
    context: &Context,
    queue: &Arc<Queue>,
    resource: &ResourceRef,
    object: &Value,
    gone: bool,
) -> Result<(), ApiError> {
    let ask = |pod: &Value| {
        queue.add(Key::Tainted(
            text(pod, "/metadata/namespace").to_owned(),
            text(pod, "/metadata/name").to_owned(),
        ));
    };
    match resource.kind.as_ref() {
        "Pod" if gone => context.tainted_since.forget(text(object, "/metadata/uid")),
        "Pod" if !text(object, "/spec/nodeName").is_empty() => ask(object),
        "Node" => {
            context.list(&ResourceRef::PODS, "").await?.iter().for_each(|pod| ask(pod));
        }
        _ => {}
    }
    Ok(())
}

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(pod) = context.get(&ResourceRef::PODS, namespace, name).await? else { return Ok(None) };
    let uid = text(&pod, "/metadata/uid");
    let node = match text(&pod, "/spec/nodeName") {
        "" => None,
        node => context.get(&ResourceRef::NODES, "", node).await?,
    };
    let stay = node.map_or(Stay::ForEver, |node| Stay::of(&pod, &node));
    let left = match stay {
        Stay::ForEver => {
            context.tainted_since.forget(uid);
            return Ok(None);
        }
        Stay::For(length) => length.saturating_sub(context.tainted_since.elapsed(uid)),
    };
    if !left.is_zero() {
        return Ok(Some(left));
    }
    if pod["metadata"]["deletionTimestamp"].is_null() {
        evict(context, &pod).await?;
    }
    Ok(None)
}

async fn evict(context: &Context, pod: &Value) -> Result<(), ApiError> {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let message = format!("Marking for deletion Pod {namespace}/{name}");
    let event = Event::normal("TaintManagerEviction", message);
    context.events.record("taint-eviction-controller", &ResourceRef::PODS, pod, event);
    let mut status = pod["status"].clone();
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let why = "Taint manager: deleting due to NoExecute taint";
    set_condition(&mut conditions, "DisruptionTarget", "True", "DeletionByTaintManager", why);
    status["conditions"] = json!(conditions);
    context.write_status(&ResourceRef::PODS, pod, status).await?;
    context.delete(&ResourceRef::PODS, pod).await
}

/// How long a pod may stay on a node.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    ForEver,
    For(Duration),
}

impl Stay {
    /// The shortest time that one of the taints allows; a taint that nothing tolerates allows none.
    fn of(pod: &Value, node: &Value) -> Self {
        let taints = node["spec"]["taints"].as_array().into_iter().flatten();
        let each = taints.filter(|taint| taint["effect"] == "NoExecute").filter_map(|taint| {
            let mut tolerations = tolerations::of_taint(&pod["spec"], taint).peekable();
            if tolerations.peek().is_none() {
                return Some(Duration::ZERO);
            }
            let seconds = tolerations.filter_map(|toleration| toleration["tolerationSeconds"].as_i64()).min();
            seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        });
        each.min().map_or(Self::ForEver, Self::For)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_stays_as_long_as_the_least_tolerated_taint_allows() {
        let node = |keys: &[&str]| {
            let taints: Vec<Value> =
                keys.iter().map(|key| json!({"key": key, "effect": "NoExecute"})).collect();
            json!({"spec": {"taints": taints}})
        };
        let pod = json!({"spec": {"tolerations": [
            {"key": "maintenance", "operator": "Exists", "tolerationSeconds": 30},
            {"key": "slow", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "home", "operator": "Exists"},
        ]}});
        assert_eq!(Stay::of(&pod, &node(&[])), Stay::ForEver);
        assert_eq!(Stay::of(&pod, &node(&["home"])), Stay::ForEver);
        assert_eq!(Stay::of(&pod, &node(&["slow", "maintenance"])), Stay::For(Duration::from_secs(30)));
        assert_eq!(Stay::of(&pod, &node(&["slow", "unknown"])), Stay::For(Duration::ZERO));
        let soft = json!({"spec": {"taints": [{"key": "unknown", "effect": "NoSchedule"}]}});
        assert_eq!(Stay::of(&pod, &soft), Stay::ForEver);
    }
}
