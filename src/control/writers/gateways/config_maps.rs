//! ConfigMaps that Gateways name, each followed by itself: there may be many others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, runtime::watcher};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use tokio::{sync::Notify, task::AbortHandle};
use tracing::debug;

use super::Name;

/// What is known of a ConfigMap.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// Not read yet.
    Unknown,
    /// There is none of that name.
    Missing,
    /// Its data.
    Data(BTreeMap<String, String>),
}

/// The followed ConfigMaps.
pub(super) struct ConfigMaps {
    client: Client,
    followed: BTreeMap<Name, Followed>,
    changed: Arc<Notify>,
}

struct Followed {
    content: Arc<Mutex<Content>>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ConfigMaps {
    pub(super) fn new(client: Client) -> Self {
        Self { client, followed: BTreeMap::new(), changed: Arc::default() }
    }

    /// Follows these and no others.
    pub(super) fn follow(&mut self, names: impl Iterator<Item = Name>) {
        let names: BTreeSet<Name> = names.collect();
        self.followed.retain(|name, _| names.contains(name));
        for name in names {
            let (client, changed) = (&self.client, &self.changed);
            self.followed.entry(name).or_insert_with_key(|name| {
                let content = Arc::new(Mutex::new(Content::Unknown));
                let one = follow(client.clone(), name.clone(), content.clone(), changed.clone());
                Followed { content, task: tokio::spawn(one).abort_handle() }
            });
        }
    }

    /// What is known of one.
    pub(super) fn content(&self, name: &Name) -> Content {
        let known = self.followed.get(name);
        known.map_or(Content::Unknown, |known| {
            known.content.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Waits until one of them is another than before.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

async fn follow(client: Client, name: Name, content: Arc<Mutex<Content>>, changed: Arc<Notify>) {
    let (namespace, name) = name;
    let stream = watcher::watch_object(Api::<ConfigMap>::namespaced(client, &namespace), &name);
    futures::pin_mut!(stream);
    let mut backoff = Backoff::new(BackoffPolicy::default());
    while let Some(seen) = stream.next().await {
        let now = match seen {
            Ok(None) => Content::Missing,
            Ok(Some(map)) => Content::Data(map.data.unwrap_or_default()),
            Err(error) => {
                debug!(namespace, name, error = %error_chain(&error), "parameters not watched, trying again");
                backoff.wait().await;
                continue;
            }
        };
        backoff.reset();
        *content.lock().unwrap_or_else(PoisonError::into_inner) = now;
        changed.notify_one();
    }
}
