//! The CA bundle of this revision's webhook configurations; and validation becomes mandatory now that it is served.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use sagene_base::task::error_chain;
use sagene_model::Kind;
use sagene_store::{Feed, Store};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::leader::Leadership;
use crate::{options::ControlPlaneOptions, security::authorities::Authorities};

/// How often they are looked at besides changes, because those for validation are not in the store.
const PERIOD: Duration = Duration::from_secs(5);

/// Keeps them right while this replica leads.
pub(crate) async fn keep(
    client: Client,
    options: Arc<ControlPlaneOptions>,
    authorities: Arc<Authorities>,
    store: Store,
    mut leadership: Leadership,
) {
    let mut feed = store.subscribe();
    let mut in_force = authorities.changes();
    loop {
        let roots = in_force.borrow_and_update().clone();
        if leadership.is_leader()
            && let Err(error) = patch_bundles(&client, &options, &roots.roots).await
        {
            warn!(error = %error_chain(&error), "webhook configurations not brought up to date");
        }
        tokio::select! {
            () = own_kind_changed(&mut feed) => {}
            () = leadership.changed() => {}
            changed = in_force.changed() => if changed.is_err() {
                return;
            },
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn own_kind_changed(feed: &mut Feed) {
    while !feed.changed().await.kinds().contains(&Kind::MutatingWebhookConfiguration) {}
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
