//! Fetches keys when a rule asks for them and again from time to time, and wakes the proxies whose keys changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagene_model::{Kind, Snapshot};
use sagene_store::{Feed, Store};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::fetch::{FetchError, Fetcher};
use super::{KeySets, Source};
use crate::metrics::Metrics;
use crate::options::Network;

/// Time allowed for one fetch where the rule says nothing.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most time allowed for one, whatever a rule says: one issuer that hangs is no reason to hold so many sockets open.
const LONGEST: Duration = Duration::from_secs(30);
/// Most fetches at a time.
const AT_ONCE: usize = 64;
/// Pauses after a failure: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

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
    /// Networks that nothing is fetched from.
    pub(crate) closed: Vec<Network>,
    /// Called after new keys came, with the namespaces of the rules that ask for them.
    pub(crate) changed: F,
}

/// Runs until the process ends. Each source is fetched by itself: one that hangs holds up no other.
pub(crate) async fn run(refresh: Refresh<impl Fn(&BTreeSet<String>)>, mut feed: Feed) {
    let fetcher = match Fetcher::new(&refresh.closed) {
        Ok(fetcher) => fetcher,
        Err(error) => {
            let error = sagene_base::task::error_chain(&error);
            warn!(%error, "keys of token issuers cannot be fetched");
            return std::future::pending().await;
        }
    };
    let mut states: HashMap<Source, State> = HashMap::new();
    let mut fetches = JoinSet::new();
    let mut fetching: BTreeSet<Source> = BTreeSet::new();
    loop {
        let wanted = demands(&refresh.store.snapshot());
        states.retain(|source, _| wanted.contains_key(source));
        refresh.keys.retain(|source| wanted.contains_key(source));
        let now = Instant::now();
        let is_due = |source: &Source| states.get(source).is_none_or(|state| state.next <= now);
        for (source, demand) in &wanted {
            if fetches.len() < AT_ONCE && is_due(source) && fetching.insert(source.clone()) {
                let (fetcher, source, timeout) = (fetcher.clone(), source.clone(), demand.timeout);
                fetches.spawn(async move { (fetcher.keys(&source, timeout).await, source) });
            }
        }
        let waiting = states.iter().filter(|(source, _)| !fetching.contains(source));
        let next = waiting.map(|(_, state)| state.next).min().filter(|_| fetches.len() < AT_ONCE);
        tokio::select! {
            Some(done) = fetches.join_next() => {
                // A fetch that panicked leaves its source aside: that is no state to go on from.
                let Ok((outcome, source)) = done else { continue };
                fetching.remove(&source);
                let Some(demand) = wanted.get(&source) else { continue };
                let pause = refresh.take(&source, demand, outcome, states.get(&source).map(|state| state.pause));
                states.insert(source, State { next: Instant::now() + pause, pause });
            }
            () = wait(&mut feed, next) => {}
        }
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
            demand.timeout = demand.timeout.max(stated.unwrap_or(TIMEOUT)).min(LONGEST);
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
