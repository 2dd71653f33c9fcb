//! From a change in the cluster to the proxies it concerns.
//!
//! A lone change goes out after a few milliseconds of quiet; changes in a row are collected until they pause, the longer the more a push
//! costs: pods that start together are known to each other at once in a small mesh, and a large one is not kept busy, since no push
//! begins before the last one has arrived. Proxies that a change does not concern are not woken.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use futures::FutureExt;
use sagene_model::discovery_selectors::Discovered;
use sagene_model::{ChangeSet, Kind, Snapshot};
use sagene_store::Feed;
use sagene_xds::{server::Connection, session::Push};
use tracing::{debug, error};

use super::{Discovery, Peer, PushRecord, pace::Pace};
use crate::{
    generate::type_url,
    index::{Affected, Concern, Index},
    mesh_settings,
    options::ControlPlaneOptions,
};

/// Quiet time after a lone change: long enough to take in the objects of one `kubectl apply`, too short to be noticed.
const LONE_CHANGE: Duration = Duration::from_millis(8);

/// What a push costs for each proxy that may be woken, roughly: its share of the quiet time after changes in a row.
const QUIET_OF_A_PROXY: Duration = Duration::from_micros(200);

/// How often what only departed proxies made use of is forgotten; it costs a look at every connected one.
const SWEEP: Duration = Duration::from_secs(30);

/// Pushes until the process ends.
pub(crate) async fn run(discovery: Arc<Discovery>, mut feed: Feed) {
    let mut last = Instant::now();
    let mut took = Duration::ZERO;
    let mut swept = last;
    let mut number = 0;
    let mut pace = Pace::new();
    loop {
        let mut changes = tokio::select! {
            changes = feed.changed() => changes,
            // Until something changes: the time that the last push takes is taken.
            () = async { pace.ready().await; std::future::pending().await } => continue,
        };
        let began = Instant::now();
        let options = &discovery.options;
        let busy = began.duration_since(last) < options.debounce_after;
        let quiet = if busy { pause(took, discovery.connections.len()) } else { LONE_CHANGE };
        let quiet = quiet.min(options.debounce_after);
        collect(&mut feed, &mut changes, quiet, began + patience(quiet, options), &mut pace).await;
        discovery.metrics.observe("pilot_debounce_time", "", began.elapsed());
        if !changes.has_content() {
            continue;
        }
        number += 1;
        let updating = Instant::now();
        let woken = update(&discovery, &changes);
        let proxies = woken.number;
        if !is_urgent(&changes) {
            let arrivals = woken.idle.into_iter().map(|one| async move { one.settled().await }.boxed());
            pace = Pace::after(updating.into(), arrivals, options.debounce_max);
        }
        last = Instant::now();
        took = last.duration_since(updating);
        if last.duration_since(swept) > SWEEP {
            swept = last;
            let connections = discovery.connections.all();
            discovery.index.load().forget_unused(connections.iter().filter_map(|c| c.peer.proxy.as_ref()));
        }
        discovery.metrics.observe("pilot_proxy_convergence_time", "", began.elapsed());
        let record = PushRecord {
            number,
            at: SystemTime::now(),
            took: began.elapsed(),
            changes: changes.iter().count(),
            proxies,
        };
        debug!(changes = record.changes, proxies, took = ?record.took, "change pushed");
        discovery.last_push.store(Arc::new(Some(record)));
    }
}

/// Quiet time after changes in a row, where the last push took `took` and so many proxies are connected.
fn pause(took: Duration, proxies: usize) -> Duration {
    let proxies = u32::try_from(proxies).unwrap_or(u32::MAX);
    LONE_CHANGE.max(took * 4 + QUIET_OF_A_PROXY.saturating_mul(proxies))
}

/// How long changes are collected at most: as many times the quiet time as `PILOT_DEBOUNCE_MAX` is of `PILOT_DEBOUNCE_AFTER`.
fn patience(quiet: Duration, options: &ControlPlaneOptions) -> Duration {
    let share = quiet.as_secs_f64() / options.debounce_after.as_secs_f64().max(f64::MIN_POSITIVE);
    options.debounce_max.mul_f64(share.clamp(0.0, 1.0))
}

