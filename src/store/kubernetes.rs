//! The Kubernetes API as a source: one watch per kind, one writer for all.
//!
//! A kind the API server does not know (its CRD is not there yet) counts as empty and is looked for again as soon as the server's
//! kinds change. What arrives together is published together; the reader debounces.

mod definitions;

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event},
};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task,
};
use sagene_model::Kind;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use crate::{
    Store,
    state::{Candidate, Writer},
};

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Kinds of which only one namespace is watched.
    pub only_in: Vec<(Kind, String)>,
}

/// Says when the first complete list of every kind is in the store.
#[derive(Debug, Clone)]
pub struct Synced {
    missing: watch::Receiver<BTreeSet<Kind>>,
}

impl Synced {
    /// Resolves when every kind is there, or known not to exist.
    pub async fn wait(&mut self) {
        // The sender lives as long as the writer's task; if that is gone nothing will ever be in sync.
        if self.missing.wait_for(BTreeSet::is_empty).await.is_err() {
            std::future::pending().await
        }
    }

    /// The kinds that are still missing.
    pub fn missing(&self) -> Vec<Kind> {
        self.missing.borrow().iter().copied().collect()
    }
}

/// How long a kind that is not there is left alone: shortly after kinds changed, since servers tell of a definition before they serve its
/// kind, and ever longer while nothing changes.
const UNKNOWN_KIND: BackoffPolicy =
    BackoffPolicy { initial: Duration::from_millis(200), max: Duration::from_secs(30), factor: 2.0 };

/// A change on its way to the writer.
type Update = Box<dyn FnOnce(&mut Writer) + Send>;

enum Message {
    Update(Update),
    Synced(Kind),
}

/// Fills `store` from the API server until the process ends.
pub fn watch(client: &Client, store: &Store, options: &WatchOptions) -> Synced {
    let (sender, mut receiver) = mpsc::channel::<Message>(1024);
    let (missing, synced) = watch::channel(options.kinds.iter().copied().collect::<BTreeSet<_>>());
    let definitions = definitions::follow(client);
    for kind in &options.kinds {
        let namespace = options.only_in.iter().find(|(only, _)| only == kind).map(|(_, ns)| ns.clone());
        let (client, sender, definitions) = (client.clone(), sender.clone(), definitions.clone());
        let watch = Watch { kind: *kind, client, namespace, sender, definitions };
        drop(task::spawn(format!("watch {}", kind.name()), watch.run()));
    }
    let mut writer = Writer::new(store.shared.clone());
    let task = task::spawn("store writer", async move {
        let mut batch = Vec::new();
        while receiver.recv_many(&mut batch, 1024).await > 0 {
            let mut synced = Vec::new();
            for message in batch.drain(..) {
                match message {
                    Message::Update(update) => update(&mut writer),
                    Message::Synced(kind) => synced.push(kind),
                }
            }
            writer.publish();
            if !synced.is_empty() {
                missing.send_modify(|missing| missing.retain(|kind| !synced.contains(kind)));
            }
        }
    });
    drop(task);
    Synced { missing: synced }
}

struct Watch {
    kind: Kind,
    client: Client,
    namespace: Option<String>,
    sender: mpsc::Sender<Message>,
    definitions: watch::Receiver<u64>,
}

impl Watch {
    async fn run(mut self) {
        let kind = self.kind;
        let resource = resource_of(kind);
        let api: Api<DynamicObject> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let stream = watcher::watcher(api, watcher::Config::default());
        futures::pin_mut!(stream);
        let policy = BackoffPolicy {
            initial: Duration::from_millis(200),
            max: Duration::from_secs(5),
            ..BackoffPolicy::default()
        };
        let mut backoff = Backoff::new(policy);
        let mut unknown = Backoff::new(UNKNOWN_KIND);
        let mut list = Vec::new();
        while let Some(event) = stream.next().await {
            let (messages, pause) = match event {
                // The beginning of a list says nothing yet: the list itself may fail.
                Ok(event @ Event::Init) => (messages(kind, event, &mut list), None),
                Ok(event) => {
                    backoff.reset();
                    (messages(kind, event, &mut list), None)
                }
                Err(error) if is_not_found(&error) => {
                    debug!(kind = kind.name(), "the API server does not know this kind (yet)");
                    let empty = Message::Update(Box::new(move |writer| writer.replace(kind, Vec::new())));
                    (vec![empty, Message::Synced(kind)], Some(unknown.next_delay()))
                }
                Err(error) => {
                    warn!(kind = kind.name(), error = %task::error_chain(&error), "watch failed, trying again");
                    (Vec::new(), Some(backoff.next_delay()))
                }
            };
            for message in messages {
                if self.sender.send(message).await.is_err() {
                    return;
                }
            }
            if let Some(pause) = pause {
                // What the server knows may change sooner, and then this kind may be there.
                if tokio::time::timeout(pause, definitions::change(&mut self.definitions)).await.is_ok() {
                    unknown.reset();
                }
            }
        }
    }
}

fn messages(kind: Kind, event: Event<DynamicObject>, list: &mut Vec<Candidate>) -> Vec<Message> {
    match event {
        Event::Init => {
            list.clear();
            Vec::new()
        }
        Event::InitApply(object) => {
            list.push(candidate(kind, object));
            Vec::new()
        }
        Event::InitDone => {
            let list = std::mem::take(list);
            vec![Message::Update(Box::new(move |writer| writer.replace(kind, list))), Message::Synced(kind)]
        }
        Event::Apply(object) => {
            let candidate = candidate(kind, object);
            vec![Message::Update(Box::new(|writer| writer.apply(candidate)))]
        }
        Event::Delete(object) => {
            let candidate = candidate(kind, object);
            let delete =
                move |writer: &mut Writer| writer.delete(kind, &candidate.namespace, &candidate.name);
            vec![Message::Update(Box::new(delete))]
        }
    }
}

/// Slim at once: managed fields, the bulk of many objects, are read by nobody here.
fn candidate(kind: Kind, mut object: DynamicObject) -> Candidate {
    object.metadata.managed_fields = None;
    let mut value = object.data;
    if let (Value::Object(body), Ok(metadata)) = (&mut value, serde_json::to_value(object.metadata)) {
        body.insert("metadata".to_owned(), metadata);
    }
    Candidate::read(kind, value)
}

fn is_not_found(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) = error else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// How the API server names a kind.
pub fn resource_of(kind: Kind) -> ApiResource {
    let traits = kind.traits();
    ApiResource {
        group: traits.group.to_owned(),
        version: traits.version.to_owned(),
        api_version: (traits.api_version)(),
        kind: traits.kind.to_owned(),
        plural: traits.plural.to_owned(),
    }
}

#[cfg(test)]
mod tests;
