//! Webhook configurations: injection by revision and tag, validation.

use serde_json::{Value, json};

use crate::profile::Installation;

/// Whether validation is on (`global.configValidation`).
pub(super) fn validates(installation: &Installation) -> bool {
    installation.values.pointer("/global/configValidation").and_then(Value::as_bool).unwrap_or(true)
}

/// `istio-sidecar-injector[-rev][-ns]`. For the default revision it is switched off in favor of the tag `default`, whose
/// configuration ([`revision_tag`]) selects the same pods and can be moved to another revision.
#[must_use]
pub fn injector(installation: &Installation) -> Value {
    let name = format!("istio-sidecar-injector{}{}", installation.suffix(), namespace_suffix(installation));
    let mut entries = entries(installation, installation.revision_label());
    if installation.revision.is_empty() {
        entries.extend(default_entries(installation));
        entries.iter_mut().for_each(deactivate);
    }
    configuration(installation, &name, entries, None)
}

/// `istio-revision-tag-<tag>`: pods and namespaces that name the tag get this revision's proxies. The tag `default` also answers
/// `istio-injection=enabled` and `sidecar.istio.io/inject=true`.
#[must_use]
pub fn revision_tag(installation: &Installation, tag: &str) -> Value {
    let mut entries = entries(installation, tag);
    if tag == "default" {
        entries.extend(default_entries(installation));
    }
    let name = format!("istio-revision-tag-{tag}{}", namespace_suffix(installation));
    configuration(installation, &name, entries, Some(tag))
}

/// Makes a webhook select nothing.
fn deactivate(entry: &mut Value) {
    let never = json!({"matchLabels": {"istio.io/deactivated": "never-match"}});
    entry["namespaceSelector"] = never.clone();
    entry["objectSelector"] = never;
}

/// Whether a webhook was made to select nothing.
#[must_use]
pub fn is_deactivated(webhook: &Value) -> bool {
    webhook["namespaceSelector"]["matchLabels"]["istio.io/deactivated"] == "never-match"
}

/// The webhook configuration of the default revision as it is in a cluster, made to select nothing: the tag `default` takes its
/// place. Without what the server added, so that it can be applied.
#[must_use]
pub fn deactivated(installed: &Value) -> Value {
    let mut webhooks = installed.get("webhooks").cloned().unwrap_or_default();
    webhooks.as_array_mut().into_iter().flatten().for_each(deactivate);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": installed["metadata"]["name"], "labels": installed["metadata"]["labels"]},
        "webhooks": webhooks,
    })
}

/// The Service `istiod-revision-tag-<tag>`: the control plane of the revision that the tag stands for, under the tag's name.
#[must_use]
pub fn tag_service(installation: &Installation, tag: &str) -> Value {
    let mut service = super::istiod::service(installation);
    service["metadata"]["name"] = json!(format!("istiod-revision-tag-{tag}"));
    service["metadata"]["labels"]["istio.io/tag"] = json!(tag);
    service
}

fn namespace_suffix(installation: &Installation) -> String {
    match installation.namespace.as_str() {
        "istio-system" => String::new(),
        other => format!("-{other}"),
    }
}

fn configuration(installation: &Installation, name: &str, webhooks: Vec<Value>, tag: Option<&str>) -> Value {
    let mut labels = json!({
        "app": "sidecar-injector",
        "istio.io/rev": installation.revision_label(),
        "release": "istio",
    });
    if let Some(tag) = tag {
        labels["istio.io/tag"] = json!(tag);
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": labels},
        "webhooks": webhooks,
    })
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    match values {
        [] => json!({"key": key, "operator": operator}),
        values => json!({"key": key, "operator": operator, "values": values}),
    }
}

/// Entries that match a revision or tag by name.
fn entries(installation: &Installation, name: &str) -> Vec<Value> {
    let inject = "sidecar.istio.io/inject";
    vec![
        entry(
            installation,
            "rev.namespace",
            vec![
                expression("istio.io/rev", "In", &[name]),
                expression("istio-injection", "DoesNotExist", &[]),
            ],
            vec![expression(inject, "NotIn", &["false"])],
        ),
        entry(
            installation,
            "rev.object",
            vec![
                expression("istio.io/rev", "DoesNotExist", &[]),
                expression("istio-injection", "DoesNotExist", &[]),
            ],
            vec![expression(inject, "NotIn", &["false"]), expression("istio.io/rev", "In", &[name])],
        ),
    ]
}

