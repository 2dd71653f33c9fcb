//! What the pods of a target use, and how many of them one metric of an autoscaler asks for: the rules of Kubernetes' algorithm
//! (`horizontal-pod-autoscale`, "Algorithm details").

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::context::{seconds_since, text};
use crate::node::quantity;

/// Nearer to the target than this is near enough.
const TOLERANCE: f64 = 0.1;
/// The use of CPU of a pod that is this young, and not ready, says nothing.
const INITIALIZATION_SECONDS: f64 = 300.0;

/// A target's pods and what was measured of them.
pub(super) struct Measured {
    pub(super) pods: Vec<Arc<Value>>,
    /// `PodMetrics` by the pod's name.
    pub(super) metrics: BTreeMap<String, Arc<Value>>,
    /// Replicas that the target wants now.
    pub(super) current: i64,
}

/// What one metric asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Wish {
    pub(super) replicas: i64,
    /// For `status.currentMetrics`.
    pub(super) shown: Value,
    /// Such as `cpu resource utilization (percentage of request)`.
    pub(super) name: String,
}

/// Why a metric asks for nothing.
#[derive(Debug, PartialEq)]
pub(super) struct Unknown {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What is aimed at.
enum Target {
    /// A share of what the pods request, in percent.
    Utilization(f64),
    /// An amount for each pod.
    Average(f64),
}

/// A resource of all containers, or of one.
struct Resource<'a> {
    name: &'a str,
    container: Option<&'a str>,
}

/// What a pod uses, and what it would use if it were on target.
#[derive(Clone, Copy, Debug)]
struct Share {
    used: f64,
    target: f64,
}

impl Measured {
    /// What a metric asks for.
    pub(super) fn wish(&self, metric: &Value) -> Result<Wish, Unknown> {
        let (field, reason) = match text(metric, "/type") {
            "Resource" => ("resource", "FailedGetResourceMetric"),
            "ContainerResource" => ("containerResource", "FailedGetContainerResourceMetric"),
            other => return Err(not_served(other)),
        };
        let source = &metric[field];
        let resource = Resource { name: text(source, "/name"), container: source["container"].as_str() };
        let unknown = |message: String| Unknown { reason, message };
        let target = target(source).ok_or_else(|| {
            unknown("invalid metric source: neither averageUtilization nor averageValue was set".to_owned())
        })?;
        let word = if matches!(target, Target::Utilization(_)) { "utilization" } else { "usage" };
        let (replicas, used, requested) = self
            .replicas(&resource, &target)
            .map_err(|why| unknown(format!("failed to get {} {word}: {why}", resource.name)))?;
        let mut current = json!({"averageValue": written(resource.name, used)});
        if let Target::Utilization(_) = target {
            current["averageUtilization"] = json!((used / requested * 100.0).floor() as i64);
        }
        let mut shown = json!({"name": resource.name, "current": current});
        if let Some(container) = resource.container {
            shown["container"] = json!(container);
        }
        let share = if word == "utilization" { " (percentage of request)" } else { "" };
        let kind = if resource.container.is_some() { "container resource" } else { "resource" };
        Ok(Wish {
            replicas,
            shown: json!({"type": metric["type"], field: shown}),
            name: format!("{} {kind} {word}{share}", resource.name),
        })
    }

