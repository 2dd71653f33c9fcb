//! `LimitRanger`: defaults and bounds for what containers, pods and claims ask for.

use serde_json::{Map, Value, json};

use crate::apiserver::error::ApiError;
use crate::apiserver::object_meta;
use crate::apiserver::operations::{Operations, Target};
use crate::apiserver::quota::written;
use crate::node::quantity;

/// Puts the defaults of the namespace's limit ranges in, then checks their bounds.
pub(super) fn admit(operations: &Operations, target: &Target, object: &mut Value) -> Result<(), ApiError> {
    let (ranges, _) = operations.store.list("/limitranges", &target.namespace);
    let items: Vec<&Value> =
        ranges.iter().filter_map(|range| range["spec"]["limits"].as_array()).flatten().collect();
    if items.is_empty() {
        return Ok(());
    }
    let mut causes = Vec::new();
    if target.definition.reference.plural == "pods" {
        for item in items.iter().filter(|item| item["type"] == "Container") {
            put_defaults(object, item);
        }
        for item in &items {
            match item["type"].as_str() {
                Some("Container") => {
                    for container in containers(object) {
                        check(item, "Container", &container["resources"], &mut causes);
                    }
                }
                Some("Pod") => check(item, "Pod", &total(object), &mut causes),
                _ => {}
            }
        }
    } else {
        for item in items.iter().filter(|item| item["type"] == "PersistentVolumeClaim") {
            check(item, "PersistentVolumeClaim", &object["spec"]["resources"], &mut causes);
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let why = if causes.len() == 1 { causes.remove(0) } else { format!("[{}]", causes.join(", ")) };
    Err(ApiError::forbidden(&target.definition.reference, object_meta::called(object), &why))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

/// Limits default to `default` or the maximum, requests to the container's limit, `defaultRequest`, the default limit or the minimum.
fn put_defaults(pod: &mut Value, item: &Value) {
    let fields = |name: &str| item[name].as_object().cloned().unwrap_or_default();
    let mut limits = fields("max");
    limits.extend(fields("default"));
    let mut requests = fields("min");
    requests.extend(limits.clone());
    requests.extend(fields("defaultRequest"));
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let resources = &mut container["resources"];
            if !resources.is_object() {
                *resources = json!({});
            }
            let own_limits = resources["limits"].clone();
            put_missing(&mut resources["requests"], own_limits.as_object().cloned().unwrap_or_default());
            put_missing(&mut resources["limits"], limits.clone());
            put_missing(&mut resources["requests"], requests.clone());
        }
    }
}

fn put_missing(place: &mut Value, values: Map<String, Value>) {
    if values.is_empty() {
        return;
    }
    if !place.is_object() {
        *place = json!({});
    }
    for (name, value) in values {
        if place[&name].is_null() {
            place[&name] = value;
        }
    }
}

/// What the containers ask for together.
fn total(pod: &Value) -> Value {
    let mut sum = json!({"requests": {}, "limits": {}});
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        for field in ["requests", "limits"] {
            for (name, amount) in container["resources"][field].as_object().into_iter().flatten() {
                let before = sum[field][name].as_f64().unwrap_or(0.0);
                sum[field][name] = json!(before + quantity::parse_value(amount).unwrap_or(0.0));
            }
        }
    }
    sum
}

fn check(item: &Value, kind: &str, resources: &Value, causes: &mut Vec<String>) {
    let amount = |field: &str, name: &str| quantity::parse_value(&resources[field][name]);
    let bounds = |field: &str| -> Vec<(String, f64)> {
        let bounds = item[field].as_object().into_iter().flatten();
        bounds.filter_map(|(name, value)| Some((name.clone(), quantity::parse_value(value)?))).collect()
    };
    for (name, least) in bounds("min") {
        let limit = written(&name, least);
        match amount("requests", &name) {
            None => {
                causes.push(format!("minimum {name} usage per {kind} is {limit}.  No request is specified"))
            }
            Some(asked) if asked < least => causes.push(format!(
                "minimum {name} usage per {kind} is {limit}, but request is {}",
                written(&name, asked)
            )),
            Some(_) => {}
        }
    }
    for (name, most) in bounds("max") {
        let bound = written(&name, most);
        // A claim has requests only.
        let (field, word) =
            if kind == "PersistentVolumeClaim" { ("requests", "request") } else { ("limits", "limit") };
        match amount(field, &name) {
            None => {
                causes.push(format!("maximum {name} usage per {kind} is {bound}.  No {word} is specified"))
            }
            Some(asked) if asked > most => causes.push(format!(
                "maximum {name} usage per {kind} is {bound}, but {word} is {}",
                written(&name, asked)
            )),
            Some(_) => {}
        }
    }
    for (name, ratio) in bounds("maxLimitRequestRatio") {
        if let (Some(limit), Some(request)) = (amount("limits", &name), amount("requests", &name))
            && request > 0.0
            && limit / request > ratio
        {
            causes.push(format!(
                "{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {:.6}",
                limit / request
            ));
        }
    }
}
