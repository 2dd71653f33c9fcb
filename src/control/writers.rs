//! What the control plane writes into the cluster: the root certificate into every namespace, and the CA bundle into its webhook
//! configurations, statuses, and the workloads of the Gateway API's Gateways.
//!
//! Certificates and bundles are written by server-side apply, which is idempotent, so replicas cannot do harm to each other; a feed of changes leads each
//! write, nothing is polled. What remains is written by the one replica that holds a Lease.

pub(crate) mod gateway_classes;
pub(crate) mod gateways;
pub(crate) mod leader;
mod references;
pub(crate) mod statuses;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        core::v1::ConfigMap,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use sagene_identity::authority::CertificateAuthority;
use sagene_model::Kind;
use sagene_store::Store;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use crate::options::ControlPlaneOptions;

/// Name of the ConfigMap that carries the root certificate.
const ROOT_CONFIG_MAP: &str = "istio-ca-root-cert";
const ROOT_KEY: &str = "root-cert.pem";
const MANAGER: &str = "istiod";
/// Namespaces of Kubernetes itself; no workload of the mesh runs there.
const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
/// How often webhook configurations are looked at besides changes, because those for validation are not in the store.
const WEBHOOK_PERIOD: Duration = Duration::from_secs(5);

/// Keeps ConfigMap `istio-ca-root-cert` right in every namespace.
pub(crate) async fn root_certificates(client: Client, store: Store, authority: Arc<CertificateAuthority>) {
    let mut feed = store.subscribe();
    let mut written: BTreeMap<String, ()> = BTreeMap::new();
    let mut backoff = Backoff::new(BackoffPolicy::default());
    loop {
        let namespaces: Vec<String> = store
            .snapshot()
            .namespaces
            .iter()
            .filter(|namespace| namespace.metadata.deletion_timestamp.is_none())
            .map(|namespace| namespace.metadata.name.clone())
            .filter(|name| !SYSTEM_NAMESPACES.contains(&name.as_str()))
            .collect();
        written.retain(|name, ()| namespaces.contains(name));
        let mut failed = false;
        for namespace in namespaces {
            if written.contains_key(&namespace) {
                continue;
            }
            match write_root(&client, &namespace, authority.root()).await {
                Ok(()) => {
                    debug!(%namespace, "root certificate written");
                    written.insert(namespace, ());
                }
                Err(error) => {
                    warn!(%namespace, error = %error_chain(&error), "root certificate not written");
                    failed = true;
                }
            }
        }
        if failed {
            backoff.wait().await;
            continue;
        }
        backoff.reset();
        loop {
            if feed.changed().await.kinds().contains(&Kind::Namespace) {
                break;
            }
        }
    }
}

async fn write_root(client: &Client, namespace: &str, root: &str) -> Result<(), kube::Error> {
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(ROOT_CONFIG_MAP.to_owned()),
            labels: Some([("istio.io/config".to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([(ROOT_KEY.to_owned(), root.to_owned())].into()),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(ROOT_CONFIG_MAP, &parameters, &Patch::Apply(&map)).await.map(drop)
}

/// Keeps the CA bundle of this revision's webhook configurations right, and makes validation mandatory now that it is served.
pub(crate) async fn webhook_bundles(
    client: Client,
    options: Arc<ControlPlaneOptions>,
    authority: Arc<CertificateAuthority>,
    store: Store,
) {
    let mut feed = store.subscribe();
    loop {
        if let Err(error) = patch_bundles(&client, &options, authority.root()).await {
            warn!(error = %error_chain(&error), "webhook configurations not brought up to date");
        }
        let own_kind =
            async { while !feed.changed().await.kinds().contains(&Kind::MutatingWebhookConfiguration) {} };
        // A period without a change is the normal case.
        let _ = tokio::time::timeout(WEBHOOK_PERIOD, own_kind).await;
    }
}

async fn patch_bundles(
    client: &Client,
    options: &ControlPlaneOptions,
    root: &str,
) -> Result<(), kube::Error> {
    let selector = format!("istio.io/rev={}", options.revision);
    let parameters = ListParams::default().labels(&selector);
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    for configuration in mutating.list(&parameters).await? {
        let name = configuration.name_any();
        let webhooks = configuration.webhooks.unwrap_or_default();
        let patches: Vec<Value> = webhooks
            .iter()
            .enumerate()
            .filter(|(_, webhook)| !has_bundle(webhook.client_config.ca_bundle.as_ref(), root))
            .map(|(index, _)| bundle_patch(index, root))
            .collect();
        apply(&mutating, &name, patches).await?;
    }
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    for configuration in validating.list(&parameters).await? {
        let name = configuration.name_any();
        let webhooks = configuration.webhooks.unwrap_or_default();
        let mut patches = Vec::new();
        for (index, webhook) in webhooks.iter().enumerate() {
            if !has_bundle(webhook.client_config.ca_bundle.as_ref(), root) {
                patches.push(bundle_patch(index, root));
            }
            if webhook.failure_policy.as_deref() != Some("Fail") {
                let path = format!("/webhooks/{index}/failurePolicy");
                patches.push(json!({"op": "add", "path": path, "value": "Fail"}));
            }
        }
        apply(&validating, &name, patches).await?;
    }
    Ok(())
}

fn has_bundle(bundle: Option<&ByteString>, root: &str) -> bool {
    bundle.is_some_and(|bundle| bundle.0 == root.as_bytes())
}

fn bundle_patch(index: usize, root: &str) -> Value {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(root);
    json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": encoded})
}

async fn apply<K>(api: &Api<K>, name: &str, patches: Vec<Value>) -> Result<(), kube::Error>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    if patches.is_empty() {
        return Ok(());
    }
    // Every entry of the patch is a well-formed operation of our own making.
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(patches)).unwrap_or_default();
    api.patch(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await?;
    info!(configuration = name, "webhook configuration brought up to date");
    Ok(())
}
