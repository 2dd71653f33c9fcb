//! One metric of an autoscaler in the words of v1 (flat: `metricName`, `targetAverageValue`) and of v2 (nested: `metric`, `target`).

use serde_json::{Map, Value, json};

/// A kind of metric: its type, its field, and what v1 calls the selector of the metric. `None`: the metric is a resource, which has a name
/// of its own.
const KINDS: [(&str, &str, Option<&str>); 5] = [
    ("Resource", "resource", None),
    ("ContainerResource", "containerResource", None),
    ("Pods", "pods", Some("selector")),
    ("Object", "object", Some("selector")),
    ("External", "external", Some("metricSelector")),
];

fn kind_of(metric: &Value) -> Option<&'static (&'static str, &'static str, Option<&'static str>)> {
    KINDS.iter().find(|(kind, ..)| metric["type"] == *kind)
}

/// Copies a field that is there.
fn carry(from: &Value, name: &str, to: &mut Map<String, Value>, new_name: &str) {
    if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
        to.insert(new_name.to_owned(), value.clone());
    }
}

pub(super) fn to_v1(metric: &Value) -> Value {
    let Some((kind, field, selector)) = kind_of(metric) else { return metric.clone() };
    let (from, mut to) = (&metric[*field], Map::new());
    match selector {
        None => {
            carry(from, "name", &mut to, "name");
            carry(from, "container", &mut to, "container");
        }
        Some(selector) => {
            carry(from, "describedObject", &mut to, "target");
            carry(&from["metric"], "name", &mut to, "metricName");
            carry(&from["metric"], "selector", &mut to, selector);
        }
    }
    carry(&from["target"], "averageUtilization", &mut to, "targetAverageUtilization");
    carry(&from["target"], "value", &mut to, "targetValue");
    // An object's average has another name than everybody else's.
    let average = if *kind == "Object" { "averageValue" } else { "targetAverageValue" };
    carry(&from["target"], "averageValue", &mut to, average);
    json!({"type": kind, *field: to})
}

pub(super) fn to_v2(metric: &Value) -> Value {
    let Some((kind, field, selector)) = kind_of(metric) else { return metric.clone() };
    let (from, mut to, mut target) = (&metric[*field], Map::new(), Map::new());
    match selector {
        None => {
            carry(from, "name", &mut to, "name");
            carry(from, "container", &mut to, "container");
        }
        Some(selector) => {
            let mut named = Map::new();
            carry(from, "metricName", &mut named, "name");
            carry(from, selector, &mut named, "selector");
            to.insert("metric".to_owned(), Value::Object(named));
            carry(from, "target", &mut to, "describedObject");
        }
    }
    carry(from, "targetAverageUtilization", &mut target, "averageUtilization");
    carry(from, "targetAverageValue", &mut target, "averageValue");
    carry(from, "averageValue", &mut target, "averageValue");
    if !target.contains_key("averageValue") {
        carry(from, "targetValue", &mut target, "value");
    }
    let aim = match () {
        () if target.contains_key("averageUtilization") => "Utilization",
        () if target.contains_key("averageValue") => "AverageValue",
        () => "Value",
    };
    target.insert("type".to_owned(), json!(aim));
    to.insert("target".to_owned(), Value::Object(target));
    json!({"type": kind, *field: to})
}
