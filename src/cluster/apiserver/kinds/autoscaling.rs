//! HorizontalPodAutoscalers of `autoscaling/v1`: kept as v2, shown and taken as v1. What v1 has no field for travels in the annotations
//! `autoscaling.alpha.kubernetes.io/…`, as with Kubernetes.

mod metrics;

use serde_json::{Map, Value, json};

/// Metrics other than the average use of the CPU.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
/// What is aimed at where nobody says anything, in percent of what the pods request.
const DEFAULT_UTILIZATION: i64 = 80;

/// The default metric of v2.
pub(crate) fn default_metric() -> Value {
    cpu(&json!(DEFAULT_UTILIZATION))
}

fn cpu(percent: &Value) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": percent});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

fn is_cpu_utilization(metric: &Value) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && metric["resource"]["target"]["averageUtilization"].is_number()
}

/// Makes v2 of v1. Fields that are v2's already are left alone.
pub(crate) fn upgrade(object: &mut Value) {
    let mut parked = |name: &str| parked(object, name);
    let (metrics, behavior) = (parked(METRICS), parked(BEHAVIOR));
    let (conditions, current) = (parked(CONDITIONS), parked(CURRENT_METRICS));
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let percent = spec.remove("targetCPUUtilizationPercentage").filter(Value::is_number);
        let mut all: Vec<Value> = list(metrics).iter().map(metrics::to_v2).collect();
        all.extend(percent.as_ref().map(cpu));
        if all.is_empty() {
            all.push(default_metric());
        }
        spec.insert("metrics".to_owned(), Value::Array(all));
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), with_initials(&behavior, char::to_ascii_lowercase));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentCPUUtilizationPercentage");
        for (field, value) in [("conditions", conditions), ("currentMetrics", current)] {
            if let Some(value) = value.filter(Value::is_array) {
                status.insert(field.to_owned(), value);
            }
        }
    }
}

/// Makes v1 of v2.
pub(super) fn downgrade(object: &mut Value) {
    let mut notes: Vec<(&str, Value)> = Vec::new();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let mut others = list(spec.remove("metrics"));
        if let Some(at) = others.iter().position(is_cpu_utilization) {
            let metric = others.remove(at);
            let percent = metric["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percent);
        }
        if !others.is_empty() {
            notes.push((METRICS, others.iter().map(metrics::to_v1).collect()));
        }
        if let Some(behavior) = spec.remove("behavior") {
            notes.push((BEHAVIOR, with_initials(&behavior, char::to_ascii_uppercase)));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let current = status.get("currentMetrics").and_then(Value::as_array).into_iter().flatten();
        let cpu = current.into_iter().find(|one| one["resource"]["name"] == "cpu");
        let percent = cpu.map(|one| one["resource"]["current"]["averageUtilization"].clone());
        if let Some(percent) = percent.filter(Value::is_number) {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent);
        }
        for (note, field) in [(CONDITIONS, "conditions"), (CURRENT_METRICS, "currentMetrics")] {
            if let Some(value) = status.remove(field).filter(Value::is_array) {
                notes.push((note, value));
            }
        }
        for field in ["currentReplicas", "desiredReplicas"] {
            status.entry(field).or_insert(json!(0));
        }
    }
    for (name, value) in notes {
        object["metadata"]["annotations"][name] = json!(value.to_string());
    }
}

/// Takes what an annotation keeps. One that is no JSON is gone with it.
fn parked(object: &mut Value, name: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let text = annotations.remove(name)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// The annotation of the behavior is written in the names of Go's fields, which begin with capitals.
fn with_initials(value: &Value, change: impl Fn(&char) -> char + Copy) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = |(name, value): (&String, &Value)| {
                let mut letters = name.chars();
                let initial: String = letters.next().iter().map(change).collect();
                (initial + letters.as_str(), with_initials(value, change))
            };
            Value::Object(
                fields.iter().filter(|(_, value)| !value.is_null()).map(renamed).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.iter().map(|item| with_initials(item, change)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_is_a_metric_and_the_rest_travels_in_annotations() {
        let spec = json!({"maxReplicas": 5, "minReplicas": 1});
        let mut old = json!({"metadata": {"name": "a"}, "spec": spec});
        old["spec"]["targetCPUUtilizationPercentage"] = json!(60);
        let shown = old.clone();
        upgrade(&mut old);
        assert_eq!(old["spec"]["metrics"], json!([cpu(&json!(60))]));
        downgrade(&mut old);
        assert_eq!(old, shown);
        let mut bare = json!({"metadata": {"name": "a"}, "spec": spec});
        upgrade(&mut bare);
        assert_eq!(bare["spec"]["metrics"], json!([cpu(&json!(80))]), "the default");

        let selector = json!({"matchLabels": {"queue": "w"}});
        let main = json!({"kind": "Ingress", "name": "main"});
        let metrics = json!([
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}}},
            {"type": "Pods", "pods": {"metric": {"name": "pps", "selector": selector},
                "target": {"type": "AverageValue", "averageValue": "1k"}}},
            {"type": "Object", "object": {"metric": {"name": "rps"}, "describedObject": main,
                "target": {"type": "Value", "value": "10k"}}},
            {"type": "External", "external": {"metric": {"name": "q", "selector": selector},
                "target": {"type": "AverageValue", "averageValue": "30"}}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
                "target": {"type": "Utilization", "averageUtilization": 60}}},
        ]);
        let policies = json!([{"type": "Pods", "value": 4, "periodSeconds": 60}]);
        let conditions = json!([{"type": "AbleToScale", "status": "True"}]);
        let new = json!({"metadata": {"annotations": {"mine": "1"}},
            "spec": {"metrics": metrics, "behavior": {"scaleDown": {"policies": policies}}},
            "status": {"conditions": conditions, "currentReplicas": 2, "desiredReplicas": 3}});
        let mut seen = new.clone();
        downgrade(&mut seen);
        let annotation = |name: &str| seen["metadata"]["annotations"][name].as_str().unwrap_or("");
        assert!(annotation(METRICS).contains(r#""targetAverageValue":"100Mi""#), "{}", annotation(METRICS));
        assert!(annotation(BEHAVIOR).contains(r#""PeriodSeconds":60"#), "{}", annotation(BEHAVIOR));
        assert!(seen["status"].get("conditions").is_none(), "{seen}");
        upgrade(&mut seen);
        assert_eq!(seen, new);
    }
}