/// Entries of the default revision: the plain labels, and every namespace when that is asked for.
fn default_entries(installation: &Installation) -> Vec<Value> {
    let inject = "sidecar.istio.io/inject";
    let unlabelled = || {
        vec![
            expression("istio-injection", "DoesNotExist", &[]),
            expression("istio.io/rev", "DoesNotExist", &[]),
        ]
    };
    let mut entries = vec![
        entry(
            installation,
            "namespace",
            vec![expression("istio-injection", "In", &["enabled"])],
            vec![expression(inject, "NotIn", &["false"])],
        ),
        entry(
            installation,
            "object",
            unlabelled(),
            vec![expression(inject, "In", &["true"]), expression("istio.io/rev", "DoesNotExist", &[])],
        ),
    ];
    let everywhere = installation.values.pointer("/sidecarInjectorWebhook/enableNamespacesByDefault");
    if everywhere.and_then(Value::as_bool) == Some(true) {
        let mut namespaces = unlabelled();
        let system = ["kube-system", "kube-public", "kube-node-lease"];
        namespaces.push(expression("kubernetes.io/metadata.name", "NotIn", &system));
        let pods =
            vec![expression(inject, "DoesNotExist", &[]), expression("istio.io/rev", "DoesNotExist", &[])];
        entries.push(entry(installation, "auto", namespaces, pods));
    }
    entries
}

fn entry(installation: &Installation, prefix: &str, namespaces: Vec<Value>, pods: Vec<Value>) -> Value {
    let values = &installation.values;
    let reinvocation = values.pointer("/sidecarInjectorWebhook/reinvocationPolicy").and_then(Value::as_str);
    let mut webhook = json!({
        "name": format!("{prefix}.sidecar-injector.istio.io"),
        "clientConfig": client(installation, "/inject", "injectionURL"),
        "sideEffects": "None",
        "reinvocationPolicy": reinvocation.unwrap_or("Never"),
        "failurePolicy": "Fail",
        "admissionReviewVersions": ["v1"],
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*"}],
        "namespaceSelector": {"matchExpressions": namespaces},
        "objectSelector": {"matchExpressions": pods},
    });
    if let Some(path) = values.pointer("/istiodRemote/injectionPath").and_then(Value::as_str)
        && webhook.pointer("/clientConfig/service").is_some()
    {
        webhook["clientConfig"]["service"]["path"] = json!(path);
    }
    webhook
}

fn client(installation: &Installation, path: &str, url: &str) -> Value {
    let remote = installation.values.pointer(&format!("/istiodRemote/{url}")).and_then(Value::as_str);
    if let Some(url) = remote.filter(|url| !url.is_empty()) {
        return json!({"url": url});
    }
    json!({"service": {
        "name": format!("istiod{}", installation.suffix()),
        "namespace": installation.namespace,
        "path": path,
        "port": 443,
    }})
}

/// `istio-validator[-rev]-<ns>`: validates resources of its own revision.
pub(super) fn revision_validator(installation: &Installation) -> Value {
    let name = format!("istio-validator{}-{}", installation.suffix(), installation.namespace);
    let selector =
        json!({"matchExpressions": [expression("istio.io/rev", "In", &[installation.revision_label()])]});
    validator(installation, &name, "rev.validation.istio.io", selector)
}

/// `istiod-default-validator`: validates resources that name no revision.
#[must_use]
pub fn default_validator(installation: &Installation) -> Value {
    let selector = json!({"matchExpressions": [expression("istio.io/rev", "DoesNotExist", &[])]});
    validator(installation, "istiod-default-validator", "validation.istio.io", selector)
}

fn validator(installation: &Installation, name: &str, webhook: &str, selector: Value) -> Value {
    let groups = ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "labels": {
            "app": "istiod", "istio": "istiod", "release": "istio", "istio.io/rev": installation.revision_label()}},
        "webhooks": [{
            "name": webhook,
            "clientConfig": client(installation, "/validate", "validationURL"),
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": groups, "apiVersions": ["*"], "resources": ["*"], "scope": "*"}],
            // The control plane turns this into Fail once it answers: an unreachable webhook must not block everything.
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "objectSelector": selector,
        }],
    })
}
