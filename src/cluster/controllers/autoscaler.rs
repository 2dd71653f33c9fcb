//! HorizontalPodAutoscalers: nothing measures pods here, so replicas are kept between the bounds and the status says why they are not
//! computed, as on a Kubernetes without a metrics API.

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, now, number, set_condition, text};
use super::key::Key;
use super::queue::Queue;
use crate::api_client::{ApiError, ResourceRef};
use crate::events::Event;

/// Kinds that can be scaled.
const SCALABLE: [&ResourceRef; 3] =
    [&ResourceRef::DEPLOYMENTS, &ResourceRef::REPLICA_SETS, &ResourceRef::STATEFUL_SETS];

/// What the condition says where the number of replicas would have to be computed.
const NOT_COMPUTED: &str = "the HPA was unable to compute the replica count: this cluster has no metrics API (metrics.k8s.io); \
                            replicas are kept between minReplicas and maxReplicas";

/// Asks for the autoscalers of an object that changed.
pub(super) async fn keys(
    context: &Context,
    queue: &Queue,
    resource: &ResourceRef,
    object: &Value,
) -> Result<(), ApiError> {
    if SCALABLE.iter().all(|known| known.kind != resource.kind) {
        return Ok(());
    }
    let namespace = text(object, "/metadata/namespace");
    for autoscaler in context.list(&ResourceRef::HORIZONTAL_POD_AUTOSCALERS, namespace).await? {
        let target = &autoscaler["spec"]["scaleTargetRef"];
        if text(target, "/kind") == resource.kind && target["name"] == object["metadata"]["name"] {
            queue.add(Key::Autoscaler(namespace.to_owned(), text(&autoscaler, "/metadata/name").to_owned()));
        }
    }
    Ok(())
}

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let kind = &ResourceRef::HORIZONTAL_POD_AUTOSCALERS;
    let Some(autoscaler) = context.get(kind, namespace, name).await? else { return Ok(None) };
    let reference = &autoscaler["spec"]["scaleTargetRef"];
    let resource = SCALABLE.iter().find(|known| known.kind == text(reference, "/kind"));
    let target = match resource {
        Some(resource) => context.get(resource, namespace, text(reference, "/name")).await?,
        None => None,
    };
    let Some((resource, target)) = resource.zip(target) else {
        let why = format!(
            "the HPA controller was unable to get the target's current scale: {} {:?} not found",
            text(reference, "/kind"),
            text(reference, "/name"),
        );
        let mut status = autoscaler["status"].clone();
        condition(&mut status, "AbleToScale", "False", "FailedGetScale", &why);
        context.write_status(kind, &autoscaler, status).await?;
        return Ok(None);
    };
    let current = number(&target, "/spec/replicas").unwrap_or(1);
    let decision = Decision::of(&autoscaler["spec"], current);
    if decision.replicas != current {
        let patch = json!({"spec": {"replicas": decision.replicas}});
        let name = text(&target, "/metadata/name");
        context.api.merge_patch(resource, namespace, name, "", patch).await?;
        let told = format!("New size: {}; reason: {}", decision.replicas, decision.message);
        let event = Event::normal("SuccessfulRescale", told);
        context.events.record("horizontal-pod-autoscaler", kind, &autoscaler, event);
    }
    let shown = number(&target, "/status/replicas").unwrap_or(0);
    context.write_status(kind, &autoscaler, status(&autoscaler, &decision, current, shown)).await?;
    Ok(None)
}

/// How many replicas there are to be, and why.
struct Decision {
    replicas: i64,
    message: &'static str,
}

impl Decision {
    fn of(spec: &Value, current: i64) -> Self {
        let least = spec["minReplicas"].as_i64().unwrap_or(1);
        let most = spec["maxReplicas"].as_i64().unwrap_or(current);
        let (replicas, message) = match current {
            0 => (0, "scaling is disabled since the replica count of the target is zero"),
            _ if current > most => (most, "Current number of replicas above Spec.MaxReplicas"),
            _ if current < least => (least, "Current number of replicas below Spec.MinReplicas"),
            _ => (current, NOT_COMPUTED),
        };
        Self { replicas, message }
    }
}

fn status(autoscaler: &Value, decision: &Decision, current: i64, shown: i64) -> Value {
    let mut status = match &autoscaler["status"] {
        Value::Object(_) => autoscaler["status"].clone(),
        _ => json!({}),
    };
    status["currentReplicas"] = json!(shown);
    status["desiredReplicas"] = json!(decision.replicas);
    let able = "the HPA controller was able to get the target's current scale";
    condition(&mut status, "AbleToScale", "True", "SucceededGetScale", able);
    if decision.replicas != current {
        status["lastScaleTime"] = json!(now());
    } else {
        let reason = if current == 0 { "ScalingDisabled" } else { "FailedGetResourceMetric" };
        condition(&mut status, "ScalingActive", "False", reason, decision.message);
    }
    status
}

fn condition(status: &mut Value, kind: &str, value: &str, reason: &str, message: &str) {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    set_condition(&mut conditions, kind, value, reason, message);
    status["conditions"] = json!(conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_kept_within_bounds_and_a_scale_of_zero_is_left_alone() {
        let spec = json!({"minReplicas": 2, "maxReplicas": 4});
        let replicas = [0, 1, 3, 9].map(|current| Decision::of(&spec, current).replicas);
        assert_eq!(replicas, [0, 2, 3, 4]);
    }
}
