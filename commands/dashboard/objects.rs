//! The cluster's objects that the console looks at, kept current by watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::RwLock;

use futures::StreamExt;
use kube::Client;
use serde_json::Value;

use crate::exit::Failure;
use crate::kubernetes::{Event, Objects, Resource, server_failure, text, watch};

/// Namespace and name.
type Key = (String, String);

/// Objects by kind.
#[derive(Debug, Default)]
pub(super) struct WatchedObjects {
    kinds: RwLock<BTreeMap<String, BTreeMap<Key, Arc<Value>>>>,
}

impl WatchedObjects {
    /// Reads everything once and keeps watching in the background.
    pub(super) async fn watch_all(self: &Arc<Self>, client: &Client) -> Result<(), Failure> {
        let objects = Objects::new(client.clone());
        for resource in resources() {
            let list = objects.list(&resource, None, "").await.map_err(server_failure)?;
            list.into_iter().for_each(|object| self.apply(&resource.kind, object));
            let (this, client) = (self.clone(), client.clone());
            tokio::spawn(async move { this.follow(&client, &resource).await });
        }
        Ok(())
    }

    /// A kind that the server does not have yet is asked for again, as often as the watch retries.
    async fn follow(&self, client: &Client, resource: &Resource) {
        let mut events = watch(client, resource, None, "", "");
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Applied(object)) => self.apply(&resource.kind, object),
                Ok(Event::Deleted(object)) => self.remove(&resource.kind, &object),
                Err(error) => {
                    tracing::debug!(kind = resource.kind, %error, "watch failed");
                    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                }
            }
        }
    }

    fn apply(&self, kind: &str, object: Value) {
        let mut kinds = self.kinds.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        kinds.entry(kind.to_owned()).or_default().insert(key(&object), Arc::new(object));
    }

    fn remove(&self, kind: &str, object: &Value) {
        let mut kinds = self.kinds.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(objects) = kinds.get_mut(kind) {
            objects.remove(&key(object));
        }
    }

    /// All objects of a kind.
    pub(super) fn all(&self, kind: &str) -> Vec<Arc<Value>> {
        let kinds = self.kinds.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        kinds.get(kind).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Objects of a kind in a namespace.
    pub(super) fn of(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>> {
        let mut objects = self.all(kind);
        objects.retain(|object| text(object, "/metadata/namespace") == namespace);
        objects
    }
}

fn key(object: &Value) -> Key {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

fn resources() -> Vec<Resource> {
    let istio = |kind: &str, plural: &str| Resource::known("networking.istio.io", "v1", kind, plural, true);
    vec![
        Resource::namespaces(),
        Resource::pods(),
        istio("VirtualService", "virtualservices"),
        istio("DestinationRule", "destinationrules"),
        istio("ServiceEntry", "serviceentries"),
        istio("Gateway", "gateways"),
    ]
}
