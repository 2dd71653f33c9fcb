//! A watch: changes of one resource in order, filtered, read from the store's history ring at the watcher's own pace.
//!
//! No queue grows behind a slow watcher: it holds a position in the ring, and gets 410 when it fell off its end.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::error::ApiError;
use super::selector::Filter;
use super::store::{Change, ChangeType, Store, TableName};

/// Changes read from the ring at a time.
const READ_LIMIT: usize = 256;

/// What happened to an object, seen through a watch's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEventType {
    /// It is new, or began to match.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or no longer matches.
    Deleted,
}

impl WatchEventType {
    /// As in watch streams: `ADDED`, `MODIFIED`, `DELETED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub event_type: WatchEventType,
    /// The object after the change; the last state when deleted.
    pub object: Arc<Value>,
}

/// A running watch. Dropping it ends it.
pub struct ObjectWatch {
    store: Arc<Store>,
    table: TableName,
    filter: Filter,
    changed: watch::Receiver<u64>,
    position: u64,
    pending: VecDeque<WatchEvent>,
}

impl ObjectWatch {
    /// Starts after `revision`; without one, current objects come first as `ADDED`.
    pub(crate) fn start(
        store: Arc<Store>,
        table: TableName,
        filter: Filter,
        revision: Option<u64>,
    ) -> Result<Self, ApiError> {
        let (changed, _) = store.subscribe(&table);
        let mut watch = Self { store, table, filter, changed, position: 0, pending: VecDeque::new() };
        match revision {
            Some(revision) => {
                watch.position = revision;
                watch.read()?;
            }
            None => watch.restart(),
        }
        Ok(watch)
    }

    fn restart(&mut self) {
        let (objects, revision) = self.store.list(&self.table, &self.filter.namespace);
        self.position = revision;
        let matching = objects.into_iter().filter(|object| self.filter.matches(object));
        self.pending.extend(matching.map(|object| WatchEvent { event_type: WatchEventType::Added, object }));
    }

    /// The next event; waits for one. Error: 410 when the watch lagged behind the kept history; it is over then.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<WatchEvent, ApiError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            self.changed.mark_unchanged();
            self.read()?;
            if self.pending.is_empty() && self.changed.changed().await.is_err() {
                return Err(ApiError::unavailable("the server is shutting down"));
            }
        }
    }

    /// An event that is there already.
    pub(crate) fn try_next(&mut self) -> Option<WatchEvent> {
        self.pending.pop_front()
    }

    /// Every change up to this revision has been returned (once `pending` is drained).
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    fn read(&mut self) -> Result<(), ApiError> {
        loop {
            let Some((changes, current)) = self.store.changes_after(&self.table, self.position, READ_LIMIT)
            else {
                return Err(ApiError::expired(format!(
                    "too old resource version: {} ({})",
                    self.position,
                    self.store.revision()
                )));
            };
            let complete = changes.len() < READ_LIMIT;
            let last = changes.last().map_or(0, |change| change.revision);
            self.position = if complete { current.max(self.position) } else { last };
            self.pending.extend(changes.into_iter().filter_map(|change| seen_through(&self.filter, change)));
            if complete || !self.pending.is_empty() {
                return Ok(());
            }
        }
    }
}

/// How a change looks to a watcher that sees only matching objects.
fn seen_through(filter: &Filter, change: Change) -> Option<WatchEvent> {
    let matches_now = change.change_type != ChangeType::Deleted && filter.matches(&change.object);
    let matched_before = change.previous.as_ref().is_some_and(|previous| filter.matches(previous));
    let (event_type, object) = match (matched_before, matches_now) {
        (false, true) => (WatchEventType::Added, change.object),
        (true, true) => (WatchEventType::Modified, change.object),
        (true, false) if change.change_type == ChangeType::Deleted => {
            (WatchEventType::Deleted, change.object)
        }
        (true, false) => {
            let mut last_match = (**change.previous.as_ref()?).clone();
            last_match["metadata"]["resourceVersion"] = Value::String(change.revision.to_string());
            (WatchEventType::Deleted, Arc::new(last_match))
        }
        (false, false) => return None,
    };
    Some(WatchEvent { event_type, object })
}
