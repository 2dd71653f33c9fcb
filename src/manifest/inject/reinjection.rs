//! Undoes an earlier injection, so that injecting an injected pod yields the same pod.

use serde_json::{Map, Value};

use super::{InjectError, PROXY_CONTAINER, overrides, probes, prometheus, status};

/// What an earlier injection left behind and the next one needs.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The user's own containers, from `proxy.istio.io/overrides`.
    pub(super) overrides: Option<Value>,
    /// Original probes by rewritten path, from `ISTIO_KUBE_APP_PROBERS`.
    pub(super) probers: Map<String, Value>,
    /// Original scrape settings, from `ISTIO_PROMETHEUS_ANNOTATIONS`.
    pub(super) scrape: Option<String>,
}

/// Removes what `sidecar.istio.io/status` lists. A pod without that annotation comes back unchanged.
pub(super) fn strip(pod: &Value) -> Result<(Value, Earlier), InjectError> {
    let mut stripped = pod.clone();
    let annotations =
        pod.pointer("/metadata/annotations").and_then(Value::as_object).cloned().unwrap_or_default();
    let Some(injected) = status::read(&annotations)? else {
        return Ok((stripped, Earlier::default()));
    };
    let earlier = Earlier {
        overrides: overrides::remembered(&annotations),
        probers: environment(pod, probes::VARIABLE)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        scrape: environment(pod, prometheus::VARIABLE),
    };
    for (list, names) in [
        ("/spec/containers", &injected.containers),
        ("/spec/initContainers", &injected.init_containers),
        ("/spec/volumes", &injected.volumes),
        ("/spec/imagePullSecrets", &injected.image_pull_secrets),
    ] {
        if let Some(entries) = stripped.pointer_mut(list).and_then(Value::as_array_mut) {
            let listed = |entry: &Value| {
                entry
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| names.iter().any(|known| known == name))
            };
            entries.retain(|entry| !listed(entry));
        }
    }
    prometheus::restore(&mut stripped, &annotations, earlier.scrape.as_deref());
    Ok((stripped, earlier))
}

/// A literal variable of the pod's proxy container, wherever that sits.
fn environment(pod: &Value, name: &str) -> Option<String> {
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let named = |entry: &&Value, name: &str| entry.get("name").and_then(Value::as_str) == Some(name);
    let proxy = list("/spec/containers")
        .chain(list("/spec/initContainers"))
        .find(|container| named(container, PROXY_CONTAINER))?;
    let variable = proxy.get("env")?.as_array()?.iter().find(|entry| named(entry, name))?;
    variable.get("value")?.as_str().map(str::to_owned)
}
