//! HorizontalPodAutoscalers: replicas follow what the pods use, as `metrics.k8s.io` measures it.

mod behavior;
mod measured;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, now, number, set_condition, text};
use super::key::Key;
use super::queue::Queue;
use crate::api_client::{ApiError, ListOptions, ResourceRef};
use crate::apiserver::selector::LabelSelector;
use crate::events::Event;
use behavior::{Allowed, History, bounds};
use measured::{Measured, Unknown, Wish};

/// Between two looks at what pods use, as Kubernetes has it.
const SYNC_PERIOD: Duration = Duration::from_secs(15);

/// Kinds that can be scaled.
const SCALABLE: [&ResourceRef; 3] =
    [&ResourceRef::DEPLOYMENTS, &ResourceRef::REPLICA_SETS, &ResourceRef::STATEFUL_SETS];

/// What autoscalers asked for, by their uid.
#[derive(Debug, Default)]
pub(super) struct Histories(Mutex<HashMap<String, History>>);

impl Histories {
    fn with<T>(&self, autoscaler: &Value, work: impl FnOnce(&mut History) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(text(autoscaler, "/metadata/uid").to_owned()).or_default())
    }

    fn keep(&self, autoscalers: &[Arc<Value>]) {
        let there = |uid: &String| autoscalers.iter().any(|one| text(one, "/metadata/uid") == uid);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| there(uid));
    }
}

/// Asks for every autoscaler again and again until it is aborted.
pub(super) async fn run(context: Arc<Context>, queue: Arc<Queue>) {
    loop {
        tokio::time::sleep(SYNC_PERIOD).await;
        match context.list(&ResourceRef::HORIZONTAL_POD_AUTOSCALERS, "").await {
            Ok(autoscalers) => {
                context.scaled.keep(&autoscalers);
                autoscalers.iter().for_each(|autoscaler| queue.add(key_of(autoscaler)));
            }
            Err(error) => tracing::debug!(%error, "autoscalers are looked at later"),
        }
    }
}

fn key_of(autoscaler: &Value) -> Key {
    let field = |pointer| text(autoscaler, pointer).to_owned();
    Key::Autoscaler(field("/metadata/namespace"), field("/metadata/name"))
}

/// Asks for the autoscalers of an object that changed.
pub(super) async fn keys(
    context: &Context,
    queue: &Arc<Queue>,
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
            queue.add(key_of(&autoscaler));
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
    let decision = decide(context, &autoscaler, &target, current).await?;
    if decision.allowed.replicas != current {
        let patch = json!({"spec": {"replicas": decision.allowed.replicas}});
        let name = text(&target, "/metadata/name");
        context.api.merge_patch(resource, namespace, name, "", patch).await?;
        let wanted = decision.allowed.replicas;
        context.scaled.with(&autoscaler, |history| history.scaled(current, wanted, Instant::now()));
        let told = format!("New size: {wanted}; reason: {}", decision.reason);
        let event = Event::normal("SuccessfulRescale", told);
        context.events.record("horizontal-pod-autoscaler", kind, &autoscaler, event);
    }
    let shown = number(&target, "/status/replicas").unwrap_or(0);
    context.write_status(kind, &autoscaler, decision.status(&autoscaler, current, shown)).await?;
    Ok(None)
}

/// How many replicas there are to be, and why.
struct Decision {
    allowed: Allowed,
    reason: String,
    /// `ScalingActive`: the metric that counted, why there is none, or nothing where it was not asked.
    active: Option<Result<String, Unknown>>,
    /// For `status.currentMetrics`.
    metrics: Vec<Value>,
}

impl Decision {
    /// Without a look at metrics.
    fn outright(replicas: i64, reason: &str) -> Self {
        let allowed = Allowed { replicas, stabilized: false, limited: None };
        Self { allowed, reason: reason.to_owned(), active: None, metrics: Vec::new() }
    }

