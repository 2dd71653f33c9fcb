//! Fetches keys when a rule asks for them and again from time to time, and wakes the proxies whose keys changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagene_model::{Kind, Snapshot};
use sagene_store::{Feed, Store};
use thiserror::Error;
use tracing::{info, warn};

use super::{KeySets, Source};
use crate::metrics::Metrics;

/// Time allowed for one fetch where the rule says nothing.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer taken.
const LIMIT: usize = 1024 * 1024;
/// Pauses after a failure: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Why keys cannot be had.
#[derive(Debug, Error)]
enum FetchError {
    /// No client.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("no answer")]
    Request(#[source] reqwest::Error),
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

/// What is known of a source.
#[derive(Debug)]
struct State {
    next: Instant,
    pause: Duration,
}

/// Who asks for a source: namespaces of the rules, and the longest time one of them allows.
#[derive(Debug, Default, Clone)]
struct Demand {
    namespaces: BTreeSet<String>,
    timeout: Duration,
}

/// What fetching works with.
pub(crate) struct Refresh<F> {
    /// Where the rules are.
    pub(crate) store: Store,
    /// Where the keys go.
    pub(crate) keys: Arc<KeySets>,
    pub(crate) metrics: Arc<Metrics>,
    /// Time between fetches.
    pub(crate) interval: Duration,
    /// Called after new keys came, with the namespaces of the rules that ask for them.
    pub(crate) changed: F,
}

/// Runs until the process ends.
pub(crate) async fn run(refresh: Refresh<impl Fn(&BTreeSet<String>)>, mut feed: Feed) {
    let client = match reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(5)).build() {
        Ok(client) => client,
        Err(source) => {
            let error = sagene_base::task::error_chain(&FetchError::Client(source));
            warn!(%error, "keys of token issuers cannot be fetched");
            return std::future::pending().await;
        }
    };
    let mut states: HashMap<Source, State> = HashMap::new();
    loop {
        let wanted = demands(&refresh.store.snapshot());
        states.retain(|source, _| wanted.contains_key(source));
        refresh.keys.retain(|source| wanted.contains_key(source));
        let now = Instant::now();
        let due =
            wanted.iter().filter(|(source, _)| states.get(*source).is_none_or(|state| state.next <= now));
        let fetches = due.map(|(source, demand)| async {
            (source.clone(), demand.clone(), fetch(&client, source, demand.timeout).await)
        });
        let outcomes = futures::future::join_all(fetches).await;
        for (source, demand, outcome) in outcomes {
            let pause = refresh.take(&source, &demand, outcome, states.get(&source).map(|state| state.pause));
            states.insert(source, State { next: Instant::now() + pause, pause });
        }
        wait(&mut feed, states.values().map(|state| state.next).min()).await;
    }
}

/// Until the rules change or the next fetch is due.
async fn wait(feed: &mut Feed, next: Option<Instant>) {
    let changed = async { while !feed.changed().await.kinds().contains(&Kind::RequestAuthentication) {} };
    match next {
        None => changed.await,
        Some(next) => {
            // Either way it is time to look again.
            let _ = tokio::time::timeout(next.saturating_duration_since(Instant::now()), changed).await;
        }
    }
}

impl<F: Fn(&BTreeSet<String>)> Refresh<F> {
    /// Notes an outcome and tells of it; the time until the next fetch.
    fn take(
        &self,
        source: &Source,
        demand: &Demand,
        outcome: Result<String, FetchError>,
        last_pause: Option<Duration>,
    ) -> Duration {
        match outcome {
            Ok(keys) => {
                self.metrics.count("pilot_jwks_resolver_network_fetch_success_total", "");
                if self.keys.set(source, &keys) {
                    info!(?source, "new keys of a token issuer");
                    (self.changed)(&demand.namespaces);
                }
                self.interval
            }
            Err(error) => {
                let error = sagene_base::task::error_chain(&error);
                warn!(
                    ?source,
                    error, "keys of a token issuer cannot be fetched; what was known before stays"
                );
                self.metrics.count("pilot_jwks_resolver_network_fetch_fail_total", "");
                let (first, longest) = RETRY;
                match last_pause {
                    Some(pause) if pause < self.interval => (pause * 2).clamp(first, longest),
                    _ => first,
                }
            }
        }
    }
}

/// Every source that a rule asks for.
fn demands(snapshot: &Snapshot) -> BTreeMap<Source, Demand> {
    let mut wanted: BTreeMap<Source, Demand> = BTreeMap::new();
    for object in snapshot.request_authentications.iter() {
        for rule in &object.spec.jwt_rules {
            let Some(source) = Source::of(rule) else { continue };
            let demand = wanted.entry(source).or_default();
            demand.namespaces.insert(object.metadata.namespace.clone());
            let stated = rule.timeout.map(sagene_api::Duration::to_std);
            demand.timeout = demand.timeout.max(stated.unwrap_or(TIMEOUT));
        }
    }
    wanted
}

async fn fetch(client: &reqwest::Client, source: &Source, timeout: Duration) -> Result<String, FetchError> {
    let location = match source {
        Source::Keys(location) => location.clone(),
        Source::Issuer(issuer) => {
            let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let configuration: serde_json::Value = serde_json::from_str(&get(client, &at, timeout).await?)
                .map_err(|_| FetchError::Content("JSON"))?;
            let location = configuration.get("jwks_uri").and_then(serde_json::Value::as_str);
            location.ok_or(FetchError::Content("an OpenID configuration with jwks_uri"))?.to_owned()
        }
    };
    let keys = get(client, &location, timeout).await?;
    let read: Result<serde_json::Value, _> = serde_json::from_str(&keys);
    match read {
        Ok(read) if read.get("keys").is_some_and(serde_json::Value::is_array) => Ok(keys),
        _ => Err(FetchError::Content("a set of keys (JWKS)")),
    }
}

async fn get(client: &reqwest::Client, location: &str, timeout: Duration) -> Result<String, FetchError> {
    let mut answer = client.get(location).timeout(timeout).send().await.map_err(FetchError::Request)?;
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

#[cfg(test)]
mod tests;
