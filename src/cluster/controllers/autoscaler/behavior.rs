//! How fast an autoscaler may change the number of replicas: stabilization and policies of `spec.behavior`, with Kubernetes' defaults.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::context::text;

/// What an autoscaler asked for and did, as long as it matters.
#[derive(Debug, Default)]
pub(super) struct History {
    recommended: Vec<(Instant, i64)>,
    /// By how much replicas changed.
    changed: Vec<(Instant, i64)>,
}

/// The longest window and period that the API allows.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// A number of replicas, and why it is not the one that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) replicas: i64,
    /// Reason of the condition `AbleToScale`.
    pub(super) stabilized: bool,
    /// Reason and message of the condition `ScalingLimited`.
    pub(super) limited: Option<(&'static str, &'static str)>,
}

impl History {
    /// What may become of `wanted` replicas where there are `current` now.
    pub(super) fn allow(&mut self, spec: &Value, current: i64, wanted: i64, now: Instant) -> Allowed {
        self.forget(now);
        if self.recommended.is_empty() {
            self.recommended.push((now, current));
        }
        self.recommended.push((now, wanted));
        let stable = self.stabilized(spec, current, now);
        let (least, most) = bounds(spec, current);
        let (replicas, limited) = if stable > current {
            let fastest = self.fastest(&rules(spec, "scaleUp"), current, now).max(current);
            let rate = (
                "ScaleUpLimit",
                "the desired replica count is increasing faster than the maximum scale rate",
            );
            let size =
                ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
            let limited = (stable > fastest.min(most)).then_some(if fastest < most { rate } else { size });
            (stable.min(fastest).min(most), limited)
        } else if stable < current {
            let fastest = self.fastest(&rules(spec, "scaleDown"), current, now).min(current);
            let rate = (
                "ScaleDownLimit",
                "the desired replica count is decreasing faster than the maximum scale rate",
            );
            let size = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
            let limited = (stable < fastest.max(least)).then_some(if fastest > least { rate } else { size });
            (stable.max(fastest).max(least), limited)
        } else {
            (current, bounded(wanted, least, most))
        };
        Allowed { replicas, stabilized: stable != wanted, limited }
    }

    /// Notes that replicas were changed.
    pub(super) fn scaled(&mut self, from: i64, to: i64, now: Instant) {
        self.changed.push((now, to - from));
    }

    fn forget(&mut self, now: Instant) {
        self.recommended.retain(|(at, _)| now.duration_since(*at) <= REMEMBERED);
        self.changed.retain(|(at, _)| now.duration_since(*at) <= REMEMBERED);
    }

    /// Not more than the least, and not less than the most, that was asked for within the windows.
    fn stabilized(&self, spec: &Value, current: i64, now: Instant) -> i64 {
        let within = |direction: &str| {
            let window = rules(spec, direction)["stabilizationWindowSeconds"].as_u64().unwrap_or(0);
            let last = self.recommended.last().into_iter();
            let recent = self
                .recommended
                .iter()
                .filter(move |(at, _)| now.duration_since(*at) < Duration::from_secs(window));
            recent.chain(last).map(|(_, replicas)| *replicas).collect::<Vec<_>>()
        };
        let up = within("scaleUp").into_iter().min().unwrap_or(current);
        let down = within("scaleDown").into_iter().max().unwrap_or(current);
        if current < up { up } else { current.min(down) }
    }

    /// As far as the policies let replicas go from where they were when each period began.
    fn fastest(&self, rules: &Value, current: i64, now: Instant) -> i64 {
        let up = rules["up"] == true;
        let far = |policy: &Value| {
            let period = Duration::from_secs(policy["periodSeconds"].as_u64().unwrap_or(0));
            let recent = self.changed.iter().filter(|(at, _)| now.duration_since(*at) < period);
            let begun = current - recent.map(|(_, change)| change).sum::<i64>();
            let value = policy["value"].as_i64().unwrap_or(0);
            match (policy["type"] == "Percent", up) {
                (true, true) => (begun as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64,
                (true, false) => (begun as f64 * (1.0 - value as f64 / 100.0)) as i64,
                (false, true) => begun + value,
                (false, false) => begun - value,
            }
        };
        let all = rules["policies"].as_array().into_iter().flatten().map(far);
        // `Max` is the largest change, which downwards leads to the fewest replicas.
        let farthest = match (text(rules, "/selectPolicy"), up) {
            ("Disabled", _) => None,
            ("Min", true) | ("Max", false) => all.min(),
            _ => all.max(),
        };
        farthest.unwrap_or(current)
    }
}

/// `minReplicas` and `maxReplicas`.
pub(super) fn bounds(spec: &Value, current: i64) -> (i64, i64) {
    (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or(current))
}

fn bounded(wanted: i64, least: i64, most: i64) -> Option<(&'static str, &'static str)> {
    if wanted > most {
        return Some(("TooManyReplicas", "the desired replica count is more than the maximum replica count"));
    }
    (wanted < least)
        .then_some(("TooFewReplicas", "the desired replica count is less than the minimum replica count"))
}

/// The rules of a direction; what is not said is as Kubernetes has it.
fn rules(spec: &Value, direction: &str) -> Value {
    let up = direction == "scaleUp";
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let mut rules = if up {
        json!({"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [percent, pods]})
    } else {
        json!({"stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": [percent]})
    };
    for (name, value) in spec["behavior"][direction].as_object().into_iter().flatten() {
        if !value.is_null() && value.as_array().is_none_or(|policies| !policies.is_empty()) {
            rules[name] = value.clone();
        }
    }
    rules["up"] = json!(up);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn up_at_once_but_not_by_more_than_the_policies_say() {
        let spec = json!({"minReplicas": 1, "maxReplicas": 30});
        let (mut history, start) = (History::default(), Instant::now());
        let first = history.allow(&spec, 2, 20, start);
        assert_eq!((first.replicas, first.limited.unwrap().0), (6, "ScaleUpLimit"), "four more");
        history.scaled(2, 6, start);
        assert_eq!(history.allow(&spec, 6, 20, start + SECOND).replicas, 6, "within 15 seconds");
        assert_eq!(history.allow(&spec, 6, 20, start + 16 * SECOND).replicas, 12, "twice as many");
        let most = history.allow(&spec, 20, 99, start + 40 * SECOND);
        assert_eq!((most.replicas, most.limited.unwrap().0), (30, "TooManyReplicas"));
    }

    #[test]
    fn down_only_when_nothing_more_was_asked_for_of_late() {
        let spec = json!({"minReplicas": 2, "maxReplicas": 9});
        let (mut history, start) = (History::default(), Instant::now());
        let first = history.allow(&spec, 6, 1, start);
        assert_eq!((first.replicas, first.stabilized), (6, true));
        assert_eq!(history.allow(&spec, 6, 1, start + 299 * SECOND).replicas, 6);
        let later = history.allow(&spec, 6, 1, start + 301 * SECOND);
        assert_eq!((later.replicas, later.limited.unwrap().0), (2, "TooFewReplicas"));
        let spec = json!({"minReplicas": 1, "maxReplicas": 9, "behavior": {"scaleDown":
            {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}});
        let mut history = History::default();
        assert_eq!(history.allow(&spec, 6, 1, start).replicas, 5);
        history.scaled(6, 5, start);
        assert_eq!(history.allow(&spec, 5, 1, start + SECOND).replicas, 5);
        assert_eq!(history.allow(&spec, 5, 1, start + 61 * SECOND).replicas, 4);
        let never =
            json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}}});
        assert_eq!(History::default().allow(&never, 5, 1, start).replicas, 5);
    }
}
