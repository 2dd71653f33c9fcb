//! The user's own `istio-proxy` container: merged over the template's and remembered, so that injecting again gives the same pod.

use serde_json::{Map, Value, json};

use super::merge;
use super::reinjection::Earlier;
use super::{INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER};

const ANNOTATION: &str = "proxy.istio.io/overrides";

/// Containers of the pod that customize the template's instead of standing beside them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Own {
    containers: Vec<Value>,
    init_containers: Vec<Value>,
}

/// Splits a pod into what stays and what customizes. `earlier` brings back what a previous injection remembered.
pub(super) fn take(pod: &Value, earlier: &Earlier) -> (Value, Own) {
    let mut rest = pod.clone();
    let mut own = Own {
        containers: remove(&mut rest, "/spec/containers"),
        init_containers: remove(&mut rest, "/spec/initContainers"),
    };
    if let Some(remembered) = &earlier.overrides {
        let list = |key: &str| remembered.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        own.containers.extend(list("containers"));
        own.init_containers.extend(list("initContainers"));
    }
    (rest, own)
}

fn remove(pod: &mut Value, pointer: &str) -> Vec<Value> {
    let Some(list) = pod.pointer_mut(pointer).and_then(Value::as_array_mut) else {
        return Vec::new();
    };
    let (own, rest) = std::mem::take(list).into_iter().partition(is_ours);
    *list = rest;
    own
}

fn is_ours(container: &Value) -> bool {
    let name = container.get("name").and_then(Value::as_str);
    name.is_some_and(|name| [PROXY_CONTAINER, INIT_CONTAINER, VALIDATION_CONTAINER].contains(&name))
}

/// Lays the user's containers over the template's (`image: auto` means the template's image) and remembers them.
pub(super) fn apply(pod: &mut Value, own: &Own) {
    for container in own.containers.iter().chain(&own.init_containers) {
        let mut overlay = container.clone();
        if let Some(fields) = overlay.as_object_mut()
            && fields
                .get("image")
                .and_then(Value::as_str)
                .is_none_or(|image| image == "auto" || image.is_empty())
        {
            fields.remove("image");
        }
        match find(pod, container) {
            Some(target) => merge::strategic(target, &overlay),
            // The template brought no such container (NONE has no init container): the user's stays as it is.
            None => {
                if let Some(list) = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
                    list.push(container.clone());
                }
            }
        }
    }
    if *own == Own::default() {
        return;
    }
    let mut remembered = Map::new();
    for (key, list) in [("containers", &own.containers), ("initContainers", &own.init_containers)] {
        if !list.is_empty() {
            remembered.insert(key.to_owned(), json!(list));
        }
    }
    pod["metadata"]["annotations"][ANNOTATION] = json!(Value::Object(remembered).to_string());
}

/// The pod's container of the same name, in either list.
pub(super) fn find<'a>(pod: &'a mut Value, container: &Value) -> Option<&'a mut Value> {
    let spec = pod.get_mut("spec")?.as_object_mut()?;
    let lists = spec.iter_mut().filter(|(key, _)| *key == "containers" || *key == "initContainers");
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .find(|entry| entry.get("name") == container.get("name"))
}

/// Reads what an earlier injection remembered.
pub(super) fn remembered(annotations: &Map<String, Value>) -> Option<Value> {
    serde_json::from_str(annotations.get(ANNOTATION)?.as_str()?).ok()
}
