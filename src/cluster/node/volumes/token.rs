//! Service-account tokens for projected volumes, kept until most of their life is over.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::VolumeError;
use crate::api_client::{ApiClient, ResourceRef};
use crate::node::pod_spec::TokenSource;

/// A token is replaced after this part of its life, as the kubelet does.
const REFRESH_AFTER: f64 = 0.8;

struct Token {
    text: String,
    refresh_at: Timestamp,
}

/// The tokens of one pod, by audience and life.
#[derive(Default)]
pub(super) struct TokenCache {
    tokens: HashMap<(String, u64), Token>,
}

impl TokenCache {
    /// A token that is good for a while.
    pub(super) async fn token(
        &mut self,
        api: &ApiClient,
        pod: &Value,
        source: &TokenSource,
    ) -> Result<String, VolumeError> {
        let key = (source.audience.clone(), source.expiration_seconds);
        let now = Timestamp::now();
        if let Some(token) = self.tokens.get(&key).filter(|token| token.refresh_at > now) {
            return Ok(token.text.clone());
        }
        let token = request(api, pod, source, now).await?;
        let text = token.text.clone();
        self.tokens.insert(key, token);
        Ok(text)
    }
}

async fn request(
    api: &ApiClient,
    pod: &Value,
    source: &TokenSource,
    now: Timestamp,
) -> Result<Token, VolumeError> {
    let metadata = &pod["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let account =
        pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default");
    let audiences: Vec<&str> =
        Some(source.audience.as_str()).filter(|audience| !audience.is_empty()).into_iter().collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": source.expiration_seconds,
            "boundObjectRef": {
                "apiVersion": ResourceRef::PODS.api_version(), "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"],
            },
        },
    });
    let answer = api
        .create_token(namespace, account, body)
        .await
        .map_err(|error| VolumeError::Token(error.to_string()))?;
    let status = &answer["status"];
    let text =
        status["token"].as_str().ok_or_else(|| VolumeError::Token("the answer has no token".to_owned()))?;
    let expires: Option<Timestamp> =
        status["expirationTimestamp"].as_str().and_then(|time| time.parse().ok());
    let life = expires.map_or(0, |expires| expires.as_second() - now.as_second());
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let refresh_after = (life as f64 * REFRESH_AFTER) as i64;
    let refresh_at = Timestamp::from_second(now.as_second() + refresh_after).unwrap_or(now);
    Ok(Token { text: text.to_owned(), refresh_at })
}
