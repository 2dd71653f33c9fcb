//! Metrics merging: Prometheus is pointed at the proxy, and the proxy told where the application's own metrics were.

use serde_json::{Map, Value, json};

use super::probes::add_variable;
use super::reinjection::Earlier;
use super::scope::Scope;

/// Variable with the application's scrape settings.
pub(super) const VARIABLE: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

const PATH: &str = "/stats/prometheus";
const FIELDS: [&str; 3] = ["scrape", "path", "port"];

/// Replaces the `prometheus.io/` annotations unless the pod or the mesh says not to.
pub(super) fn merge(pod: &mut Value, scope: &Scope<'_>, earlier: &Earlier) {
    let annotations =
        pod.pointer("/metadata/annotations").and_then(Value::as_object).cloned().unwrap_or_default();
    let own = |field: &str| annotations.get(&format!("prometheus.io/{field}")).and_then(Value::as_str);
    let scraped = own("scrape").is_none_or(|scrape| scrape == "true");
    if !scraped || !enabled(scope) {
        return;
    }
    let mut settings = Map::new();
    for field in FIELDS {
        if let Some(value) = own(field) {
            settings.insert(field.to_owned(), json!(value));
        }
    }
    if let Some(targets) = scope.annotation("prometheus.istio.io/scrape-targets") {
        settings.insert("targets".to_owned(), json!(targets));
    }
    if !settings.is_empty() {
        let text = earlier.scrape.clone().unwrap_or_else(|| Value::Object(settings).to_string());
        add_variable(pod, VARIABLE, &text);
    }
    let port = scope.status_port_number().to_string();
    for (field, value) in [("scrape", "true"), ("port", port.as_str()), ("path", PATH)] {
        pod["metadata"]["annotations"][format!("prometheus.io/{field}")] = json!(value);
    }
}

fn enabled(scope: &Scope<'_>) -> bool {
    if let Some(wish) = scope.annotation("prometheus.istio.io/merge-metrics") {
        return wish != "false";
    }
    scope.status_port() != "0"
        && scope.mesh.get("enablePrometheusMerge").and_then(Value::as_bool).unwrap_or(true)
}

/// Puts the application's own annotations back where an earlier injection replaced them.
pub(super) fn restore(pod: &mut Value, annotations: &Map<String, Value>, scrape: Option<&str>) {
    let path = annotations.get("prometheus.io/path").and_then(Value::as_str);
    if path != Some(PATH) {
        return;
    }
    let original: Map<String, Value> =
        scrape.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let Some(slot) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else {
        return;
    };
    for field in FIELDS {
        let key = format!("prometheus.io/{field}");
        match original.get(field) {
            Some(value) => slot.insert(key, value.clone()),
            None => slot.remove(&key),
        };
    }
}
