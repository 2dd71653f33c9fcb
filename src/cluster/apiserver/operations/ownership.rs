//! Who is owned by whom, in the words of the in-process client.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::Operations;
use crate::api_client::ResourceRef;
use crate::apiserver::registry::Registry;
use crate::apiserver::store::OwnerEvent;

/// Something the garbage collector has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnerChange {
    /// An owner is gone.
    Gone { namespace: String, uid: String },
    /// An owner waits for its dependents before it goes.
    Leaving { resource: ResourceRef, namespace: String, name: String },
}

/// A feed of them.
pub(crate) struct OwnerEvents {
    events: mpsc::UnboundedReceiver<OwnerEvent>,
    registry: Arc<Registry>,
}

impl OwnerEvents {
    /// The next one; `None` once somebody else listens.
    pub(crate) async fn next(&mut self) -> Option<OwnerChange> {
        loop {
            match self.events.recv().await? {
                OwnerEvent::Gone { namespace, uid } => {
                    return Some(OwnerChange::Gone { namespace: namespace.into(), uid });
                }
                OwnerEvent::Leaving { table, key } => {
                    // A kind whose CRD went meanwhile took its objects along.
                    if let Some(resource) = reference(&self.registry, &table) {
                        let (namespace, name) = (key.namespace.into(), key.name.into());
                        return Some(OwnerChange::Leaving { resource, namespace, name });
                    }
                }
            }
        }
    }
}

fn reference(registry: &Registry, table: &str) -> Option<ResourceRef> {
    let (group, plural) = table.split_once('/')?;
    registry.current().get(group, plural).map(|definition| definition.reference.clone())
}

impl Operations {
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(ResourceRef, Arc<Value>)> {
        let found = self.store.dependents(uid).into_iter();
        found.filter_map(|(table, object)| Some((reference(&self.registry, &table)?, object))).collect()
    }

    pub(crate) fn owned(&self) -> Vec<(ResourceRef, String, String)> {
        let owned = self.store.owned().into_iter();
        let named = owned.filter_map(|(table, key)| {
            Some((reference(&self.registry, &table)?, key.namespace.into(), key.name.into()))
        });
        named.collect()
    }

    pub(crate) fn owner_events(&self) -> OwnerEvents {
        OwnerEvents { events: self.store.owner_events(), registry: self.registry.clone() }
    }
}
