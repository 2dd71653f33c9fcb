//! Annotation `sidecar.istio.io/status`: what injection added, for tools and for the next injection.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::InjectError;
use super::scope::Scope;

const ANNOTATION: &str = "sidecar.istio.io/status";

/// Names of everything that was added.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Injected {
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) init_containers: Vec<String>,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) containers: Vec<String>,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) volumes: Vec<String>,
    #[serde(deserialize_with = "null_as_empty")]
    pub(super) image_pull_secrets: Vec<String>,
    pub(super) revision: String,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the annotation; absent means the pod was never injected.
pub(super) fn read(annotations: &Map<String, Value>) -> Result<Option<Injected>, InjectError> {
    let Some(text) = annotations.get(ANNOTATION).and_then(Value::as_str) else {
        return Ok(None);
    };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| InjectError::Annotation { key: ANNOTATION.to_owned(), reason: error.to_string() })
}

/// Compares the pod with what it was before the templates and writes the annotation.
pub(super) fn write(pod: &mut Value, before: &Value, scope: &Scope<'_>) {
    let added = |pointer: &str| -> Vec<String> {
        let old = names(before, pointer);
        names(pod, pointer).into_iter().filter(|name| !old.contains(name)).collect()
    };
    let injected = Injected {
        init_containers: added("/spec/initContainers"),
        containers: added("/spec/containers"),
        volumes: added("/spec/volumes"),
        image_pull_secrets: added("/spec/imagePullSecrets"),
        revision: scope.revision.to_owned(),
    };
    // A struct of strings always serializes.
    let text = serde_json::to_string(&injected).unwrap_or_default();
    pod["metadata"]["annotations"][ANNOTATION] = json!(text);
}

fn names(pod: &Value, pointer: &str) -> Vec<String> {
    let list = pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|entry| entry.get("name").and_then(Value::as_str)).map(str::to_owned).collect()
}
