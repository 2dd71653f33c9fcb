//! One step from the old templates to the new: never more pods than `maxSurge` allows, never fewer available than `maxUnavailable` allows.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::context::{Context, number, text};
use crate::api_client::{ApiError, ResourceRef};
use crate::events::Event;

pub(super) async fn step(
    context: &Context,
    deployment: &Value,
    newest: &Value,
    old: &[Arc<Value>],
) -> Result<(), ApiError> {
    let wanted = number(deployment, "/spec/replicas").unwrap_or(1).max(0);
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return recreate(context, deployment, newest, old, wanted).await;
    }
    let surge = share(&deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], wanted, true);
    let mut missing =
        share(&deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], wanted, false);
    if surge == 0 && missing == 0 {
        missing = 1;
    }
    let plan = plan(wanted, surge, missing, newest, old);
    for (set, replicas) in
        std::iter::once((newest, plan.newest)).chain(old.iter().map(AsRef::as_ref).zip(plan.old))
    {
        scale(context, deployment, set, replicas).await?;
    }
    Ok(())
}

/// Replicas of each ReplicaSet after the next step.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    newest: i64,
    old: Vec<i64>,
}

fn replicas(set: &Value) -> i64 {
    number(set, "/spec/replicas").unwrap_or(0)
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").unwrap_or(0)
}

fn plan(wanted: i64, surge: i64, missing: i64, newest: &Value, old: &[Arc<Value>]) -> Plan {
    let of_old: i64 = old.iter().map(|set| replicas(set)).sum();
    let room = wanted + surge - of_old - replicas(newest);
    let next = if replicas(newest) > wanted { wanted } else { (replicas(newest) + room.max(0)).min(wanted) };
    // What may go: everything beyond the minimum, less what of the new is not there yet.
    let minimum = wanted - missing;
    let late = (next - available(newest)).max(0);
    let mut spare = (of_old + next - minimum - late).max(0);
    let mut left: Vec<i64> = old.iter().map(|set| replicas(set)).collect();
    // Pods that do not work go first: nobody misses them.
    for (count, set) in left.iter_mut().zip(old) {
        let broken = (*count - available(set)).clamp(0, spare);
        *count -= broken;
        spare -= broken;
    }
    let all_available: i64 = available(newest) + old.iter().map(|set| available(set)).sum::<i64>();
    let mut spare = (all_available - minimum).max(0);
    for (count, set) in left.iter_mut().zip(old) {
        let working = (*count).min(available(set));
        let gone = working.min(spare);
        *count -= gone;
        spare -= gone;
    }
    Plan { newest: next, old: left }
}

async fn recreate(
    context: &Context,
    deployment: &Value,
    newest: &Value,
    old: &[Arc<Value>],
    wanted: i64,
) -> Result<(), ApiError> {
    for set in old {
        scale(context, deployment, set, 0).await?;
    }
    let running = old.iter().map(|set| number(set, "/status/replicas").unwrap_or(0)).sum::<i64>();
    if running == 0 { scale(context, deployment, newest, wanted).await } else { Ok(()) }
}

async fn scale(context: &Context, deployment: &Value, set: &Value, replicas: i64) -> Result<(), ApiError> {
    if number(set, "/spec/replicas") == Some(replicas) {
        return Ok(());
    }
    let patch = json!({ "spec": { "replicas": replicas } });
    let (namespace, name) = (text(set, "/metadata/namespace"), text(set, "/metadata/name"));
    context.api.merge_patch(&ResourceRef::REPLICA_SETS, namespace, name, "", patch).await?;
    let before = self::replicas(set);
    let direction = if before < replicas { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {name} from {before} to {replicas}");
    let event = Event::normal("ScalingReplicaSet", message);
    context.events.record("deployment-controller", &ResourceRef::DEPLOYMENTS, deployment, event);
    Ok(())
}

/// A count, or a percentage of `whole`; 25 % where nothing is said.
fn share(value: &Value, whole: i64, round_up: bool) -> i64 {
    if let Some(count) = value.as_i64() {
        return count.max(0);
    }
    let percent = value
        .as_str()
        .and_then(|text| text.strip_suffix('%'))
        .and_then(|text| text.parse::<i64>().ok())
        .unwrap_or(25);
    let hundredths = percent.max(0) * whole;
    if round_up { (hundredths + 99) / 100 } else { hundredths / 100 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i64, available: i64) -> Arc<Value> {
        Arc::new(json!({ "spec": { "replicas": replicas }, "status": { "availableReplicas": available } }))
    }

    #[test]
    fn a_first_template_gets_all_replicas() {
        assert_eq!(plan(3, 1, 0, &set(0, 0), &[]), Plan { newest: 3, old: vec![] });
    }

    #[test]
    fn old_pods_go_only_when_new_ones_work() {
        assert_eq!(plan(4, 1, 0, &set(0, 0), &[set(4, 4)]), Plan { newest: 1, old: vec![4] });
        assert_eq!(plan(4, 1, 0, &set(1, 0), &[set(4, 4)]), Plan { newest: 1, old: vec![4] });
        assert_eq!(plan(4, 1, 0, &set(1, 1), &[set(4, 4)]), Plan { newest: 1, old: vec![3] });
        assert_eq!(plan(4, 1, 0, &set(1, 1), &[set(3, 3)]), Plan { newest: 2, old: vec![3] });
        assert_eq!(plan(4, 1, 0, &set(4, 4), &[set(1, 1)]), Plan { newest: 4, old: vec![0] });
    }

    #[test]
    fn broken_old_pods_go_first() {
        assert_eq!(plan(2, 1, 0, &set(1, 1), &[set(1, 0), set(1, 1)]), Plan { newest: 1, old: vec![0, 1] });
    }

    #[test]
    fn percentages_round_towards_safety() {
        assert_eq!((share(&json!("25%"), 1, true), share(&json!("25%"), 1, false)), (1, 0));
        assert_eq!((share(&json!(2), 10, true), share(&Value::Null, 8, false)), (2, 2));
    }
}
