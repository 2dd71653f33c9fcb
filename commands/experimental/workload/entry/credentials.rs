//! `root-cert.pem` and `istio-token`: whom the proxy trusts, and what it shows to get a certificate.

use sagene_api::Object;
use sagene_api::istio::networking::WorkloadGroup;
use serde_json::json;

use super::source::service_account;
use crate::exit::Failure;
use crate::kubernetes::{Objects, Resource, server_failure, text};

/// What the control plane puts into every namespace.
const ROOT_MAP: &str = "istio-ca-root-cert";

/// The mesh's root certificates, PEM.
pub(super) async fn root(objects: &Objects, group: &Object<WorkloadGroup>) -> Result<String, Failure> {
    let namespace = &group.metadata.namespace;
    let maps = Resource::known("", "v1", "ConfigMap", "configmaps", true);
    let found = objects.get(&maps, Some(namespace), ROOT_MAP).await.map_err(server_failure)?;
    let found = found.unwrap_or_default();
    match text(&found, "/data/root-cert.pem") {
        "" => Err(Failure::new(format!("configmap {ROOT_MAP} was not found in namespace {namespace}"))
            .hint(format!("sagene kubectl create namespace {namespace}   if it does not exist; the control plane then puts it there"))),
        root => Ok(root.to_owned()),
    }
}

/// A token of the group's service account for the certificate authority.
pub(super) async fn token(
    objects: &Objects,
    group: &Object<WorkloadGroup>,
    seconds: u64,
) -> Result<String, Failure> {
    let (namespace, account) = (&group.metadata.namespace, service_account(group));
    let failed =
        || format!("could not create a token under service account {account} in namespace {namespace}");
    let accounts = Resource::known("", "v1", "ServiceAccount", "serviceaccounts", true);
    let path = format!("{}/token", accounts.object(Some(namespace), account));
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": seconds}});
    let answer = objects.post_path(&path, &request).await.map_err(|error| {
        server_failure(error).context(failed()).hint(format!(
            "sagene kubectl create serviceaccount {account} -n {namespace}   if it does not exist"
        ))
    })?;
    match text(&answer, "/status/token") {
        "" => Err(Failure::new(format!("{}: the cluster answered without one", failed()))),
        token => Ok(token.to_owned()),
    }
}
