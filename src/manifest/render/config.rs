//! The control plane's ConfigMaps: mesh config, injector settings, values.

use serde_json::{Map, Value, json};

use crate::profile::Installation;

/// ConfigMap `istio[-rev]` (keys `mesh`, `meshNetworks`).
pub(super) fn mesh(installation: &Installation) -> Value {
    let networks = installation.values.pointer("/global/meshNetworks").cloned().unwrap_or_else(|| json!({}));
    let mut data = Map::new();
    data.insert("mesh".into(), json!(yaml(&installation.mesh)));
    data.insert("meshNetworks".into(), json!(yaml(&json!({"networks": networks}))));
    config_map(installation, "istio", data, json!({"app.kubernetes.io/name": "istiod", "release": "istio"}))
}

/// ConfigMap `istio-sidecar-injector[-rev]` (keys `config`, `values`). Istio's templates are part of the program, so
/// `config` has the operator's alone.
pub(super) fn injector(installation: &Installation) -> Value {
    let values = &installation.values;
    let webhook =
        |key: &str| values.pointer(&format!("/sidecarInjectorWebhook/{key}")).cloned().unwrap_or_default();
    let disabled = values.pointer("/global/proxy/autoInject").and_then(Value::as_str) == Some("disabled");
    let mut config = json!({
        "defaultTemplates": webhook("defaultTemplates"),
        "policy": if disabled { "disabled" } else { "enabled" },
        "alwaysInjectSelector": webhook("alwaysInjectSelector"),
        "neverInjectSelector": webhook("neverInjectSelector"),
        "injectedAnnotations": webhook("injectedAnnotations"),
    });
    let templates = webhook("templates");
    if templates.as_object().is_some_and(|templates| !templates.is_empty()) {
        config["templates"] = templates;
    }
    let read: Map<String, Value> = ["global", "pilot", "sidecarInjectorWebhook", "revision", "gateways"]
        .into_iter()
        .filter_map(|key| values.get(key).map(|value| (key.to_owned(), value.clone())))
        .collect();
    let mut data = Map::new();
    data.insert("config".into(), json!(yaml(&config)));
    data.insert("values".into(), json!(format!("{:#}", Value::Object(read))));
    config_map(installation, "istio-sidecar-injector", data, json!({"release": "istio"}))
}

/// ConfigMap `values[-rev]`: what was installed, for people and for the next upgrade.
pub(super) fn values(installation: &Installation) -> Value {
    let mut data = Map::new();
    data.insert("merged-values".into(), json!(format!("{:#}", installation.values)));
    data.insert("original-values".into(), json!(format!("{:#}", installation.spec)));
    config_map(installation, "values", data, json!({"release": "istio"}))
}

fn config_map(installation: &Installation, name: &str, data: Map<String, Value>, labels: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": format!("{name}{}", installation.suffix()),
            "namespace": installation.namespace,
            "labels": labels,
        },
        "data": data,
    })
}

/// JSON values always have a YAML form; an empty text would only say that they had not.
fn yaml(value: &Value) -> String {
    sagene_api::yaml::to_text(value).unwrap_or_default()
}
