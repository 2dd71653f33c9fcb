//! The one writer's view: applies changes to the snapshot, remembers what could not be read, publishes in batches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use arc_swap::ArcSwap;
use sagene_api::ParseError;
use sagene_model::{
    Change, ChangeSet, Kind, Snapshot,
    snapshot::{AnyObject, Scope},
};
use serde_json::Value;
use tokio::sync::Notify;

/// An object whose newest version cannot be read; the last good one, if any, stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The field and what is wrong with it.
    pub message: String,
    /// Whether an older version is still in force.
    pub last_good: bool,
    /// Its `metadata.generation`.
    pub generation: i64,
}

/// Published state, shared between the writer and readers.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) rejected: Mutex<BTreeMap<Change, Rejected>>,
    feeds: Mutex<Vec<Weak<Pending>>>,
}

/// Changes one reader has not seen yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) changes: Mutex<ChangeSet>,
    pub(crate) wake: Notify,
}

impl Shared {
    pub(crate) fn subscribe(&self) -> Arc<Pending> {
        let pending = Arc::new(Pending::default());
        lock(&self.feeds).push(Arc::downgrade(&pending));
        pending
    }

    fn publish(&self, snapshot: &Snapshot, changes: &ChangeSet) {
        self.snapshot.store(Arc::new(snapshot.clone()));
        lock(&self.feeds).retain(|feed| {
            let Some(feed) = feed.upgrade() else { return false };
            lock(&feed.changes).merge(changes.clone());
            feed.wake.notify_one();
            true
        });
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes that are not published yet.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    snapshot: Snapshot,
    changes: ChangeSet,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let snapshot = Snapshot::clone(&shared.snapshot.load());
        Self { shared, snapshot, changes: ChangeSet::default() }
    }

    /// Puts in the newest version of an object, or records why it cannot be read.
    pub(crate) fn apply(&mut self, candidate: Candidate) {
        let change = candidate.change();
        match candidate.object {
            Ok(object) => {
                if lock(&self.shared.rejected).remove(&change).is_some() {
                    self.changes.add(change, Scope::MetadataOnly);
                }
                if let Some((change, scope)) = self.snapshot.insert_any(candidate.kind, object) {
                    self.changes.add(change, scope);
                }
            }
            Err(error) => {
                let known = self.snapshot.get_any(change.kind, &change.namespace, &change.name);
                let last_good = known.is_some();
                let rejected = Rejected {
                    kind: change.kind,
                    namespace: change.namespace.clone(),
                    name: change.name.clone(),
                    message: error.to_string(),
                    last_good,
                    generation: candidate.generation,
                };
                tracing::warn!(
                    kind = change.kind.name(), namespace = %rejected.namespace, name = %rejected.name,
                    error = %rejected.message, last_good, "object cannot be read"
                );
                lock(&self.shared.rejected).insert(change.clone(), rejected);
                // Nothing to push, but its status has to be told.
                self.changes.add(change, Scope::MetadataOnly);
            }
        }
    }

    /// Takes an object out, readable or not.
    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        let change = Change { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        lock(&self.shared.rejected).remove(&change);
        if let Some(change) = self.snapshot.remove_any(kind, namespace, name) {
            self.changes.add(change, Scope::Content);
        }
    }

    /// A complete list of a kind: what is not in it is gone.
    pub(crate) fn replace(&mut self, kind: Kind, candidates: Vec<Candidate>) {
        let listed: BTreeSet<(&str, &str)> =
            candidates.iter().map(|c| (c.namespace.as_str(), c.name.as_str())).collect();
        let known = self.snapshot.metadata(kind).into_iter();
        let gone: Vec<(String, String)> = known
            .filter(|known| !listed.contains(&(known.namespace.as_str(), known.name.as_str())))
            .map(|known| (known.namespace.clone(), known.name.clone()))
            .collect();
        for (namespace, name) in gone {
            self.delete(kind, &namespace, &name);
        }
        for candidate in candidates {
            self.apply(candidate);
        }
    }

    /// Makes everything so far visible at once.
    pub(crate) fn publish(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() {
            self.shared.publish(&self.snapshot, &changes);
        }
    }
}

/// An object as it came, read or not.
pub(crate) struct Candidate {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) object: Result<AnyObject, ParseError>,
}

impl Candidate {
    pub(crate) fn read(kind: Kind, value: Value) -> Self {
        let text = |key: &str| {
            let found = value.pointer("/metadata").and_then(|metadata| metadata.get(key));
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (namespace, name) = (text("namespace"), text("name"));
        let generation = value.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        Self { kind, namespace, name, generation, object: kind.read(value) }
    }

    fn change(&self) -> Change {
        Change { kind: self.kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
