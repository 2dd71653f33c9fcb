//! ConfigMap `istio-ca-root-cert` in every namespace: what proxies trust before they have heard of the control plane.
//!
//! The replica that leads compares what is there with what is to be there, so that a map that somebody changed or deleted comes back, and
//! maps that are right are not written again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::watcher::{self, Event},
};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use sagene_model::Kind;
use sagene_store::{Feed, Store};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::{MANAGER, leader::Leadership};
use crate::security::authorities::{Authorities, InForce};

/// Name of the ConfigMap that carries the root certificates.
pub(crate) const ROOT_CONFIG_MAP: &str = "istio-ca-root-cert";
/// Its key.
pub(crate) const ROOT_KEY: &str = "root-cert.pem";
/// Annotation: until when roots are trusted that the authority in force does not name (RFC 3339).
pub(crate) const RETIRED_UNTIL: &str = "sagene.io/retired-roots-until";
/// Namespaces of Kubernetes itself; no workload of the mesh runs there.
const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Keeps the maps right while this replica leads.
pub(crate) async fn keep(
    client: Client,
    store: Store,
    authorities: Arc<Authorities>,
    mut leadership: Leadership,
) {
    let mut feed = store.subscribe();
    let mut in_force = authorities.changes();
    let maps = Arc::new(Maps::default());
    let watch = sagene_base::task::spawn("watch root certificates", maps.clone().follow(client.clone()));
    let mut backoff = Backoff::new(BackoffPolicy::default());
    loop {
        let wanted = Wanted::of(&in_force.borrow_and_update());
        let failed = leadership.is_leader() && !write_missing(&client, &store, &maps, &wanted).await;
        tokio::select! {
            () = backoff.wait(), if failed => continue,
            () = namespaces_changed(&mut feed) => {}
            () = maps.changed.notified() => {}
            () = leadership.changed() => {}
            changed = in_force.changed() => if changed.is_err() {
                watch.abort();
                return;
            },
        }
        if !failed {
            backoff.reset();
        }
    }
}

async fn namespaces_changed(feed: &mut Feed) {
    while !feed.changed().await.kinds().contains(&Kind::Namespace) {}
}

/// What every map is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    roots: String,
    retired_until: Option<String>,
}

impl Wanted {
    fn of(in_force: &InForce) -> Self {
        let until = in_force.retired.iter().map(|root| root.until).max();
        let until = until.and_then(|until| jiff::Timestamp::try_from(until).ok());
        let retired_until = until.and_then(|until| until.round(jiff::Unit::Second).ok());
        Self { roots: in_force.roots.clone(), retired_until: retired_until.map(|until| until.to_string()) }
    }

    fn said_by(map: &ConfigMap) -> Self {
        let data = map.data.as_ref().and_then(|data| data.get(ROOT_KEY));
        let until = map.metadata.annotations.as_ref().and_then(|all| all.get(RETIRED_UNTIL));
        Self { roots: data.cloned().unwrap_or_default(), retired_until: until.cloned() }
    }
}

/// The maps as they are, by namespace.
#[derive(Debug, Default)]
struct Maps {
    /// `None` until the first list is complete.
    known: Mutex<Option<BTreeMap<String, Wanted>>>,
    changed: Notify,
}

impl Maps {
    async fn follow(self: Arc<Self>, client: Client) {
        let config = watcher::Config::default().fields(&format!("metadata.name={ROOT_CONFIG_MAP}"));
        let stream = watcher::watcher(Api::<ConfigMap>::all(client), config);
        futures::pin_mut!(stream);
        let mut backoff = Backoff::new(BackoffPolicy::default());
        let mut list = BTreeMap::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    backoff.reset();
                    self.note(event, &mut list);
                }
                Err(error) => {
                    debug!(error = %error_chain(&error), "root certificates not watched, trying again");
                    backoff.wait().await;
                }
            }
        }
    }

    fn note(&self, event: Event<ConfigMap>, list: &mut BTreeMap<String, Wanted>) {
        let place = |map: &ConfigMap| map.metadata.namespace.clone().unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => return list.clear(),
            Event::InitApply(map) => {
                list.insert(place(&map), Wanted::said_by(&map));
                return;
            }
            Event::InitDone => *known = Some(std::mem::take(list)),
            Event::Apply(map) => {
                known.get_or_insert_default().insert(place(&map), Wanted::said_by(&map));
            }
            Event::Delete(map) => {
                known.get_or_insert_default().remove(&place(&map));
            }
        }
        self.changed.notify_one();
    }

    /// Those of `namespaces` whose map is missing or says something else; none while the maps are not known.
    fn wrong(&self, namespaces: BTreeSet<String>, wanted: &Wanted) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.as_ref() else { return Vec::new() };
        namespaces.into_iter().filter(|namespace| known.get(namespace) != Some(wanted)).collect()
    }
}

/// Writes what is not right; false where something could not be written.
async fn write_missing(client: &Client, store: &Store, maps: &Maps, wanted: &Wanted) -> bool {
    let snapshot = store.snapshot();
    let living = snapshot.namespaces.iter().filter(|each| each.metadata.deletion_timestamp.is_none());
    let names = living.map(|namespace| namespace.metadata.name.clone());
    let namespaces = names.filter(|name| !SYSTEM_NAMESPACES.contains(&name.as_str())).collect();
    let mut complete = true;
    for namespace in maps.wrong(namespaces, wanted) {
        match write(client, &namespace, wanted).await {
            Ok(()) => debug!(%namespace, "root certificate written"),
            Err(error) => {
                warn!(%namespace, error = %error_chain(&error), "root certificate not written");
                complete = false;
            }
        }
    }
    complete
}

async fn write(client: &Client, namespace: &str, wanted: &Wanted) -> Result<(), kube::Error> {
    let annotations = wanted.retired_until.clone().map(|until| [(RETIRED_UNTIL.to_owned(), until)].into());
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(ROOT_CONFIG_MAP.to_owned()),
            labels: Some([("istio.io/config".to_owned(), "true".to_owned())].into()),
            annotations,
            ..ObjectMeta::default()
        },
        data: Some([(ROOT_KEY.to_owned(), wanted.roots.clone())].into()),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(ROOT_CONFIG_MAP, &parameters, &Patch::Apply(&map)).await.map(drop)
}