    /// The number of replicas, and what a pod uses and requests on average.
    fn replicas(&self, resource: &Resource, target: &Target) -> Result<(i64, f64, f64), String> {
        let mut ready = Vec::new();
        let (mut missing, mut unready) = (Vec::new(), 0_usize);
        let mut requested = 0.0;
        let counts = |pod: &&Arc<Value>| {
            pod["metadata"]["deletionTimestamp"].is_null() && text(pod, "/status/phase") != "Failed"
        };
        for pod in self.pods.iter().filter(counts) {
            let request = resource.request(pod, target)?;
            let aim = match target {
                Target::Utilization(percent) => request * percent / 100.0,
                Target::Average(amount) => *amount,
            };
            let metrics = self.metrics.get(text(pod, "/metadata/name"));
            match metrics.and_then(|metrics| resource.used(metrics)) {
                _ if text(pod, "/status/phase") == "Pending" => {
                    unready += 1;
                    missing.push((aim, request, false));
                }
                None => missing.push((aim, request, true)),
                Some(_)
                    if resource.name == "cpu" && metrics.is_some_and(|metrics| is_unready(pod, metrics)) =>
                {
                    unready += 1;
                    missing.push((aim, request, false));
                }
                Some(used) => {
                    requested += request;
                    ready.push(Share { used, target: aim });
                }
            }
        }
        if ready.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
        }
        let count = ready.len() as f64;
        let used = ready.iter().map(|share| share.used).sum::<f64>() / count;
        let ratio = ratio(&ready);
        let silent = missing.iter().filter(|(_, _, unknown)| *unknown);
        if silent.clone().count() == 0 && (unready == 0 || ratio <= 1.0) {
            return Ok((self.near_or(ratio, count * ratio), used, requested / count));
        }
        // Who says nothing is taken to use what makes the change smallest.
        for (aim, request, _) in silent {
            let full = match target {
                Target::Utilization(percent) => request * percent.max(100.0) / 100.0,
                Target::Average(amount) => *amount,
            };
            ready.push(Share { used: if ratio < 1.0 { full } else { 0.0 }, target: *aim });
        }
        if ratio > 1.0 {
            let young = missing.iter().filter(|(_, _, unknown)| !unknown);
            ready.extend(young.map(|(aim, ..)| Share { used: 0.0, target: *aim }));
        }
        let damped = self::ratio(&ready);
        let turned = (ratio < 1.0) != (damped < 1.0);
        let replicas = if turned { self.current } else { self.near_or(damped, damped * ready.len() as f64) };
        let against = (damped < 1.0 && replicas > self.current) || (damped > 1.0 && replicas < self.current);
        Ok((if against { self.current } else { replicas }, used, requested / count))
    }

    fn near_or(&self, ratio: f64, replicas: f64) -> i64 {
        if (ratio - 1.0).abs() <= TOLERANCE { self.current } else { replicas.ceil() as i64 }
    }
}

impl Resource<'_> {
    fn containers<'p>(&'p self, containers: &'p Value) -> impl Iterator<Item = &'p Value> {
        let all = containers.as_array().into_iter().flatten();
        all.filter(|container| self.container.is_none_or(|name| container["name"] == name))
    }

    /// What the pod requests. Only a share of it needs one.
    fn request(&self, pod: &Value, target: &Target) -> Result<f64, String> {
        if matches!(target, Target::Average(_)) {
            return Ok(0.0);
        }
        let sidecars = self
            .containers(&pod["spec"]["initContainers"])
            .filter(|container| container["restartPolicy"] == "Always");
        let mut sum = 0.0;
        for container in self.containers(&pod["spec"]["containers"]).chain(sidecars) {
            let request = &container["resources"]["requests"][self.name];
            sum += quantity::parse_value(request).filter(|amount| *amount > 0.0).ok_or_else(|| {
                let (container, pod) = (text(container, "/name"), text(pod, "/metadata/name"));
                format!("missing request for {} in container {container} of Pod {pod}", self.name)
            })?;
        }
        if sum == 0.0 {
            let (container, pod) = (self.container.unwrap_or_default(), text(pod, "/metadata/name"));
            return Err(format!("container {container} not present in Pod {pod}"));
        }
        Ok(sum)
    }

    fn used(&self, metrics: &Value) -> Option<f64> {
        let mut found = self.containers(&metrics["containers"]).peekable();
        found.peek()?;
        Some(found.filter_map(|container| quantity::parse_value(&container["usage"][self.name])).sum())
    }
}

fn target(source: &Value) -> Option<Target> {
    let target = &source["target"];
    let utilization = target["averageUtilization"].as_f64().map(Target::Utilization);
    utilization.or_else(|| quantity::parse_value(&target["averageValue"]).map(Target::Average))
}

fn ratio(shares: &[Share]) -> f64 {
    let sum = |part: fn(&Share) -> f64| shares.iter().map(part).sum::<f64>();
    sum(|share| share.used) / sum(|share| share.target)
}

/// Whether what a young pod uses is what it needs to start: it is not ready, or was not for all of the time that was measured.
fn is_unready(pod: &Value, metrics: &Value) -> bool {
    if seconds_since(text(pod, "/status/startTime")).unwrap_or(0.0) >= INITIALIZATION_SECONDS {
        return false;
    }
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.find(|one| one["type"] == "Ready" && one["status"] == "True");
    let Some(ready) = ready else { return true };
    let window = text(metrics, "/window").trim_end_matches('s').parse::<f64>().unwrap_or(0.0);
    let ready_for = seconds_since(text(ready, "/lastTransitionTime"));
    let measured = seconds_since(text(metrics, "/timestamp")).unwrap_or(0.0);
    ready_for.is_some_and(|ready_for| ready_for < measured + window)
}

