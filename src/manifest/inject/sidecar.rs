//! Template `sidecar`: labels, annotations, capture container, proxy container, volumes, and the order of containers.

use serde_json::{Map, Value, json};

use super::container::{Role, proxy_container};
use super::scope::Scope;
use super::{INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER, capture, merge, volumes};

/// Adds the sidecar to a pod.
pub(super) fn apply(pod: &mut Value, scope: &Scope<'_>) {
    let mut labels = canonical_labels(scope);
    let mode = scope.label("security.istio.io/tlsMode").unwrap_or("istio");
    labels.insert("security.istio.io/tlsMode".into(), json!(mode));
    let tunnel =
        scope.proxy_metadata().any(|(name, value)| name == "ISTIO_META_ENABLE_HBONE" && value == "true");
    if tunnel {
        let tunnel = scope.label("networking.istio.io/tunnel").unwrap_or("http");
        labels.insert("networking.istio.io/tunnel".into(), json!(tunnel));
    }
    merge_metadata(pod, "labels", labels);
    merge_metadata(pod, "annotations", annotations(scope));

    let mut container = proxy_container(scope, Role::Sidecar);
    let mut added = json!({"volumes": volumes::volumes(scope)});
    let mut init: Vec<Value> = capture::init_container(scope).into_iter().collect();
    if scope.native_sidecar {
        container["restartPolicy"] = json!("Always");
        init.push(container);
    } else {
        added["containers"] = json!([container]);
    }
    if !init.is_empty() {
        added["initContainers"] = json!(init);
    }
    if let Some(secrets) = pull_secrets(scope) {
        added["imagePullSecrets"] = secrets;
    }
    merge::strategic(&mut pod["spec"], &added);
}

/// `service.istio.io/canonical-name` and `-revision`, as telemetry groups workloads.
pub(super) fn canonical_labels(scope: &Scope<'_>) -> Map<String, Value> {
    let first = |keys: [&str; 3]| keys.into_iter().find_map(|key| scope.label(key)).map(str::to_owned);
    let name = first(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let mut name = name.unwrap_or_else(|| scope.workload.name.clone());
    // A label value has at most 63 characters and ends in a letter or digit.
    name.truncate(name.char_indices().nth(63).map_or(name.len(), |(index, _)| index));
    let name = name.trim_end_matches(['-', '.', '_']).to_owned();
    let revision = first(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    let mut labels = Map::new();
    labels.insert("service.istio.io/canonical-name".into(), json!(name));
    labels.insert(
        "service.istio.io/canonical-revision".into(),
        json!(revision.unwrap_or_else(|| "latest".into())),
    );
    labels
}

/// Annotations of every injected pod.
pub(super) fn annotations(scope: &Scope<'_>) -> Map<String, Value> {
    let mut annotations = scope.injected_annotations.clone();
    annotations.insert("istio.io/rev".into(), json!(scope.revision));
    let first = scope.containers.iter().filter_map(|container| container.get("name")).next();
    for key in ["kubectl.kubernetes.io/default-logs-container", "kubectl.kubernetes.io/default-container"] {
        if let (None, Some(name)) = (scope.annotation(key), first) {
            annotations.insert(key.into(), name.clone());
        }
    }
    annotations
}

/// `global.imagePullSecrets`, names or references.
pub(super) fn pull_secrets(scope: &Scope<'_>) -> Option<Value> {
    let secrets = scope.value("/global/imagePullSecrets")?.as_array()?;
    let reference = |secret: &Value| {
        if secret.is_string() { json!({"name": secret}) } else { secret.clone() }
    };
    (!secrets.is_empty()).then(|| secrets.iter().map(reference).collect())
}

/// Merges into `metadata.<field>`, which a pod may lack.
pub(super) fn merge_metadata(pod: &mut Value, field: &str, entries: Map<String, Value>) {
    let slot = &mut pod["metadata"][field];
    match slot.as_object_mut() {
        Some(existing) => existing.extend(entries),
        None => *slot = Value::Object(entries),
    }
}

/// Native: capture, proxy, then the user's init containers. Classic: the user's, then the capture; the proxy last, or first when
/// the application must wait for it.
pub(super) fn order_containers(pod: &mut Value, scope: &Scope<'_>) {
    let rank = |container: &Value, native: bool| match container.get("name").and_then(Value::as_str) {
        Some(VALIDATION_CONTAINER) => 0,
        Some(INIT_CONTAINER) => {
            if native {
                0
            } else {
                3
            }
        }
        Some(PROXY_CONTAINER) => 1,
        _ => 2,
    };
    if let Some(init) = pod.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut) {
        let native = init.iter().any(|container| rank(container, true) == 1);
        init.sort_by_key(|container| rank(container, native));
    }
    let hold = scope.hold_application();
    if let Some(containers) = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
        let is_proxy =
            |container: &Value| container.get("name").and_then(Value::as_str) == Some(PROXY_CONTAINER);
        containers.sort_by_key(|container| is_proxy(container) != hold);
    }
}