    fn status(self, autoscaler: &Value, current: i64, shown: i64) -> Value {
        let mut status = match &autoscaler["status"] {
            Value::Object(_) => autoscaler["status"].clone(),
            _ => json!({}),
        };
        status["currentReplicas"] = json!(shown);
        status["desiredReplicas"] = json!(self.allowed.replicas);
        if self.active.is_some() {
            status["currentMetrics"] = json!(self.metrics);
        }
        let (reason, told) = match (&self.allowed, self.active.as_ref()) {
            (allowed, _) if allowed.replicas != current => {
                ("SucceededRescale", format!("the HPA controller was able to update the target scale to {}", allowed.replicas))
            }
            (Allowed { stabilized: true, .. }, Some(Ok(_))) => {
                ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation".to_owned())
            }
            (_, Some(Ok(_))) => ("ReadyForNewScale", "recommended size matches current size".to_owned()),
            _ => ("SucceededGetScale", "the HPA controller was able to get the target's current scale".to_owned()),
        };
        condition(&mut status, "AbleToScale", "True", reason, &told);
        if self.allowed.replicas != current {
            status["lastScaleTime"] = json!(now());
        }
        match self.active {
            None if current == 0 => {
                condition(&mut status, "ScalingActive", "False", "ScalingDisabled", &self.reason)
            }
            None => {}
            Some(Err(unknown)) => {
                condition(&mut status, "ScalingActive", "False", unknown.reason, &unknown.message)
            }
            Some(Ok(name)) => {
                let told = format!("the HPA was able to successfully calculate a replica count from {name}");
                condition(&mut status, "ScalingActive", "True", "ValidMetricFound", &told);
                let within = ("DesiredWithinRange", "the desired count is within the acceptable range");
                let is_limited = if self.allowed.limited.is_some() { "True" } else { "False" };
                let (reason, told) = self.allowed.limited.unwrap_or(within);
                condition(&mut status, "ScalingLimited", is_limited, reason, told);
            }
        }
        status
    }
}

async fn decide(
    context: &Context,
    autoscaler: &Value,
    target: &Value,
    current: i64,
) -> Result<Decision, ApiError> {
    let spec = &autoscaler["spec"];
    let (least, most) = bounds(spec, current);
    Ok(match current {
        0 => Decision::outright(0, "scaling is disabled since the replica count of the target is zero"),
        _ if current > most => Decision::outright(most, "Current number of replicas above Spec.MaxReplicas"),
        _ if current < least => {
            Decision::outright(least, "Current number of replicas below Spec.MinReplicas")
        }
        _ => {
            let measured = measure(context, target, current).await?;
            let metrics = spec["metrics"].as_array().into_iter().flatten();
            let wishes = metrics.map(|metric| measured.wish(metric)).collect();
            let allow = |wanted| {
                context
                    .scaled
                    .with(autoscaler, |history| history.allow(spec, current, wanted, Instant::now()))
            };
            choose(current, wishes, allow)
        }
    })
}

/// The metric that asks for most counts. While one is not known, the others may add replicas and take none away.
fn choose(current: i64, wishes: Vec<Result<Wish, Unknown>>, allow: impl FnOnce(i64) -> Allowed) -> Decision {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for wish in wishes {
        match wish {
            Ok(wish) => known.push(wish),
            Err(why) => unknown.push(why),
        }
    }
    let metrics = known.iter().map(|wish| wish.shown.clone()).collect();
    let most = known.into_iter().reduce(|most, wish| if wish.replicas > most.replicas { wish } else { most });
    let refused = unknown.into_iter().next();
    match (most, refused) {
        (Some(wish), refused) if refused.is_none() || wish.replicas >= current => {
            let allowed = allow(wish.replicas);
            let up = allowed.replicas > current;
            let reason = if up {
                format!("{} above target", wish.name)
            } else {
                "All metrics below target".to_owned()
            };
            Decision { allowed, reason, active: Some(Ok(wish.name)), metrics }
        }
        (_, refused) => {
            let active = refused.map(|why| {
                let message = format!("the HPA was unable to compute the replica count: {}", why.message);
                Err(Unknown { reason: why.reason, message })
            });
            Decision { active, metrics, ..Decision::outright(current, "") }
        }
    }
}

/// The target's pods, and what is known of them.
async fn measure(context: &Context, target: &Value, current: i64) -> Result<Measured, ApiError> {
    let namespace = text(target, "/metadata/namespace");
    let selector = LabelSelector::from_object(&target["spec"]["selector"]);
    let pods = context.list(&ResourceRef::PODS, namespace).await?;
    let pods = pods.into_iter().filter(|pod| selector.matches(&pod["metadata"]["labels"])).collect();
    let kind = ResourceRef::new("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", true);
    let metrics = context.api.list(&kind, namespace, &ListOptions::default()).await?.items;
    let named = |metrics: Arc<Value>| (text(&metrics, "/metadata/name").to_owned(), metrics);
    Ok(Measured { pods, metrics: metrics.into_iter().map(named).collect(), current })
}

fn condition(status: &mut Value, kind: &str, value: &str, reason: &str, message: &str) {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    set_condition(&mut conditions, kind, value, reason, message);
    status["conditions"] = json!(conditions);
}
