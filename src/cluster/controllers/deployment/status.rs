//! What a Deployment reports.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::Reconciled;
use super::super::context::{Context, number, seconds_since, set_condition, text};
use super::super::replica_set::REPLICA_FAILURE;
use super::is_of_template;
use crate::api_client::ResourceRef;

pub(super) async fn write(context: &Context, deployment: &Value, sets: &[Arc<Value>]) -> Reconciled {
    let current = context
        .get(
            &ResourceRef::DEPLOYMENTS,
            text(deployment, "/metadata/namespace"),
            text(deployment, "/metadata/name"),
        )
        .await?;
    let Some(current) = current.filter(|current| current["metadata"]["uid"] == deployment["metadata"]["uid"])
    else {
        return Ok(None);
    };
    let sum = |field: &str| sets.iter().map(|set| number(set, field).unwrap_or(0)).sum::<i64>();
    let newest = sets.iter().find(|set| is_of_template(set, &current));
    let counts = Counts {
        wanted: number(&current, "/spec/replicas").unwrap_or(1),
        replicas: sum("/status/replicas"),
        updated: newest.map_or(0, |set| number(set, "/status/replicas").unwrap_or(0)),
        ready: sum("/status/readyReplicas"),
        available: sum("/status/availableReplicas"),
    };
    let mut conditions = current["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let again = conditions_of(&mut conditions, &current, newest, sets, &counts);
    let mut status =
        json!({ "observedGeneration": current["metadata"]["generation"], "conditions": conditions });
    let fields = [
        ("replicas", counts.replicas),
        ("updatedReplicas", counts.updated),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("unavailableReplicas", (counts.replicas.max(counts.wanted) - counts.available).max(0)),
    ];
    for (field, count) in fields.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = json!(count);
    }
    context.write_status(&ResourceRef::DEPLOYMENTS, &current, status).await?;
    Ok(again)
}

struct Counts {
    wanted: i64,
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

/// Sets `Available`, `Progressing` and `ReplicaFailure`; returns when the deadline of the rollout has to be looked at.
fn conditions_of(
    conditions: &mut Vec<Value>,
    deployment: &Value,
    newest: Option<&Arc<Value>>,
    sets: &[Arc<Value>],
    counts: &Counts,
) -> Option<Duration> {
    let (status, reason, message) =
        if counts.available >= counts.wanted - unavailable(deployment, counts.wanted) {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
    set_condition(conditions, "Available", status, reason, message);
    let failures = sets.iter().filter_map(|set| set["status"]["conditions"].as_array()).flatten();
    let failure = failures
        .filter(|condition| condition["type"] == REPLICA_FAILURE)
        .map(|condition| text(condition, "/message"))
        .next();
    match failure {
        Some(message) => set_condition(conditions, REPLICA_FAILURE, "True", "FailedCreate", message),
        None => conditions.retain(|condition| condition["type"] != REPLICA_FAILURE),
    }
    let name = newest.map_or("", |set| text(set, "/metadata/name"));
    let complete = counts.updated == counts.wanted
        && counts.replicas == counts.wanted
        && counts.available == counts.wanted;
    if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        set_condition(conditions, "Progressing", "True", "NewReplicaSetAvailable", &message);
        return None;
    }
    deadline(conditions, deployment, counts, name)
}

fn deadline(
    conditions: &mut Vec<Value>,
    deployment: &Value,
    counts: &Counts,
    name: &str,
) -> Option<Duration> {
    let limit = number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600).max(1) as f64;
    let message = format!("ReplicaSet \"{name}\" is progressing.");
    let known = conditions.iter().find(|condition| condition["type"] == "Progressing");
    let before = &deployment["status"];
    let moved = number(before, "/updatedReplicas").unwrap_or(0) != counts.updated
        || number(before, "/availableReplicas").unwrap_or(0) != counts.available
        || number(before, "/observedGeneration") != number(deployment, "/metadata/generation");
    let age = known.and_then(|condition| seconds_since(text(condition, "/lastUpdateTime")));
    match age {
        Some(age) if !moved && age >= limit => {
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            set_condition(conditions, "Progressing", "False", "ProgressDeadlineExceeded", &message);
            None
        }
        Some(age) if !moved => Some(Duration::from_secs_f64((limit - age).clamp(0.5, 3600.0))),
        _ => {
            conditions.retain(|condition| condition["type"] != "Progressing");
            set_condition(conditions, "Progressing", "True", "ReplicaSetUpdated", &message);
            Some(Duration::from_secs_f64(limit))
        }
    }
}

/// How many pods may be missing while the Deployment still counts as available.
fn unavailable(deployment: &Value, wanted: i64) -> i64 {
    let value = &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
    let percent =
        value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
    value.as_i64().or_else(|| percent.map(|percent| percent * wanted / 100)).unwrap_or(0)
}
