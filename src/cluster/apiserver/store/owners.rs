//! Who is owned by whom: for each owner's uid, the objects that name it. Garbage collection asks this instead of looking through
//! every kind.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use tokio::sync::mpsc;

use super::TableName;
use super::table::ObjectKey;
use crate::api_client::resource::is_deleting;

/// Finalizers by which an owner waits for the garbage collector.
const COLLECTED: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Something the garbage collector has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnerEvent {
    /// An object that others name as their owner is gone.
    Gone { namespace: Box<str>, uid: String },
    /// An object waits for its dependents before it goes.
    Leaving { table: TableName, key: ObjectKey },
}

#[derive(Default)]
pub(super) struct Owners {
    dependents: HashMap<Box<str>, BTreeSet<(TableName, ObjectKey)>>,
    listener: Option<mpsc::UnboundedSender<OwnerEvent>>,
}

fn owners_of(object: Option<&Value>) -> impl Iterator<Item = &str> {
    let references = object.and_then(|object| object["metadata"]["ownerReferences"].as_array());
    references.into_iter().flatten().filter_map(|reference| reference["uid"].as_str())
}

impl Owners {
    /// From now on, what happens to owners is told here; only to the last who asked.
    pub(super) fn listen(&mut self) -> mpsc::UnboundedReceiver<OwnerEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listener = Some(sender);
        receiver
    }

    /// An object changed; `after` is `None` where it was removed.
    pub(super) fn change(
        &mut self,
        table: &TableName,
        key: &ObjectKey,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        if !owners_of(before).eq(owners_of(after)) {
            for uid in owners_of(before) {
                self.forget(uid, table, key);
            }
            for uid in owners_of(after) {
                let place = self.dependents.entry(uid.into()).or_default();
                place.insert((table.clone(), key.clone()));
            }
        }
        self.tell(table, key, before, after);
    }

    fn forget(&mut self, uid: &str, table: &TableName, key: &ObjectKey) {
        if let Some(known) = self.dependents.get_mut(uid) {
            known.remove(&(table.clone(), key.clone()));
            if known.is_empty() {
                self.dependents.remove(uid);
            }
        }
    }

    fn tell(&mut self, table: &TableName, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        let event = match (before, after) {
            (Some(before), None) => {
                let uid = before["metadata"]["uid"].as_str().unwrap_or_default();
                if !self.dependents.contains_key(uid) {
                    return;
                }
                OwnerEvent::Gone { namespace: key.namespace.clone(), uid: uid.to_owned() }
            }
            (_, Some(after)) if is_deleting(after) => {
                let finalizers = after["metadata"]["finalizers"].as_array();
                let waits = finalizers
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .any(|one| COLLECTED.contains(&one));
                if !waits {
                    return;
                }
                OwnerEvent::Leaving { table: table.clone(), key: key.clone() }
            }
            _ => return,
        };
        if let Some(listener) = &self.listener {
            // Nobody listens any more when the cluster stops.
            let _ = listener.send(event);
        }
    }

    /// The objects that name this owner.
    pub(super) fn of(&self, uid: &str) -> impl Iterator<Item = &(TableName, ObjectKey)> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// Every object that names an owner.
    pub(super) fn all(&self) -> BTreeSet<(TableName, ObjectKey)> {
        self.dependents.values().flatten().cloned().collect()
    }
}
