//! `components.<name>.k8s`: what Kubernetes lets one tune, laid over the rendered objects.

mod overlays;

use serde_json::{Value, json};

use super::RenderError;
use crate::inject::strategic_merge;

/// The settings of one component and the objects they speak of.
pub(super) struct Settings<'a> {
    /// For messages.
    pub(super) component: &'a str,
    /// The component: `k8s`, `hub`, `tag`.
    pub(super) settings: &'a Value,
    /// Name of its Deployment.
    pub(super) workload: &'a str,
    /// Name of its Service.
    pub(super) service: &'a str,
}

/// Applies every setting that is given.
pub(super) fn apply(objects: &mut [Value], settings: &Settings<'_>) -> Result<(), RenderError> {
    let kubernetes = &settings.settings["k8s"];
    image(objects, settings);
    for (key, value) in kubernetes.as_object().into_iter().flatten() {
        match key.as_str() {
            "env" | "resources" | "imagePullPolicy" | "readinessProbe" | "volumeMounts" => {
                let patch = container_patch(settings, objects, key, value);
                merge(objects, settings, &patch);
            }
            "securityContext" | "affinity" | "nodeSelector" | "tolerations" | "priorityClassName"
            | "volumes" => {
                merge(objects, settings, &json!({"spec": {"template": {"spec": {key: value}}}}));
            }
            "podAnnotations" => {
                merge(
                    objects,
                    settings,
                    &json!({"spec": {"template": {"metadata": {"annotations": value}}}}),
                );
            }
            "strategy" => merge(objects, settings, &json!({"spec": {"strategy": value}})),
            "replicaCount" => replicas(objects, settings, value),
            "hpaSpec" => {
                update(objects, "HorizontalPodAutoscaler", settings.workload, &json!({"spec": value}))
            }
            "podDisruptionBudget" => {
                update(objects, "PodDisruptionBudget", settings.workload, &json!({"spec": value}))
            }
            "service" => service(objects, settings, value),
            "serviceAnnotations" => {
                update(objects, "Service", settings.service, &json!({"metadata": {"annotations": value}}));
            }
            // After everything else: they see the finished objects.
            "overlays" => {}
            other => {
                let reason = format!("k8s.{other} is not supported");
                return Err(RenderError::Component { component: settings.component.to_owned(), reason });
            }
        }
    }
    overlays::apply(objects, settings.component, &kubernetes["overlays"])
}

fn image(objects: &mut [Value], settings: &Settings<'_>) {
    let given =
        |key: &str| settings.settings.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (hub, tag) = (given("hub"), given("tag"));
    if hub.is_none() && tag.is_none() {
        return;
    }
    let Some(container) = find(objects, "Deployment", settings.workload)
        .and_then(|deployment| deployment.pointer_mut("/spec/template/spec/containers/0"))
    else {
        return;
    };
    let old = container["image"].as_str().unwrap_or_default().to_owned();
    let (path, old_tag) = old.rsplit_once(':').unwrap_or((&old, ""));
    let (old_hub, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (hub, tag) = (hub.unwrap_or(old_hub), tag.unwrap_or(old_tag));
    let separator = if hub.is_empty() { "" } else { "/" };
    container["image"] = json!(format!("{hub}{separator}{name}:{tag}"));
}

fn container_patch(settings: &Settings<'_>, objects: &mut [Value], key: &str, value: &Value) -> Value {
    let name = find(objects, "Deployment", settings.workload)
        .and_then(|deployment| deployment.pointer("/spec/template/spec/containers/0/name").cloned())
        .unwrap_or_default();
    json!({"spec": {"template": {"spec": {"containers": [{"name": name, key: value}]}}}})
}

/// A replica count makes the number fixed: an autoscaler would undo it.
fn replicas(objects: &mut [Value], settings: &Settings<'_>, count: &Value) {
    merge(objects, settings, &json!({"spec": {"replicas": count}}));
    if let Some(autoscaler) = find(objects, "HorizontalPodAutoscaler", settings.workload) {
        autoscaler["spec"]["minReplicas"] = count.clone();
        let highest = autoscaler.pointer("/spec/maxReplicas").and_then(Value::as_u64).unwrap_or_default();
        if count.as_u64().is_some_and(|count| count > highest) {
            autoscaler["spec"]["maxReplicas"] = count.clone();
        }
    }
}

/// Ports replace the profile's, everything else is merged.
fn service(objects: &mut [Value], settings: &Settings<'_>, value: &Value) {
    if let (Some(service), Some(ports)) = (find(objects, "Service", settings.service), value.get("ports")) {
        service["spec"]["ports"] = ports.clone();
    }
    let mut rest = value.clone();
    if let Some(map) = rest.as_object_mut() {
        map.remove("ports");
    }
    update(objects, "Service", settings.service, &json!({"spec": rest}));
}

fn merge(objects: &mut [Value], settings: &Settings<'_>, patch: &Value) {
    update(objects, "Deployment", settings.workload, patch);
}

fn update(objects: &mut [Value], kind: &str, name: &str, patch: &Value) {
    if let Some(object) = find(objects, kind, name) {
        strategic_merge(object, patch);
    }
}

fn find<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> Option<&'a mut Value> {
    objects.iter_mut().find(|object| {
        object.get("kind").and_then(Value::as_str) == Some(kind)
            && object.pointer("/metadata/name").and_then(Value::as_str) == Some(name)
    })
}
