//! Component `Base`: what exists once per cluster, whatever the revision.

use serde_json::{Value, json};

use super::{access, webhook};
use crate::profile::Installation;

/// CRDs, the reader account, and the validation webhook of the default revision.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    if installation.spec.pointer("/components/base/enabled").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    let mut objects = crds();
    let wanted =
        installation.values.pointer("/global/enableReaderRBAC").and_then(Value::as_bool).unwrap_or(true);
    if wanted {
        objects.extend(reader(installation, "istio-reader-service-account"));
    }
    if webhook::validates(installation) && installation.revision.is_empty() {
        objects.push(webhook::default_validator(installation));
    }
    objects
}

/// The account that control planes of other clusters use, and what it may read.
#[must_use]
pub fn reader(installation: &Installation, account: &str) -> Vec<Value> {
    let namespace = &installation.namespace;
    let labels = json!({"app": "istio-reader", "release": "istio-base"});
    let mut objects = vec![access::service_account(namespace, account, labels.clone())];
    let name = format!("istio-reader-clusterrole{}-{namespace}", installation.suffix());
    objects.extend(access::cluster_role(&name, access::reader_rules(), namespace, account, labels));
    objects
}

/// The CRDs of all Istio kinds, marked so that Helm leaves them alone.
fn crds() -> Vec<Value> {
    let mut crds = sagene_api::istio::crd::all();
    for crd in &mut crds {
        crd["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
        for (key, value) in [("app", "istio-pilot"), ("chart", "istio"), ("release", "istio")] {
            crd["metadata"]["labels"][key] = json!(value);
        }
    }
    crds
}
