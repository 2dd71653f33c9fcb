//! Disruption budgets: how many of the pods they select may be evicted now.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::{ApiError, Cause};
use super::operations::Operations;
use super::selector::LabelSelector;

/// What a budget amounts to at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disruption {
    /// Pods that there should be.
    pub(crate) expected: i64,
    /// Pods that are ready and not leaving.
    pub(crate) healthy: i64,
    /// Pods that have to stay ready.
    pub(crate) desired: i64,
}

impl Disruption {
    /// Pods that may be evicted.
    pub(crate) fn allowed(&self) -> i64 {
        if self.expected > 0 { (self.healthy - self.desired).max(0) } else { 0 }
    }

    /// The budget's status.
    pub(crate) fn status(&self, budget: &Value) -> Value {
        let allowed = self.allowed();
        let (status, reason) =
            if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        let known = budget["status"]["conditions"].as_array().into_iter().flatten();
        let same =
            known.into_iter().find(|one| one["type"] == "DisruptionAllowed" && one["status"] == status);
        let since =
            same.map_or_else(|| json!(super::object_meta::now()), |one| one["lastTransitionTime"].clone());
        json!({
            "currentHealthy": self.healthy, "desiredHealthy": self.desired, "expectedPods": self.expected,
            "disruptionsAllowed": allowed, "observedGeneration": budget["metadata"]["generation"],
            "conditions": [{"type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
                "lastTransitionTime": since, "observedGeneration": budget["metadata"]["generation"]}],
        })
    }
}

fn selects(budget: &Value, pod: &Value) -> bool {
    budget["spec"]["selector"].is_object()
        && LabelSelector::from_object(&budget["spec"]["selector"]).matches(&pod["metadata"]["labels"])
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// A count, or a percentage of `whole`, rounded up.
fn share(value: &Value, whole: i64) -> Option<i64> {
    let percent = || value.as_str()?.strip_suffix('%')?.parse::<i64>().ok();
    value.as_i64().or_else(|| percent().map(|percent| (percent * whole + 99) / 100))
}

impl Operations {
    /// What a budget amounts to now.
    pub(crate) fn disruption(&self, budget: &Value) -> Disruption {
        let namespace = budget["metadata"]["namespace"].as_str().unwrap_or("");
        let (pods, _) = self.store.list("/pods", namespace);
        let pods: Vec<_> = pods.iter().filter(|pod| selects(budget, pod) && !has_ended(pod)).collect();
        let leaving = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
        let healthy = pods.iter().filter(|pod| is_ready(pod) && !leaving(pod)).count();
        let mut owners = BTreeSet::new();
        let mut expected = 0;
        for pod in &pods {
            let references = pod["metadata"]["ownerReferences"].as_array();
            let owner = references.into_iter().flatten().find(|one| one["controller"] == true);
            match owner {
                None => expected += 1,
                Some(owner) if owners.insert(owner["uid"].to_string()) => {
                    let scale = self.replicas_of(namespace, owner);
                    let siblings = || pods.iter().filter(|pod| owned_by(pod, owner)).count();
                    expected += scale.unwrap_or_else(|| i64::try_from(siblings()).unwrap_or(0));
                }
                Some(_) => {}
            }
        }
        let spec = &budget["spec"];
        let desired = match share(&spec["maxUnavailable"], expected) {
            Some(unavailable) => (expected - unavailable).max(0),
            None => share(&spec["minAvailable"], expected).unwrap_or(1),
        };
        Disruption { expected, healthy: i64::try_from(healthy).unwrap_or(0), desired }
    }

    fn replicas_of(&self, namespace: &str, owner: &Value) -> Option<i64> {
        let plural = match owner["kind"].as_str()? {
            "ReplicaSet" => "replicasets",
            "StatefulSet" => "statefulsets",
            _ => return None,
        };
        let found = self.find("apps", plural, namespace, owner["name"].as_str()?)?;
        found["spec"]["replicas"].as_i64()
    }

    /// Refuses the eviction of a pod that a budget still needs.
    pub(crate) fn check_eviction(&self, pod: &Value) -> Result<(), ApiError> {
        if has_ended(pod) || !is_ready(pod) || pod["metadata"]["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("");
        let (budgets, _) = self.store.list("policy/poddisruptionbudgets", namespace);
        for budget in budgets.iter().filter(|budget| selects(budget, pod)) {
            let state = self.disruption(budget);
            if state.allowed() > 0 {
                continue;
            }
            let mut error = ApiError::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.".to_owned(),
            );
            error.details.causes.push(Cause {
                reason: "DisruptionBudget".to_owned(),
                message: format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    budget["metadata"]["name"].as_str().unwrap_or(""),
                    state.desired,
                    state.healthy
                ),
                field: String::new(),
            });
            return Err(error);
        }
        Ok(())
    }
}

fn owned_by(pod: &Value, owner: &Value) -> bool {
    let references = pod["metadata"]["ownerReferences"].as_array();
    references.into_iter().flatten().any(|one| one["uid"] == owner["uid"])
}
