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
    let current: Vec<&Value> = list(&converted["status"]["currentMetrics"]).collect();
    let targets: Vec<String> = list(&spec["metrics"]).map(|metric| target(metric, &current)).collect();
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

/// `cpu: 12%/50%`, and `<unknown>` in place of what is not measured.
fn target(metric: &Value, current: &[&Value]) -> String {
    let of = |field: &str| &metric[field];
    let resource = [of("resource"), of("containerResource")].into_iter().find(|found| found.is_object());
    if let Some(resource) = resource {
        let (name, target) = (text(&resource["name"]), &resource["target"]);
        let now = current.iter().find_map(|known| {
            let known =
                [&known["resource"], &known["containerResource"]].into_iter().find(|it| it.is_object())?;
            let same = known["name"] == resource["name"] && known["container"] == resource["container"];
            same.then_some(&known["current"])
        });
        let now = now.unwrap_or(&Value::Null);
        return match (target["averageUtilization"].as_i64(), now["averageUtilization"].as_i64()) {
            (Some(percent), Some(now)) => format!("{name}: {now}%/{percent}%"),
            (Some(percent), None) => format!("{name}: <unknown>/{percent}%"),
            _ => {
                let now = now["averageValue"].as_str().unwrap_or("<unknown>");
                format!("{name}: {now}/{}", text(&target["averageValue"]))
            }
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
