//! HorizontalPodAutoscalers: what is scaled, and how far each metric is from its target.

use serde_json::{Value, json};

use super::{list, or_none, text};
use crate::apiserver::kinds::autoscaling;

/// Metrics that are told; of the others only how many there are.
const TOLD: usize = 2;

pub(super) fn cells(object: &Value, created: Value) -> Vec<Value> {
    let mut converted = object.clone();
    if object["apiVersion"] == "autoscaling/v1" {
        autoscaling::upgrade(&mut converted);
    }
    let spec = &converted["spec"];
    let reference =
        format!("{}/{}", text(&spec["scaleTargetRef"]["kind"]), text(&spec["scaleTargetRef"]["name"]));
    let targets: Vec<String> = list(&spec["metrics"]).map(target).collect();
    let mut told = targets[..targets.len().min(TOLD)].join(", ");
    if targets.len() > TOLD {
        told += &format!(" + {} more...", targets.len() - TOLD);
    }
    let replicas = json!(object["status"]["currentReplicas"].as_i64().unwrap_or(0).to_string());
    vec![
        json!(reference),
        json!(or_none(told)),
        json!(text(&spec["minReplicas"])),
        spec["maxReplicas"].clone(),
        replicas,
        created,
    ]
}

/// Nothing is measured here, so that the present value is never known.
fn target(metric: &Value) -> String {
    let of = |field: &str| &metric[field];
    let resource = [of("resource"), of("containerResource")].into_iter().find(|found| found.is_object());
    if let Some(resource) = resource {
        let (name, target) = (text(&resource["name"]), &resource["target"]);
        return match target["averageUtilization"].as_i64() {
            Some(percent) => format!("{name}: <unknown>/{percent}%"),
            None => format!("{name}: <unknown>/{}", text(&target["averageValue"])),
        };
    }
    let other = [of("pods"), of("object"), of("external")].into_iter().find(|found| found.is_object());
    let target = other.map_or(&Value::Null, |found| &found["target"]);
    let average = if metric["type"] == "Pods" { "" } else { " (avg)" };
    match target["averageValue"].as_str() {
        Some(value) => format!("<unknown>/{value}{average}"),
        None => format!("<unknown>/{}", text(&target["value"])),
    }
}
