//! Volumes of a proxied pod and where the proxy mounts them.

use serde_json::{Value, json};

use super::InjectError;
use super::scope::Scope;

/// Annotation with the proxy's extra volumes, JSON.
const USER_VOLUME: &str = "sidecar.istio.io/userVolume";
/// Annotation with the proxy's extra mounts, JSON.
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

/// Fails on a volume annotation that cannot be read.
pub(super) fn check_annotations(scope: &Scope<'_>) -> Result<(), InjectError> {
    named_entries(scope, USER_VOLUME)?;
    named_entries(scope, USER_MOUNT)?;
    Ok(())
}

fn istiod_certificates(scope: &Scope<'_>) -> bool {
    scope.text("/global/pilotCertProvider").is_none_or(|provider| provider == "istiod")
}

/// `{"name": {…}}`, or the list of `{"name": "name", …}` that Istio's reference speaks of.
fn named_entries(scope: &Scope<'_>, key: &str) -> Result<Vec<Value>, InjectError> {
    let Some(text) = scope.annotation(key) else {
        return Ok(Vec::new());
    };
    entries(text).map_err(|reason| InjectError::Annotation { key: key.to_owned(), reason })
}

fn entries(text: &str) -> Result<Vec<Value>, String> {
    match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Value::Array(list) => match list.iter().find(|entry| !entry["name"].is_string()) {
            Some(entry) => Err(format!("{entry} has no name")),
            None => Ok(list),
        },
        Value::Object(map) => map.into_iter().map(|(name, entry)| named(name, entry)).collect(),
        _ => Err("expected JSON, a list of volumes or an object of volumes by name".to_owned()),
    }
}

fn named(name: String, mut entry: Value) -> Result<Value, String> {
    let fields = entry.as_object_mut().ok_or_else(|| format!("{name:?} is not an object"))?;
    fields.insert("name".to_owned(), json!(name));
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_come_as_an_object_or_as_a_list() {
        let volume = json!([{"name": "c", "secret": {"secretName": "client"}}]);
        for text in [r#"{"c": {"secret": {"secretName": "client"}}}"#, &volume.to_string()] {
            assert_eq!(json!(entries(text).expect(text)), volume);
        }
        for text in ["3", "[{}]", r#"{"c": 3}"#, "{"] {
            assert!(entries(text).is_err(), "{text}");
        }
    }
}
