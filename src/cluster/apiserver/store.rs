//! Every object of the cluster: current state in memory, journal on disk, recent history for watches.
//!
//! One lock orders all writes and hands out the cluster-wide revision (`resourceVersion`). A write is visible to readers and
//! watches at once and is acknowledged to its writer when it is on disk; many writers share one flush. Reads never touch the
//! disk. After a restart the revision jumps ahead, so that a revision which was seen but never acknowledged is not used twice.

mod journal;
mod owners;
mod table;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use journal::{Durable, Journal, JournalEntry, Trouble};
pub use journal::{JournalError, OBJECTS_FILE};
pub(crate) use owners::OwnerEvent;
use owners::Owners;
use table::Table;
pub(crate) use table::{Change, ChangeType, ObjectKey};

/// How far the revision jumps when the store is opened.
const REVISION_JUMP: u64 = 10_000;

/// A resource as the store knows it: `group/plural`, independent of versions.
pub(crate) type TableName = Arc<str>;

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk refuses writes; nothing is lost, but nothing more is accepted until it recovers.
    #[error("{}; the cluster goes on with what it has, and accepts changes again when the file can be written", .0.message)]
    NotDurable(Trouble),
    /// The same for a change that was made before that was known: others have seen it.
    #[error("{}; the change is in force, and will be on disk when the file can be written", .0.message)]
    NotYetDurable(Trouble),
    /// The writer is gone: the store is being closed.
    #[error("the cluster is being stopped")]
    Closed,
}

struct State {
    revision: u64,
    tables: HashMap<TableName, Table>,
    owners: Owners,
}

/// The store. Shared behind an `Arc`.
pub(crate) struct Store {
    state: RwLock<State>,
    journal: Journal,
    /// Revision from which history is complete.
    opened_at: u64,
}

/// What a write function decided to do with the current object.
pub(crate) enum Decision {
    /// Store this object (create or replace).
    Put(Value),
    /// Remove the object; the value is its last state.
    Remove(Value),
    /// Leave everything as it is.
    Keep,
}

/// What a write did.
#[derive(Clone)]
pub(crate) struct Written {
    /// The object after the write (before it, when removed).
    pub(crate) object: Arc<Value>,
    /// False when the write found nothing to change.
    pub(crate) changed: bool,
}

/// How soon a write must be on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it is acknowledged.
    Acknowledged,
    /// Within a second: events and leases.
    Lazy,
}

