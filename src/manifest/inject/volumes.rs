//! Volumes of a proxied pod and where the proxy mounts them.

use serde_json::{Value, json};

use super::InjectError;
use super::scope::Scope;

/// Annotation with the proxy's extra volumes, JSON: name → volume source.
const USER_VOLUME: &str = "sidecar.istio.io/userVolume";
/// Annotation with the proxy's extra mounts, JSON: name → mount.
const USER_MOUNT: &str = "sidecar.istio.io/userVolumeMount";

/// Volumes the pod gets.
pub(crate) fn volumes(scope: &Scope<'_>) -> Vec<Value> {
    let downward = |path: &str| json!({"path": path, "fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.{path}")}});
    let audience = scope.text("/global/sds/token/aud").unwrap_or_else(|| "istio-ca".to_owned());
    let mut volumes = vec![
        json!({"name": "workload-socket", "emptyDir": {}}),
        json!({"name": "credential-socket", "emptyDir": {}}),
        json!({"name": "workload-certs", "emptyDir": {}}),
        json!({"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "istio-data", "emptyDir": {}}),
        json!({"name": "istio-podinfo", "downwardAPI": {"items": [downward("labels"), downward("annotations")]}}),
        json!({"name": "istio-token", "projected": {"sources": [
            {"serviceAccountToken": {"path": "istio-token", "expirationSeconds": 43200, "audience": audience}}]}}),
    ];
    if istiod_certificates(scope) {
        volumes.push(json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}));
        volumes
            .push(json!({"name": "istio-ca-crl", "configMap": {"name": "istio-ca-crl", "optional": true}}));
    }
    if let Some(config_map) = scope.annotation("sidecar.istio.io/bootstrapOverride") {
        volumes.push(json!({"name": "custom-bootstrap-volume", "configMap": {"name": config_map}}));
    }
    volumes.extend(named_entries(scope, USER_VOLUME).unwrap_or_default());
    volumes
}

/// Mounts of the `istio-proxy` container.
pub(crate) fn mounts(scope: &Scope<'_>) -> Vec<Value> {
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let mut mounts = vec![
        mount("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
        mount("credential-socket", "/var/run/secrets/credential-uds"),
        mount("workload-certs", "/var/run/secrets/workload-spiffe-credentials"),
    ];
    if istiod_certificates(scope) {
        mounts.push(mount("istiod-ca-cert", "/var/run/secrets/istio"));
        mounts.push(mount("istio-ca-crl", "/var/run/secrets/istio/crl"));
    }
    mounts.extend([
        mount("istio-data", "/var/lib/istio/data"),
        mount("istio-envoy", "/etc/istio/proxy"),
        mount("istio-token", "/var/run/secrets/tokens"),
        mount("istio-podinfo", "/etc/istio/pod"),
    ]);
    if scope.annotation("sidecar.istio.io/bootstrapOverride").is_some() {
        mounts.push(mount("custom-bootstrap-volume", "/etc/istio/custom-bootstrap"));
    }
    mounts.extend(named_entries(scope, USER_MOUNT).unwrap_or_default());
    mounts
}

/// Fails on a volume annotation that is not a JSON object of objects.
pub(super) fn check_annotations(scope: &Scope<'_>) -> Result<(), InjectError> {
    named_entries(scope, USER_VOLUME)?;
    named_entries(scope, USER_MOUNT)?;
    Ok(())
}

fn istiod_certificates(scope: &Scope<'_>) -> bool {
    scope.text("/global/pilotCertProvider").is_none_or(|provider| provider == "istiod")
}

/// `{"name": {…}}` as a list of `{"name": "name", …}`.
fn named_entries(scope: &Scope<'_>, key: &str) -> Result<Vec<Value>, InjectError> {
    let Some(text) = scope.annotation(key) else {
        return Ok(Vec::new());
    };
    let bad = |reason: String| InjectError::Annotation { key: key.to_owned(), reason };
    let parsed: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let entries =
        parsed.as_object().ok_or_else(|| bad("expected a JSON object of volumes by name".to_owned()))?;
    entries
        .iter()
        .map(|(name, entry)| {
            let mut entry =
                entry.as_object().cloned().ok_or_else(|| bad(format!("{name:?} is not an object")))?;
            entry.insert("name".to_owned(), json!(name));
            Ok(Value::Object(entry))
        })
        .collect()
}
