//! Who is calling: a client certificate of the mesh, or a service-account token that the API server vouches for.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use sagene_model::Identity;
use sagene_xds::server::RemoteAddress;
use thiserror::Error;

use super::throttle::{self, Throttle};

/// How long the API server's word about a token is taken without asking again.
const TOKEN_MEMORY: Duration = Duration::from_secs(60);
/// Most tokens remembered.
const MAX_TOKENS: usize = 10_000;

/// The identity of a connection's verified client certificate; in the extensions of each request on it.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(pub(crate) Identity);

/// The connection is encrypted; in the extensions of each request on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encrypted;

/// Why a caller is not known.
#[derive(Debug, Error)]
pub(crate) enum AuthenticationError {
    /// Neither certificate nor token.
    #[error(
        "no credentials: send a client certificate of the mesh or a service-account token (audience istio-ca)"
    )]
    Missing,
    /// Tokens must not travel in the clear.
    #[error("a token is accepted over TLS only (port 15012)")]
    NotEncrypted,
    /// The API server does not accept the token.
    #[error("the token is not accepted: {0}")]
    Refused(String),
    /// The token belongs to no service account.
    #[error("the token belongs to {0:?}, which is no service account")]
    NotAServiceAccount(String),
    /// The peer asked too often.
    #[error("too many requests from this address; try again later")]
    TooMany,
    /// The API server could not be asked.
    #[error("cannot ask the API server about the token")]
    Unavailable(#[source] kube::Error),
}

/// Where a request comes from, if the transport says.
pub(crate) fn peer_address(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get::<RemoteAddress>().map(|remote| remote.0.ip())
}

/// Authenticates callers; share it behind an `Arc`.
pub(crate) struct Authenticator {
    client: Client,
    trust_domain: String,
    audiences: Vec<String>,
    tokens: Mutex<HashMap<String, (Identity, Instant)>>,
    /// Holds back who asks for too much.
    pub(crate) throttle: Throttle,
}

impl Authenticator {
    pub(crate) fn new(client: Client, trust_domain: String, audiences: Vec<String>) -> Self {
        Self { client, trust_domain, audiences, tokens: Mutex::default(), throttle: Throttle::default() }
    }

    /// The caller of a request: certificate first, then token.
    pub(crate) async fn caller(
        &self,
        headers: &http::HeaderMap,
        extensions: &http::Extensions,
    ) -> Result<Identity, AuthenticationError> {
        if let Some(PeerCertificate(identity)) = extensions.get() {
            return Ok(identity.clone());
        }
        let token = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .ok_or(AuthenticationError::Missing)?;
        if extensions.get::<Encrypted>().is_none() {
            return Err(AuthenticationError::NotEncrypted);
        }
        self.token(token, peer_address(extensions)).await
    }

    /// As [`Authenticator::caller`], also for HTTP without TLS inside the cluster (the monitoring port), as istiod accepts it.
    pub(crate) async fn caller_over_http(
        &self,
        headers: &http::HeaderMap,
    ) -> Result<Identity, AuthenticationError> {
        let mut extensions = http::Extensions::new();
        extensions.insert(Encrypted);
        self.caller(headers, &extensions).await
    }

    async fn token(&self, token: &str, peer: Option<IpAddr>) -> Result<Identity, AuthenticationError> {
        if let Some(identity) = self.remembered(token) {
            return Ok(identity);
        }
        if !self.throttle.take(peer, throttle::REQUEST) {
            return Err(AuthenticationError::TooMany);
        }
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: (!self.audiences.is_empty()).then(|| self.audiences.clone()),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer =
            api.create(&PostParams::default(), &review).await.map_err(AuthenticationError::Unavailable)?;
        let status = answer.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            self.throttle.charge(peer, throttle::REFUSAL);
            let reason = status.error.unwrap_or_else(|| "not authenticated".to_owned());
            return Err(AuthenticationError::Refused(reason));
        }
        let name = status.user.and_then(|user| user.username).unwrap_or_default();
        let mut parts = name.splitn(4, ':');
        let identity = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("system"), Some("serviceaccount"), Some(namespace), Some(account)) => {
                Identity::new(&self.trust_domain, namespace, account)
            }
            _ => return Err(AuthenticationError::NotAServiceAccount(name)),
        };
        self.remember(token, &identity);
        Ok(identity)
    }

    fn remembered(&self, token: &str) -> Option<Identity> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, since) = tokens.get(token)?;
        (since.elapsed() < TOKEN_MEMORY).then(|| identity.clone())
    }

    fn remember(&self, token: &str, identity: &Identity) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(token.to_owned(), (identity.clone(), Instant::now()));
    }

    /// Whether the service account may list secrets of its namespace, which is what a proxy needs to be given them; `None` where the API
    /// server could not be asked.
    pub(crate) async fn may_list_secrets(&self, caller: &Identity) -> Option<bool> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{}:{}", caller.namespace, caller.service_account)),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{}", caller.namespace),
                    "system:authenticated".to_owned(),
                ]),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(caller.namespace.clone()),
                    verb: Some("list".to_owned()),
                    resource: Some("secrets".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        match api.create(&PostParams::default(), &review).await {
            Ok(answer) => Some(answer.status.is_some_and(|status| status.allowed)),
            Err(error) => {
                tracing::warn!(%caller, %error, "cannot ask whether the proxy may list secrets");
                None
            }
        }
    }
}
