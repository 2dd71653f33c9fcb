//! The one place that holds configuration: takes resources, compiles them, swaps the snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::assignment::Assignment;
use super::cluster::{Cluster, Discovery};
use super::field::FieldError;
use super::http_manager::RouteSource;
use super::listener::{Listener, Terminal};
use super::proto::{self, Any, bootstrap};
use super::raw::{Origin, RawResource, RawResources, RefusedVersion, ResourceState};
use super::route_table::RouteTable;
use super::{Rejection, Snapshot, Update, Wanted, type_url};
use crate::tls::context::Secrets;

/// Holds the accepted resources and their compiled form. Shared by workers, discovery and admin.
#[derive(Debug)]
pub struct ConfigStore {
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    secrets: Arc<Secrets>,
    changes: watch::Sender<u64>,
    wanted: watch::Sender<Wanted>,
}

#[derive(Debug, Default)]
struct State {
    raw: RawResources,
    /// Accepted listeners, those that wait for their routes included.
    listeners: BTreeMap<String, Arc<Listener>>,
    next: Snapshot,
}

impl ConfigStore {
    /// A store without any resource.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            state: Mutex::new(State::default()),
            secrets: Arc::new(Secrets::default()),
            changes: watch::Sender::new(0),
            wanted: watch::Sender::new(Wanted::default()),
        })
    }

    /// Takes a change from discovery. Everything acceptable takes effect at once; each refused resource is reported
    /// and leaves its last accepted version in force.
    ///
    /// # Errors
    /// One [`Rejection`] for each refused resource; the others of the same update are in force all the same.
    pub fn apply(&self, update: Update) -> Result<(), Vec<Rejection>> {
        self.apply_from(Origin::Dynamic, update)
    }

    /// As [`Self::apply`], for resources of the bootstrap.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_static(&self, update: Update) -> Result<(), Vec<Rejection>> {
        self.apply_from(Origin::Static, update)
    }

    /// Takes the static resources of a bootstrap: secrets, clusters, then listeners.
    ///
    /// # Errors
    /// Every refused resource.
    pub fn apply_bootstrap(&self, from: &bootstrap::Bootstrap) -> Result<(), Vec<Rejection>> {
        let Some(resources) = &from.static_resources else { return Ok(()) };
        let any = |url: &str, bytes: Vec<u8>| Any { type_url: url.to_owned(), value: bytes };
        let mut refused = Vec::new();
        let mut take = |url: &str, list: Vec<(String, Vec<u8>)>| {
            let upserts =
                list.into_iter().map(|(name, bytes)| (name, String::new(), any(url, bytes))).collect();
            if let Err(list) =
                self.apply_static(Update { type_url: url.to_owned(), upserts, removed: Vec::new() })
            {
                refused.extend(list);
            }
        };
        use prost::Message;
        take(
            type_url::SECRET,
            resources.secrets.iter().map(|r| (r.name.clone(), r.encode_to_vec())).collect(),
        );
        take(
            type_url::CLUSTER,
            resources.clusters.iter().map(|r| (r.name.clone(), r.encode_to_vec())).collect(),
        );
        let listeners = resources.listeners.iter().enumerate().map(|(i, r)| {
            let name = if r.name.is_empty() { format!("listener_{i}") } else { r.name.clone() };
            (name, r.encode_to_vec())
        });
        take(type_url::LISTENER, listeners.collect());
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Wakes at every swap with the new generation.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What the accepted resources refer to, for subscriptions.
    pub fn wanted(&self) -> Wanted {
        self.wanted.borrow().clone()
    }

    /// Wakes whenever [`Self::wanted`] changes.
    pub fn wanted_changes(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// The resources of one type as received, sorted by name (for `config_dump`; private keys are not redacted here).
    pub fn resources(&self, type_url: &str) -> Vec<RawResource> {
        self.lock().raw.of_type(type_url)
    }

    /// Sets the resolved endpoints of a DNS cluster.
    pub(crate) fn set_resolved(&self, cluster: &str, assignment: Assignment) {
        let mut state = self.lock();
        if state.next.resolved.get(cluster).is_some_and(|old| **old == assignment) {
            return;
        }
        state.next.resolved.insert(cluster.to_owned(), Arc::new(assignment));
        self.publish(&mut state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_from(&self, origin: Origin, update: Update) -> Result<(), Vec<Rejection>> {
        let mut state = self.lock();
        let mut refused = Vec::new();
        for name in &update.removed {
            state.remove(&self.secrets, &update.type_url, name);
        }
        for (name, version, resource) in update.upserts {
            match state.upsert(&self.secrets, &update.type_url, &name, &resource) {
                Ok(()) => {
                    let raw = RawResource {
                        name,
                        version,
                        last_updated: SystemTime::now(),
                        origin,
                        state: ResourceState::Active,
                        resource: Some(resource),
                        error: None,
                    };
                    state.raw.accept(&update.type_url, raw);
                }
                Err(error) => {
                    let rejection = Rejection {
                        type_url: update.type_url.clone(),
                        name: name.clone(),
                        field: error.path,
                        reason: error.reason,
                    };
                    let details = format!("{}: {}", rejection.field, rejection.reason);
                    state.raw.refuse(
                        &update.type_url,
                        &name,
                        RefusedVersion { version, at: SystemTime::now(), details, resource },
                    );
                    refused.push(rejection);
                }
            }
        }
        self.publish(&mut state);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Swaps the snapshot, promotes listeners whose routes are known, tells followers.
    fn publish(&self, state: &mut State) {
        state.promote();
        state.next.generation += 1;
        let wanted = state.wanted(&self.secrets);
        self.snapshot.store(Arc::new(state.next.clone()));
        self.changes.send_replace(state.next.generation);
        self.wanted.send_if_modified(|old| {
            let changed = *old != wanted;
            *old = wanted;
            changed
        });
    }
}

impl State {
    fn upsert(&mut self, secrets: &Arc<Secrets>, url: &str, name: &str, any: &Any) -> Result<(), FieldError> {
        match url {
            type_url::LISTENER => {
                let mut message: proto::listener::Listener = proto::decode(any)?;
                message.name = name.to_owned();
                let compiled = Listener::compile(&message, self.listeners.get(name).map(|l| &**l), secrets)?;
                self.listeners.insert(name.to_owned(), Arc::new(compiled));
            }
            type_url::ROUTE => {
                let table = RouteTable::compile(&proto::decode(any)?)?;
                self.next.routes.insert(name.to_owned(), Arc::new(table));
            }
            type_url::CLUSTER => {
                let compiled = Cluster::compile(&proto::decode(any)?, self.next.clusters.get(name), secrets)?;
                self.next.clusters.insert(name.to_owned(), compiled);
            }
            type_url::ENDPOINT => {
                let compiled = Assignment::compile(&proto::decode(any)?)?;
                self.next.assignments.insert(name.to_owned(), Arc::new(compiled));
            }
            type_url::SECRET => secrets.set(&proto::decode(any)?)?,
            other => {
                return Err(FieldError::new(
                    "type_url",
                    format!("{other} is not a type that this proxy takes"),
                ));
            }
        }
        Ok(())
    }

    fn remove(&mut self, secrets: &Arc<Secrets>, url: &str, name: &str) {
        match url {
            type_url::LISTENER => {
                self.listeners.remove(name);
            }
            type_url::ROUTE => {
                self.next.routes.remove(name);
            }
            type_url::CLUSTER => {
                self.next.clusters.remove(name);
                self.next.resolved.remove(name);
            }
            type_url::ENDPOINT => {
                self.next.assignments.remove(name);
            }
            type_url::SECRET => secrets.remove(name),
            _ => {}
        }
        self.raw.remove(url, name);
    }

    /// A listener becomes active when every route configuration it names is there; until then its last active
    /// version serves on.
    fn promote(&mut self) {
        let mut active = HashMap::with_capacity(self.listeners.len());
        for (name, listener) in &self.listeners {
            let ready = wanted_routes(listener).all(|route| self.next.routes.contains_key(route));
            let state = if ready { ResourceState::Active } else { ResourceState::Warming };
            self.raw.set_state(type_url::LISTENER, name, state);
            if ready {
                active.insert(name.clone(), listener.clone());
            } else if let Some(old) = self.next.listeners.get(name) {
                active.insert(name.clone(), old.clone());
            }
        }
        self.next.by_address =
            active.values().flat_map(|l| l.addresses.iter().map(|a| (*a, l.clone()))).collect();
        self.next.listeners = active;
    }

    fn wanted(&self, secrets: &Secrets) -> Wanted {
        let eds = self.next.clusters.values().filter_map(|cluster| match &cluster.discovery {
            Discovery::Eds(service) => Some(service.clone()),
            _ => None,
        });
        Wanted {
            routes: self.listeners.values().flat_map(|l| wanted_routes(l)).map(str::to_owned).collect(),
            endpoints: eds.collect(),
            secrets: secrets.wanted(),
        }
    }
}

fn wanted_routes(listener: &Listener) -> impl Iterator<Item = &str> {
    listener.all_chains().filter_map(|chain| match &chain.terminal {
        Terminal::Http(manager) => match &manager.routes {
            RouteSource::Discovered(name) => Some(name.as_str()),
            RouteSource::Inline(_) => None,
        },
        _ => None,
    })
}
