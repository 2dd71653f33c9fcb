//! ReplicaSets: as many pods of one template as are wanted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, number, set_condition};
use super::pod_owner::{availability, by_worth, create_all, delete_all, is_active, pod};
use crate::api_client::{ApiError, ResourceRef};

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
    conditions.retain(|condition| condition["type"] != "ReplicaFailure");
    if let Some(error) = failure {
        set_condition(&mut conditions, "ReplicaFailure", "True", "FailedCreate", &error.to_string());
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
