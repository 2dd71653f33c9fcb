//! Secrets of type `kubernetes.io/service-account-token`: filled with a token of the account that they name, for readers in other
//! clusters. The token lives as long as the Secret and the account.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, text};
use super::key::Key;
use super::queue::Queue;
use crate::api_client::{ApiError, ListOptions, ResourceRef};

/// The type of such Secrets.
const TYPE: &str = "kubernetes.io/service-account-token";
/// The account that a Secret is for.
const ACCOUNT: &str = "/metadata/annotations/kubernetes.io~1service-account.name";
/// Its uid, which the controller writes.
const ACCOUNT_UID: &str = "/metadata/annotations/kubernetes.io~1service-account.uid";

/// Asks for the Secrets that a change of a Secret or an account concerns.
pub(super) async fn keys(
    context: &Context,
    queue: &Arc<Queue>,
    resource: &ResourceRef,
    object: &Value,
) -> Result<(), ApiError> {
    let namespace = text(object, "/metadata/namespace");
    let add = |secret: &Value| {
        queue.add(Key::TokenSecret(namespace.to_owned(), text(secret, "/metadata/name").to_owned()));
    };
    match resource.kind.as_ref() {
        "Secret" if object["type"] == TYPE => add(object),
        "ServiceAccount" => {
            let options = ListOptions { field_selector: format!("type={TYPE}"), ..ListOptions::default() };
            let secrets = context.api.list(&ResourceRef::SECRETS, namespace, &options).await?.items;
            let account = text(object, "/metadata/name");
            secrets.iter().filter(|secret| text(secret, ACCOUNT) == account).for_each(|secret| add(secret));
        }
        _ => {}
    }
    Ok(())
}

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(secret) = context.get(&ResourceRef::SECRETS, namespace, name).await? else { return Ok(None) };
    if secret["type"] != TYPE || secret["metadata"]["deletionTimestamp"].is_string() {
        return Ok(None);
    }
    let account = text(&secret, ACCOUNT).to_owned();
    let found = context.get(&ResourceRef::SERVICE_ACCOUNTS, namespace, &account).await?;
    let uid = found.as_ref().map(|account| text(account, "/metadata/uid").to_owned());
    let written = text(&secret, ACCOUNT_UID);
    let Some(uid) = uid.filter(|uid| written.is_empty() || written == uid) else {
        // The account is gone, or another one has its name: the token would be nobody's.
        context.delete(&ResourceRef::SECRETS, &secret).await?;
        return Ok(None);
    };
    let authority = STANDARD.encode(&context.ca_certificate);
    let space = STANDARD.encode(namespace);
    let complete = !text(&secret, "/data/token").is_empty()
        && text(&secret, "/data/ca.crt") == authority
        && text(&secret, "/data/namespace") == space
        && written == uid;
    if complete {
        return Ok(None);
    }
    let mut data = json!({"ca.crt": authority, "namespace": space});
    if text(&secret, "/data/token").is_empty() {
        data["token"] = json!(STANDARD.encode(context.api.secret_token(&secret, &account, &uid)?));
    }
    let patch = json!({
        "metadata": {"annotations": {"kubernetes.io/service-account.uid": uid}, "resourceVersion": secret["metadata"]["resourceVersion"]},
        "data": data,
    });
    context.api.merge_patch(&ResourceRef::SECRETS, namespace, name, "", patch).await?;
    Ok(None)
}
