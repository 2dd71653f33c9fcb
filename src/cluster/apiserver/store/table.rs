//! One resource's objects in key order, and the ring of its latest changes that watches read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

/// Changes kept per resource; a watch that lags further gets 410 and lists again.
const HISTORY_LIMIT: usize = 4096;
/// And what their objects take of memory, roughly, in bytes: large ones that change often would take gigabytes.
const HISTORY_BYTES: usize = 64 << 20;

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

/// A change in the history, with the size of its object.
struct Kept {
    change: Change,
    bytes: usize,
}

pub(crate) struct Table {
    pub(crate) objects: BTreeMap<ObjectKey, Arc<Value>>,
    history: VecDeque<Kept>,
    /// The objects of `history` together.
    history_bytes: usize,
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
            history_bytes: 0,
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
        let bytes = size(&object);
        self.history_bytes += bytes;
        self.history.push_back(Kept { change: Change { revision, change_type, object, previous }, bytes });
        self.forget();
        self.changed.send_replace(revision);
    }

    /// Drops the oldest changes; the latest one always stays.
    fn forget(&mut self) {
        while self.history.len() > HISTORY_LIMIT
            || (self.history_bytes > HISTORY_BYTES && self.history.len() > 1)
        {
            let Some(dropped) = self.history.pop_front() else { return };
            self.history_bytes -= dropped.bytes;
            self.complete_after = dropped.change.revision;
        }
    }

    pub(crate) fn changes_after(&self, revision: u64, limit: usize) -> Option<Vec<Change>> {
        if revision < self.complete_after {
            return None;
        }
        let first = self.history.partition_point(|kept| kept.change.revision <= revision);
        Some(self.history.range(first..).take(limit).map(|kept| kept.change.clone()).collect())
    }
}

/// What a value takes of memory, roughly, in bytes.
fn size(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| size_of::<String>() + name.len() + size(value)).sum()
        }
    };
    size_of::<Value>() + inner
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn history_is_limited_by_what_it_takes_of_memory() {
        let mut table = Table::new(0);
        for revision in 1..=100 {
            let object = json!({"metadata": {"name": "a"}, "data": {"text": "x".repeat(1 << 20)}});
            table.apply(ObjectKey::new("n", "a"), Arc::new(object), false, revision);
        }
        assert!(table.changes_after(30, 1000).is_none(), "forgotten");
        assert_eq!(table.changes_after(50, 1000).map(|changes| changes.len()), Some(50));
        // One that is larger than all that is kept is told of all the same.
        let object = json!({"data": "x".repeat(HISTORY_BYTES + 1)});
        table.apply(ObjectKey::new("n", "b"), Arc::new(object), false, 101);
        assert_eq!(table.changes_after(100, 1000).map(|changes| changes.len()), Some(1));
        assert!(table.changes_after(99, 1000).is_none(), "forgotten");
    }
}