/// Takes in what follows within `quiet`, until `latest` at most, and whatever comes before the next push may begin. Endpoints that come and
/// go wait for no push: requests would be sent to those that are gone.
async fn collect(
    feed: &mut Feed,
    changes: &mut ChangeSet,
    quiet: Duration,
    latest: Instant,
    pace: &mut Pace,
) {
    loop {
        let rest = latest.saturating_duration_since(Instant::now());
        let urgent = is_urgent(changes);
        let paced = async {
            if !urgent {
                pace.ready().await;
            }
        };
        let due = futures::future::join(tokio::time::sleep(quiet.min(rest)), paced);
        tokio::select! {
            biased;
            _ = due => return,
            more = feed.changed() => changes.merge(more),
        }
    }
}

/// Whether only endpoints come and go.
fn is_urgent(changes: &ChangeSet) -> bool {
    changes.contents().all(|change| matches!(change.kind, Kind::EndpointSlice | Kind::Pod))
}

/// Brings the index up to date and wakes the proxies that are concerned.
fn update(discovery: &Discovery, changes: &ChangeSet) -> Woken {
    count_triggers(discovery, changes);
    let started = Instant::now();
    let snapshot = discovery.store.snapshot();
    let before = discovery.index.load_full();
    if changes.kinds().contains(&Kind::ConfigMap) {
        read_settings(discovery, &snapshot, "the one before stays in force");
    }
    let settings = Arc::new(mesh_settings::settings(&discovery.mesh_config.load(), &discovery.options));
    let saw = discovery.discovered.load_full();
    let seen = see(discovery, &snapshot);
    let discovered = discovery.discovered.load();
    let changes = discovered.changes(&saw, &snapshot, changes);
    let (next, affected) = before.next(seen, settings, &changes);
    discovery.publish(next);
    discovery.metrics.observe("pilot_pushcontext_init_seconds", "", started.elapsed());
    if affected.is_empty() { Woken::default() } else { wake(discovery, &affected) }
}

/// The first index, of everything that was read so far: from now on it is served.
pub(crate) fn begin(discovery: &Discovery) {
    let snapshot = discovery.store.snapshot();
    read_settings(discovery, &snapshot, "the defaults are in force");
    let settings = Arc::new(mesh_settings::settings(&discovery.mesh_config.load(), &discovery.options));
    let seen = see(discovery, &snapshot);
    discovery.index.store(Arc::new(Index::build_with(seen, settings, discovery.keys.clone())));
    discovery.synced.store(true, Ordering::Release);
    discovery.indexed.send_replace(());
}

/// What is left of a snapshot in the namespaces that the mesh sees by the settings in force; from now on it sees these.
fn see(discovery: &Discovery, snapshot: &Snapshot) -> Snapshot {
    let discovered = Discovered::of(snapshot, &discovery.mesh_config.load().discovery_selectors);
    let mut seen = snapshot.clone();
    discovered.narrow(&mut seen);
    discovery.discovered.store(Arc::new(discovered));
    seen
}

/// Reads the mesh's settings; those that cannot be understood change nothing.
fn read_settings(discovery: &Discovery, snapshot: &Snapshot, otherwise: &str) {
    match mesh_settings::mesh_config(snapshot, &discovery.options) {
        Ok(mesh) => discovery.mesh_config.store(Arc::new(mesh)),
        Err(error) => {
            let error = sagene_base::task::error_chain(&error);
            error!(%error, "mesh configuration not understood, {otherwise}");
            discovery.metrics.count("pilot_total_rejected_configs", "type=\"mesh\"");
        }
    }
}

/// Tells every proxy when the trusted roots change, until the process ends.
pub(crate) async fn trust_bundles(discovery: Arc<Discovery>) {
    let mut changes = discovery.authorities.changes();
    while changes.changed().await.is_ok() {
        let mut push = Push::default();
        push.add_type(sagene_xds::type_url::PROXY_CONFIG);
        for connection in discovery.connections.all() {
            connection.push(&push);
        }
    }
}