fn written(resource: &str, amount: f64) -> String {
    if resource == "cpu" { format!("{:.0}m", amount * 1000.0) } else { format!("{amount:.0}") }
}

fn not_served(kind: &str) -> Unknown {
    let (reason, group) = match kind {
        "Pods" => ("FailedGetPodsMetric", "custom.metrics.k8s.io"),
        "Object" => ("FailedGetObjectMetric", "custom.metrics.k8s.io"),
        "External" => ("FailedGetExternalMetric", "external.metrics.k8s.io"),
        _ => ("InvalidMetricSourceType", ""),
    };
    let message = match group {
        "" => format!("unknown metric source type {kind:?}"),
        group => format!("this cluster has no API {group}: it measures cpu and memory alone"),
    };
    Unknown { reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, millicores: u64, ready: bool) -> Arc<Value> {
        let now = jiff::Timestamp::now().to_string();
        Arc::new(json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": format!("{millicores}m")}}}]},
            "status": {"phase": "Running", "startTime": now,
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
    }

    fn metrics(name: &str, millicores: u64) -> (String, Arc<Value>) {
        let usage = json!({"cpu": format!("{millicores}000000n"), "memory": "2048Ki"});
        (name.to_owned(), Arc::new(json!({"containers": [{"name": "app", "usage": usage}]})))
    }

    fn utilization(percent: u64) -> Value {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    }

    #[test]
    fn replicas_follow_the_use_of_the_pods() {
        let mut measured = Measured {
            pods: vec![pod("a", 100, true), pod("b", 100, true)],
            metrics: [metrics("a", 90), metrics("b", 150)].into(),
            current: 2,
        };
        // 120 of 100 with 50 % to aim at: 2.4 times as many.
        let wish = measured.wish(&utilization(50)).unwrap();
        assert_eq!(wish.replicas, 5);
        assert_eq!(
            wish.shown["resource"]["current"],
            json!({"averageValue": "120m", "averageUtilization": 120})
        );
        assert_eq!(wish.name, "cpu resource utilization (percentage of request)");
        assert_eq!(measured.wish(&utilization(115)).unwrap().replicas, 2, "near enough");
        assert_eq!(measured.wish(&utilization(400)).unwrap().replicas, 1);
        let value = json!({"type": "Resource", "resource": {"name": "memory",
            "target": {"type": "AverageValue", "averageValue": "1Mi"}}});
        let wish = measured.wish(&value).unwrap();
        assert_eq!(
            (wish.replicas, &wish.shown["resource"]["current"]),
            (4, &json!({"averageValue": "2097152"}))
        );
        // One that has just come is idle as far as is known: twice as many are too many.
        measured.pods.push(pod("c", 100, false));
        measured.metrics.extend([metrics("c", 500)]);
        measured.current = 3;
        assert_eq!(measured.wish(&utilization(100)).unwrap().replicas, 3);
        assert_eq!(measured.wish(&utilization(50)).unwrap().replicas, 5);
        // Nor does the start of one that has just become ready say anything.
        let now = jiff::Timestamp::now();
        let mut young = Value::clone(&pod("c", 100, true));
        young["status"]["conditions"][0]["lastTransitionTime"] = json!(now.to_string());
        measured.pods[2] = Arc::new(young);
        let mut of_its_start = Value::clone(&measured.metrics["c"]);
        (of_its_start["timestamp"], of_its_start["window"]) = (json!(now.to_string()), json!("15.002s"));
        measured.metrics.insert("c".to_owned(), Arc::new(of_its_start));
        assert_eq!(measured.wish(&utilization(100)).unwrap().replicas, 3);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut measured = Measured { pods: vec![pod("a", 100, true)], metrics: BTreeMap::new(), current: 1 };
        let said = |measured: &Measured, metric: &Value| measured.wish(metric).unwrap_err().message;
        assert!(said(&measured, &utilization(50)).contains("did not receive metrics"));
        measured
            .pods
            .push(Arc::new(json!({"metadata": {"name": "b"}, "spec": {"containers": [{"name": "x"}]}})));
        assert_eq!(
            said(&measured, &utilization(50)),
            "failed to get cpu utilization: missing request for cpu in container x of Pod b"
        );
        assert!(said(&measured, &json!({"type": "External"})).contains("external.metrics.k8s.io"));
    }
}
