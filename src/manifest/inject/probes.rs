//! Probes of the application, rewritten to the proxy's status port: the kubelet has no client certificate, the agent needs none.
//!
//! The originals go to `ISTIO_KUBE_APP_PROBERS` as JSON, keyed by the new path.

use serde_json::{Map, Value, json};

use super::PROXY_CONTAINER;
use super::reinjection::Earlier;
use super::scope::Scope;

/// Variable with the original probes.
pub(super) const VARIABLE: &str = "ISTIO_KUBE_APP_PROBERS";

const PROBES: [(&str, &str); 3] =
    [("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz")];
const HOOKS: [(&str, &str); 2] = [("preStop", "prestopz"), ("postStart", "poststartz")];

/// Whether this pod's probes are rewritten: the annotation, else `sidecarInjectorWebhook.rewriteAppHTTPProbe` (on by default).
pub(super) fn wanted(scope: &Scope<'_>) -> bool {
    if scope.status_port() == "0" {
        return false;
    }
    match scope.annotation("sidecar.istio.io/rewriteAppHTTPProbers") {
        Some(wish) => wish == "true",
        None => scope
            .value("/sidecarInjectorWebhook/rewriteAppHTTPProbe")
            .and_then(Value::as_bool)
            .unwrap_or(true),
    }
}

/// Rewrites every container but the proxy and hands the originals to the proxy.
pub(super) fn rewrite(pod: &mut Value, scope: &Scope<'_>, earlier: &Earlier) {
    let port = scope.status_port_number();
    let mut probers = Map::new();
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if container.get("name").and_then(Value::as_str) != Some(PROXY_CONTAINER) {
                rewrite_container(container, port, &mut probers, earlier);
            }
        }
    }
    if !probers.is_empty() {
        add_variable(pod, VARIABLE, &Value::Object(probers).to_string());
    }
}

/// Appends a variable to the proxy container, wherever it sits.
pub(super) fn add_variable(pod: &mut Value, name: &str, value: &str) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let lists = spec.iter_mut().filter(|(key, _)| *key == "containers" || *key == "initContainers");
    let mut containers = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    let proxy =
        containers.find(|container| container.get("name").and_then(Value::as_str) == Some(PROXY_CONTAINER));
    if let Some(env) = proxy.and_then(|proxy| proxy.get_mut("env")).and_then(Value::as_array_mut) {
        env.push(json!({"name": name, "value": value}));
    }
}

fn rewrite_container(container: &mut Value, port: u16, probers: &mut Map<String, Value>, earlier: &Earlier) {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let ports = container.get("ports").cloned().unwrap_or_default();
    for (field, path) in PROBES {
        if let Some(probe) = container.get_mut(field) {
            rewrite_probe(probe, &format!("/app-health/{name}/{path}"), port, &ports, probers, earlier);
        }
    }
    for (field, path) in HOOKS {
        if let Some(hook) = container.pointer_mut(&format!("/lifecycle/{field}"))
            && (hook.get("httpGet").is_some() || hook.get("tcpSocket").is_some())
        {
            rewrite_probe(hook, &format!("/app-lifecycle/{name}/{path}"), port, &ports, probers, earlier);
        }
    }
}

fn rewrite_probe(
    probe: &mut Value,
    path: &str,
    port: u16,
    ports: &Value,
    probers: &mut Map<String, Value>,
    earlier: &Earlier,
) {
    let Some(fields) = probe.as_object_mut() else {
        return;
    };
    let Some(kind) = ["httpGet", "tcpSocket", "grpc"].into_iter().find(|kind| fields.contains_key(*kind))
    else {
        return;
    };
    let Some(mut action) = fields.remove(kind) else {
        return;
    };
    let rewritten = json!({"path": path, "port": port});
    if action.get("path").and_then(Value::as_str) == Some(path) {
        // Rewritten by an earlier injection: the original is in what that one remembered.
        if let Some(original) = earlier.probers.get(path) {
            probers.insert(path.to_owned(), original.clone());
        }
        fields.insert("httpGet".to_owned(), action);
        return;
    }
    resolve_port(&mut action, ports);
    let mut original = Map::new();
    original.insert(kind.to_owned(), action);
    if let Some(timeout) = fields.get("timeoutSeconds") {
        original.insert("timeoutSeconds".to_owned(), timeout.clone());
    }
    probers.insert(path.to_owned(), Value::Object(original));
    fields.insert("httpGet".to_owned(), rewritten);
}

/// The agent knows no port names: they become numbers here.
fn resolve_port(action: &mut Value, ports: &Value) {
    let Some(name) = action.get("port").and_then(Value::as_str) else {
        return;
    };
    let named = ports
        .as_array()
        .into_iter()
        .flatten()
        .find(|port| port.get("name").and_then(Value::as_str) == Some(name));
    let number = named.and_then(|port| port.get("containerPort")).cloned();
    let number = number.or_else(|| name.parse::<u16>().ok().map(|number| json!(number)));
    if let Some(number) = number {
        action["port"] = number;
    }
}
