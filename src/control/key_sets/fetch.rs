//! Fetches the keys of a token issuer, from addresses that may be asked: whoever may write a rule may not have the control plane ask the
//! metadata service of its cloud, nor what else is in networks that are closed. Every hop of a redirect is judged.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use sagene_base::resolve::Resolver;
use thiserror::Error;

use super::Source;
use crate::options::Network;

/// Largest answer taken.
const LIMIT: usize = 1024 * 1024;
/// Redirects that are followed.
const HOPS: usize = 5;

/// Why keys cannot be had.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    /// No client.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("no answer")]
    Request(#[source] reqwest::Error),
    /// Not an address that may be asked.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// Not a URL.
    #[error("{0:?} is not a URL")]
    Location(String),
    /// Another status than 200.
    #[error("the answer has status {0}")]
    Status(u16),
    /// Too large.
    #[error("the answer is larger than {LIMIT} bytes")]
    Large,
    /// Not what is wanted.
    #[error("the answer is not {0}")]
    Content(&'static str),
}

/// An address in a closed network.
#[derive(Debug, Error)]
#[error("{0} is an address that keys are not fetched from (BLOCKED_CIDRS_IN_JWKS_URIS)")]
pub(super) struct Blocked(IpAddr);

/// A client that asks open addresses alone.
#[derive(Clone)]
pub(super) struct Fetcher {
    client: reqwest::Client,
    closed: Arc<[Network]>,
}

impl Fetcher {
    /// # Errors
    /// Where TLS cannot be set up.
    pub(super) fn new(closed: &[Network]) -> Result<Self, FetchError> {
        let closed: Arc<[Network]> = closed.into();
        let names = OpenNames { closed: closed.clone(), resolver: Arc::default() };
        let on_the_way = closed.clone();
        let policy = Policy::custom(move |attempt: Attempt<'_>| match judge(attempt.url(), &on_the_way) {
            Err(blocked) => attempt.error(blocked),
            Ok(()) if attempt.previous().len() > HOPS => attempt.error("too many redirects"),
            Ok(()) => attempt.follow(),
        });
        let client = reqwest::Client::builder().redirect(policy).dns_resolver(names).build();
        Ok(Self { client: client.map_err(FetchError::Client)?, closed })
    }

    /// The keys as the issuer gives them.
    pub(super) async fn keys(&self, source: &Source, timeout: Duration) -> Result<String, FetchError> {
        let location = match source {
            Source::Keys(location) => location.clone(),
            Source::Issuer(issuer) => {
                let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let configuration: serde_json::Value = serde_json::from_str(&self.get(&at, timeout).await?)
                    .map_err(|_| FetchError::Content("JSON"))?;
                let location = configuration.get("jwks_uri").and_then(serde_json::Value::as_str);
                location.ok_or(FetchError::Content("an OpenID configuration with jwks_uri"))?.to_owned()
            }
        };
        let keys = self.get(&location, timeout).await?;
        let read: Result<serde_json::Value, _> = serde_json::from_str(&keys);
        match read {
            Ok(read) if read.get("keys").is_some_and(serde_json::Value::is_array) => Ok(keys),
            _ => Err(FetchError::Content("a set of keys (JWKS)")),
        }
    }

    async fn get(&self, location: &str, timeout: Duration) -> Result<String, FetchError> {
        let url = reqwest::Url::parse(location).map_err(|_| FetchError::Location(location.to_owned()))?;
        judge(&url, &self.closed)?;
        let mut answer = self.client.get(url).timeout(timeout).send().await.map_err(FetchError::Request)?;
        if answer.status().as_u16() != 200 {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(FetchError::Request)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LIMIT {
                return Err(FetchError::Large);
            }
        }
        String::from_utf8(bytes).map_err(|_| FetchError::Content("text"))
    }
}

/// An address in a URL is not looked up: it is judged here.
fn judge(url: &reqwest::Url, closed: &[Network]) -> Result<(), Blocked> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse() {
        Ok(address) if is_closed(address, closed) => Err(Blocked(address)),
        _ => Ok(()),
    }
}

fn is_closed(address: IpAddr, closed: &[Network]) -> bool {
    closed.iter().any(|network| network.contains(address.to_canonical()))
}

/// Names to the open ones of their addresses.
struct OpenNames {
    closed: Arc<[Network]>,
    resolver: Arc<Resolver>,
}

impl Resolve for OpenNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (closed, resolver) = (self.closed.clone(), self.resolver.clone());
        Box::pin(async move {
            let found = resolver.lookup(name.as_str()).await?;
            let (shut, open): (Vec<IpAddr>, Vec<IpAddr>) =
                found.into_iter().partition(|address| is_closed(*address, &closed));
            match (open.is_empty(), shut.first()) {
                (true, Some(address)) => Err(Box::new(Blocked(*address)) as Box<dyn Error + Send + Sync>),
                _ => Ok(Box::new(open.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs),
            }
        })
    }
}
