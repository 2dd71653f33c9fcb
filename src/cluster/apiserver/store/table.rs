//! One resource's objects in key order, and the ring of its latest changes that watches read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

/// Changes kept per resource; a watch that lags further gets 410 and lists again.
const HISTORY_LIMIT: usize = 4096;

/// Namespace (`""` for cluster-scoped) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

impl ObjectKey {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeType {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) change_type: ChangeType,
    /// State after the change; the last state of a deleted object.
    pub(crate) object: Arc<Value>,
    /// State before the change.
    pub(crate) previous: Option<Arc<Value>>,
}

pub(crate) struct Table {
    pub(crate) objects: BTreeMap<ObjectKey, Arc<Value>>,
    history: VecDeque<Change>,
    /// Changes after this revision are all in `history`.
    complete_after: u64,
    /// Tells watches that there is something new.
    pub(crate) changed: watch::Sender<u64>,
}

impl Table {
    pub(crate) fn new(complete_after: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            complete_after,
            changed: watch::Sender::new(complete_after),
        }
    }

    /// Puts an object read from disk.
    pub(crate) fn load(&mut self, key: ObjectKey, object: Value) {
        self.objects.insert(key, Arc::new(object));
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Value>> {
        let start = ObjectKey::new(namespace, "");
        let all = namespace.is_empty();
        let namespace: Box<str> = namespace.into();
        self.objects
            .range(start..)
            .take_while(move |(key, _)| all || key.namespace == namespace)
            .map(|(_, object)| object)
    }

    pub(crate) fn apply(&mut self, key: ObjectKey, object: Arc<Value>, removed: bool, revision: u64) {
        let previous =
            if removed { self.objects.remove(&key) } else { self.objects.insert(key, object.clone()) };
        let change_type = match (removed, &previous) {
            (true, _) => ChangeType::Deleted,
            (false, None) => ChangeType::Added,
            (false, Some(_)) => ChangeType::Modified,
        };
        self.history.push_back(Change { revision, change_type, object, previous });
        if self.history.len() > HISTORY_LIMIT
            && let Some(dropped) = self.history.pop_front()
        {
            self.complete_after = dropped.revision;
        }
        self.changed.send_replace(revision);
    }

    pub(crate) fn changes_after(&self, revision: u64, limit: usize) -> Option<Vec<Change>> {
        if revision < self.complete_after {
            return None;
        }
        let first = self.history.partition_point(|change| change.revision <= revision);
        Some(self.history.range(first..).take(limit).cloned().collect())
    }
}