/// Asks about those who want Secrets, and hands them over when they may have them, until the process ends.
pub(crate) async fn granted_secrets(discovery: Arc<Discovery>) {
    let access = &discovery.secret_access;
    let mut push = Push::default();
    push.add_type(type_url::SECRET);
    loop {
        for caller in access.due().await {
            let word = discovery.authenticator.may_list_secrets(&caller).await;
            if access.learn(&caller, word) {
                let all = discovery.connections.all();
                let of_caller = all.iter().filter(|it| it.peer.caller.as_ref() == Some(&caller));
                of_caller.for_each(|connection| connection.push(&push));
            }
        }
        // Whoever was refused and still waits is asked about again: nobody tells when a role is bound.
        for connection in discovery.connections.all() {
            if let Some(caller) = &connection.peer.caller
                && connection.watched(type_url::SECRET).is_some_and(|names| !names.is_empty())
            {
                access.allows(caller);
            }
        }
    }
}

/// Whom a push is for.
#[derive(Default)]
pub(crate) struct Woken {
    number: usize,
    /// Those that were not busy with an earlier push.
    idle: Vec<Arc<Connection<Peer>>>,
}

/// Wakes the proxies that are concerned.
pub(crate) fn wake(discovery: &Discovery, affected: &Affected) -> Woken {
    let mut woken = Woken::default();
    let mut endpoints = Endpoints::default();
    for connection in discovery.connections.all() {
        let Some(proxy) = &connection.peer.proxy else { continue };
        let mut push = Push::default();
        for kind in type_url::ALL {
            match affected.concern(proxy, kind) {
                Concern::Nothing => {}
                Concern::Anything => push.add_type(kind),
                Concern::Hosts(hosts) => {
                    let Some(watched) = connection.watched(kind) else { continue };
                    let names = endpoints.of(&watched, |host| hosts.contains(host));
                    if !names.is_empty() {
                        push.add_names(kind, names.iter().cloned());
                    }
                }
            }
        }
        if !push.is_empty() {
            woken.number += 1;
            if connection.is_settled() {
                woken.idle.push(connection.clone());
            }
            connection.push(&push);
        }
    }
    woken
}

/// Which of the watched clusters belong to changed hosts; worked out once for all proxies that watch the same.
#[derive(Default)]
struct Endpoints {
    /// By address of the watched names, which are kept so that the address stays theirs.
    known: HashMap<usize, (Arc<[Arc<str>]>, Arc<[Arc<str>]>)>,
}

impl Endpoints {
    fn of(&mut self, watched: &Arc<[Arc<str>]>, changed: impl Fn(&str) -> bool) -> Arc<[Arc<str>]> {
        let key = watched.as_ptr() as usize;
        let of_host = |name: &&Arc<str>| changed(name.rsplit('|').next().unwrap_or(name));
        let entry = self.known.entry(key);
        entry
            .or_insert_with(|| (watched.clone(), watched.iter().filter(of_host).cloned().collect()))
            .1
            .clone()
    }
}

fn count_triggers(discovery: &Discovery, changes: &ChangeSet) {
    for kind in changes.kinds() {
        let trigger = match kind {
            Kind::EndpointSlice | Kind::Pod => "endpoint",
            Kind::Service => "service",
            Kind::Secret => "secret",
            Kind::Namespace => "namespace",
            Kind::ConfigMap => "global",
            _ => "config",
        };
        discovery.metrics.count("pilot_push_triggers", &format!("type=\"{trigger}\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_a_push_costs_the_longer_changes_in_a_row_are_collected() {
        let options = ControlPlaneOptions::default();
        let small = pause(Duration::from_micros(300), 10);
        assert_eq!(small, LONE_CHANGE);
        assert_eq!(patience(small, &options), Duration::from_millis(800));
        let large = pause(Duration::from_millis(5), 500).min(options.debounce_after);
        assert_eq!(large, options.debounce_after);
        assert_eq!(patience(large, &options), options.debounce_max);
    }
}
