//! ReplicaSets: as many pods of one template as are wanted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, number, set_condition};
use super::pod_owner::{availability, by_worth, create_all, delete_all, is_active, pod};
use crate::api_client::{ApiError, ResourceRef};

/// The condition of a ReplicaSet whose pods cannot be created, or deleted.
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(set) = context.get(&ResourceRef::REPLICA_SETS, namespace, name).await? else { return Ok(None) };
    let mut pods = context.controlled(&ResourceRef::PODS, &set).await?;
    pods.retain(|pod| is_active(pod));
    let outcome = if set["metadata"]["deletionTimestamp"].is_string() {
        Ok(())
    } else {
        scale(context, &set, &mut pods).await
    };
    let mut current = context.controlled(&ResourceRef::PODS, &set).await?;
    current.retain(|pod| is_active(pod));
    let (ready, available, next) = availability(&set, &current);
    let status = status(&set, current.len(), ready, available, outcome.as_ref().err());
    context.write_status(&ResourceRef::REPLICA_SETS, &set, status).await?;
    outcome.map(|()| next)
}

async fn scale(context: &Context, set: &Value, pods: &mut [Arc<Value>]) -> Result<(), ApiError> {
    let wanted = usize::try_from(number(set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
    if pods.len() < wanted {
        let missing = (pods.len()..wanted).map(|_| pod(&ResourceRef::REPLICA_SETS, set, None, &[])).collect();
        return create_all(context, &ResourceRef::REPLICA_SETS, set, missing).await;
    }
    by_worth(pods);
    delete_all(context, &ResourceRef::REPLICA_SETS, set, &pods[..pods.len() - wanted]).await
}

fn status(set: &Value, replicas: usize, ready: usize, available: usize, failure: Option<&ApiError>) -> Value {
    let mut conditions = set["status"]["conditions"].as_array().cloned().unwrap_or_default();
    match failure {
        // The first failure is told until it is over: a change of the status would ask for the next try at once.
        Some(_) if conditions.iter().any(|condition| condition["type"] == REPLICA_FAILURE) => {}
        Some(error) => {
            set_condition(&mut conditions, REPLICA_FAILURE, "True", "FailedCreate", &error.to_string());
        }
        None => conditions.retain(|condition| condition["type"] != REPLICA_FAILURE),
    }
    let mut status = json!({
        "replicas": replicas,
        "observedGeneration": set["metadata"]["generation"],
    });
    for (field, count) in
        [("fullyLabeledReplicas", replicas), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    if !conditions.is_empty() {
        status["conditions"] = json!(conditions);
    }
    status
}
