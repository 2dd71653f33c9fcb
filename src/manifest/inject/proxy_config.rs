//! The ProxyConfig of one pod: mesh `defaultConfig`, over it the ProxyConfig objects of the mesh, of its namespace and of the workload, over
//! all the annotation `proxy.istio.io/config`.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::mesh_config::ProxyConfig;
use sagene_api::istio::mesh_config::merge::merge_deep;
use sagene_api::istio::networking;
use sagene_api::schema::proto_names::to_json_names;
use serde_json::{Map, Value, json};

use super::InjectError;

const ANNOTATION: &str = "proxy.istio.io/config";

/// The pod that is configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) namespace: &'a str,
    /// Where ProxyConfigs without a selector hold for the whole mesh.
    pub(super) root_namespace: &'a str,
    pub(super) labels: &'a Map<String, Value>,
}

/// Merges by field, maps by key (`proxyMetadata`), everything else replaced.
pub(super) fn merged(
    mesh: &Value,
    objects: &[Arc<Object<networking::ProxyConfig>>],
    target: Target<'_>,
    annotation: Option<&str>,
) -> Result<Value, InjectError> {
    let mut config =
        mesh.get("defaultConfig").filter(|config| config.is_object()).cloned().unwrap_or_else(|| json!({}));
    for object in applicable(objects, target) {
        merge_deep(&mut config, settings(&object.spec));
    }
    if let Some(text) = annotation {
        let mut parsed: Value = sagene_api::yaml::value(text).map_err(|error| bad(error.to_string()))?;
        to_json_names::<ProxyConfig>(&mut parsed);
        match parsed {
            Value::Null => {}
            Value::Object(_) => overlay_fields(&mut config, parsed),
            _ => return Err(bad("expected a ProxyConfig in YAML".to_owned())),
        }
    }
    Ok(config)
}

fn bad(reason: String) -> InjectError {
    InjectError::Annotation { key: ANNOTATION.to_owned(), reason }
}

/// The objects that concern a pod, the more special last. Of several for a whole namespace the oldest counts; of several
/// that select one workload the oldest wins where they disagree.
fn applicable<'o>(
    objects: &'o [Arc<Object<networking::ProxyConfig>>],
    target: Target<'_>,
) -> Vec<&'o Object<networking::ProxyConfig>> {
    let mut newest_first: Vec<_> = objects.iter().map(Arc::as_ref).collect();
    newest_first.sort_by_key(|object| {
        let metadata = &object.metadata;
        std::cmp::Reverse((metadata.creation_timestamp, metadata.namespace.clone(), metadata.name.clone()))
    });
    let whole = |namespace: &str| {
        let of_namespace = |object: &&&Object<networking::ProxyConfig>| {
            object.metadata.namespace == namespace && object.spec.selector.is_none()
        };
        newest_first.iter().rfind(of_namespace).copied()
    };
    let selected = newest_first.iter().copied().filter(|object| {
        let selector = object.spec.selector.as_ref();
        object.metadata.namespace == target.namespace
            && selector.is_some_and(|selector| {
                selector.match_labels.iter().all(|(key, value)| {
                    target.labels.get(key).and_then(Value::as_str) == Some(value.as_str())
                })
            })
    });
    let namespace = (target.namespace != target.root_namespace).then(|| whole(target.namespace)).flatten();
    whole(target.root_namespace).into_iter().chain(namespace).chain(selected).collect()
}

/// An object's fields by their names in `defaultConfig`.
fn settings(spec: &networking::ProxyConfig) -> Value {
    let mut settings = json!({});
    if let Some(concurrency) = spec.concurrency {
        settings["concurrency"] = json!(concurrency);
    }
    if !spec.environment_variables.is_empty() {
        settings["proxyMetadata"] = json!(spec.environment_variables);
    }
    if let Some(image) = spec.image.as_ref().filter(|image| !image.image_type.is_empty()) {
        settings["image"] = json!({ "imageType": image.image_type });
    }
    settings
}

fn overlay_fields(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                overlay_fields(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (slot, value) => *slot = value,
    }
}