impl Store {
    /// Opens or creates the state file in `folder` and loads every object.
    pub(crate) fn open(folder: &Path) -> Result<Self, JournalError> {
        let (journal, loaded) = Journal::open(folder)?;
        let mut tables: HashMap<TableName, Table> = HashMap::new();
        let opened_at = loaded.revision + if loaded.revision == 0 { 1 } else { REVISION_JUMP };
        let mut owners = Owners::default();
        for (table, key, object) in loaded.objects {
            owners.change(&table, &key, None, Some(&object));
            tables.entry(table).or_insert_with(|| Table::new(opened_at)).load(key, object);
        }
        Ok(Self { state: RwLock::new(State { revision: opened_at, tables, owners }), journal, opened_at })
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The revision of the last write.
    pub(crate) fn revision(&self) -> u64 {
        self.read().revision
    }

    /// The current object.
    pub(crate) fn get(&self, table: &str, key: &ObjectKey) -> Option<Arc<Value>> {
        self.read().tables.get(table)?.objects.get(key).cloned()
    }

    /// Every object of a table (`namespace` empty) or of one namespace, in key order, and the revision.
    pub(crate) fn list(&self, table: &str, namespace: &str) -> (Vec<Arc<Value>>, u64) {
        let state = self.read();
        let items = state.tables.get(table).map(|table| table.in_namespace(namespace).cloned().collect());
        (items.unwrap_or_default(), state.revision)
    }

    /// Runs `decide` on the current object under the write lock and does what it says. `decide` must be quick and pure; it gets
    /// the revision that the write will have. Resolves when the write is as durable as asked for.
    pub(crate) async fn write<E: From<StoreError>>(
        &self,
        table: &TableName,
        key: &ObjectKey,
        durability: Durability,
        decide: impl FnOnce(Option<&Arc<Value>>) -> Result<Decision, E>,
    ) -> Result<Written, E> {
        let (written, durable) = self.write_now(table, key, durability, decide)?;
        match durable {
            None => Ok(written),
            Some(durable) => match durable.await {
                Ok(Ok(())) => Ok(written),
                Ok(Err(trouble)) => Err(StoreError::NotYetDurable(trouble).into()),
                Err(_) => Err(StoreError::Closed.into()),
            },
        }
    }

    fn write_now<E: From<StoreError>>(
        &self,
        table_name: &TableName,
        key: &ObjectKey,
        durability: Durability,
        decide: impl FnOnce(Option<&Arc<Value>>) -> Result<Decision, E>,
    ) -> Result<(Written, Option<oneshot::Receiver<Durable>>), E> {
        if let Some(trouble) = self.journal.trouble() {
            return Err(StoreError::NotDurable(trouble).into());
        }
        let mut state = self.write_lock();
        let current = state.tables.get(table_name).and_then(|table| table.objects.get(key)).cloned();
        let (mut object, removed) = match decide(current.as_ref())? {
            Decision::Keep => {
                let object = current.unwrap_or_default();
                return Ok((Written { object, changed: false }, None));
            }
            Decision::Put(object) => (object, false),
            Decision::Remove(object) => (object, true),
        };
        state.revision += 1;
        let revision = state.revision;
        object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        let object = Arc::new(object);
        let opened_at = self.opened_at;
        state.owners.change(table_name, key, current.as_deref(), (!removed).then_some(&*object));
        let table = state.tables.entry(table_name.clone()).or_insert_with(|| Table::new(opened_at));
        table.apply(key.clone(), object.clone(), removed, revision);
        let (acknowledge, durable) = match durability {
            Durability::Acknowledged => {
                let (sender, receiver) = oneshot::channel();
                (Some(sender), Some(receiver))
            }
            Durability::Lazy => (None, None),
        };
        let stored = (!removed).then(|| object.clone());
        self.journal.append(JournalEntry {
            table: table_name.clone(),
            key: key.clone(),
            object: stored,
            revision,
            acknowledge,
        });
        Ok((Written { object, changed: true }, durable))
    }

    /// A change feed of one table. `None` in `after` means from now.
    pub(crate) fn subscribe(&self, table: &TableName) -> (watch::Receiver<u64>, u64) {
        let mut state = self.write_lock();
        let revision = state.revision;
        let opened_at = self.opened_at;
        let table = state.tables.entry(table.clone()).or_insert_with(|| Table::new(opened_at));
        (table.changed.subscribe(), revision)
    }

    /// Changes of a table after `revision`, at most `limit`, with the revision of the store; `None` when history does not reach
    /// back that far.
    pub(crate) fn changes_after(
        &self,
        table: &str,
        revision: u64,
        limit: usize,
    ) -> Option<(Vec<Change>, u64)> {
        let state = self.read();
        let current = state.revision;
        let Some(table) = state.tables.get(table) else { return Some((Vec::new(), current)) };
        table.changes_after(revision, limit).map(|changes| (changes, current))
    }

    /// The objects that name this owner, with the resource of each.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(TableName, Arc<Value>)> {
        let state = self.read();
        let found = state.owners.of(uid).filter_map(|(table, key)| {
            let object = state.tables.get(table)?.objects.get(key)?;
            Some((table.clone(), object.clone()))
        });
        found.collect()
    }

    /// Every object that names an owner, with its resource.
    pub(crate) fn owned(&self) -> Vec<(TableName, ObjectKey)> {
        self.read().owners.all().into_iter().collect()
    }

    /// What happens to owners from now on; only the last who asks is told.
    pub(crate) fn owner_events(&self) -> mpsc::UnboundedReceiver<OwnerEvent> {
        self.write_lock().owners.listen()
    }

    /// Waits until everything written so far is on disk. False when the disk refuses.
    pub(crate) async fn flush(&self) -> bool {
        self.journal.flush().await
    }
}

#[cfg(test)]
mod tests;
