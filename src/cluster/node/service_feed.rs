//! Services and EndpointSlices of the API, turned into the rules and listeners of the network. A change costs what it changes, however many
//! Services there are.

mod book;
mod frontends;
mod host_ports;
mod load_balancers;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::api_client::{
    ApiClient, ApiError, ListOptions, ObjectList, ObjectWatch, ResourceRef, WatchEvent, WatchEventType,
    WatchOptions,
};
use crate::dns::ClusterNames;
use crate::network::{Frontend, LoadBalancer, ServiceProxy};
use book::Book;
use seen::Seen;

const WATCH_RETRY: Duration = Duration::from_millis(200);
/// Changes that come within this are applied together.
const SETTLE: Duration = Duration::from_millis(5);

/// Namespace and name.
type Key = (String, String);
/// Objects by namespace and name.
type Objects = BTreeMap<Key, Arc<Value>>;

/// Runs until it is aborted.
pub(super) async fn run(
    api: ApiClient,
    proxy: Arc<ServiceProxy>,
    load_balancer: LoadBalancer,
    names: watch::Sender<ClusterNames>,
) {
    let mut feed = ServiceFeed {
        api,
        proxy,
        load_balancer,
        names,
        seen: Seen::default(),
        book: Book::default(),
        changed: BTreeSet::new(),
        exposed_changed: true,
        touched: BTreeSet::new(),
    };
    loop {
        if let Err(error) = feed.follow().await {
            tracing::debug!(%error, "watching Services again");
        }
        tokio::time::sleep(WATCH_RETRY).await;
    }
}

struct ServiceFeed {
    api: ApiClient,
    proxy: Arc<ServiceProxy>,
    load_balancer: LoadBalancer,
    names: watch::Sender<ClusterNames>,
    seen: Seen,
    book: Book,
    /// Services that are not worked in yet.
    changed: BTreeSet<Key>,
    exposed_changed: bool,
    /// Frontends that the kernel may not have as they should be.
    touched: BTreeSet<Frontend>,
}

impl ServiceFeed {
    async fn follow(&mut self) -> Result<(), ApiError> {
        let services = self.api.list(&ResourceRef::SERVICES, "", &ListOptions::default()).await?;
        let slices = self.api.list(&ResourceRef::ENDPOINT_SLICES, "", &ListOptions::default()).await?;
        let mut services_watch = self.watch(&ResourceRef::SERVICES, &services).await?;
        let mut slices_watch = self.watch(&ResourceRef::ENDPOINT_SLICES, &slices).await?;
        self.begin(&services, &slices);
        loop {
            self.work_in().await;
            tokio::select! {
                event = services_watch.next() => self.service(event?),
                event = slices_watch.next() => self.slice(event?),
            }
            let settled = tokio::time::sleep(SETTLE);
            tokio::pin!(settled);
            loop {
                tokio::select! {
                    biased;
                    event = services_watch.next() => self.service(event?),
                    event = slices_watch.next() => self.slice(event?),
                    () = &mut settled => break,
                }
            }
        }
    }

    async fn watch(&self, resource: &ResourceRef, list: &ObjectList) -> Result<ObjectWatch, ApiError> {
        let resource_version = Some(list.resource_version);
        self.api.watch(resource, "", &WatchOptions { resource_version, ..WatchOptions::default() }).await
    }

    /// Takes in everything there is; what was there before and is not any more has changed as well.
    fn begin(&mut self, services: &ObjectList, slices: &ObjectList) {
        self.changed.extend(self.seen.keys().cloned());
        self.seen = Seen::default();
        self.exposed_changed = true;
        for service in &services.items {
            self.seen.service(service, false, &mut self.changed);
        }
        for slice in &slices.items {
            self.seen.slice(slice, false, &mut self.changed);
        }
    }

    fn service(&mut self, event: WatchEvent) {
        let gone = event.event_type == WatchEventType::Deleted;
        self.exposed_changed |= self.seen.service(&event.object, gone, &mut self.changed);
    }

    fn slice(&mut self, event: WatchEvent) {
        self.seen.slice(&event.object, event.event_type == WatchEventType::Deleted, &mut self.changed);
    }

    /// Brings names, rules and listeners up to date with what has changed.
    async fn work_in(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.names.send_modify(|names| {
            for key in &changed {
                let (service, slices) = self.seen.find(key);
                names.replace(&key.0, &key.1, service, &slices);
            }
        });
        let node = self.load_balancer.node();
        for key in &changed {
            let (service, slices) = self.seen.find(key);
            let frontends = service.map(|service| frontends::of(service, &slices, node)).unwrap_or_default();
            self.touched.extend(self.book.replace(key, frontends));
        }
        let wanted = self.touched.iter().map(|one| (*one, self.book.backends(one).cloned()));
        match self.proxy.apply(wanted.collect()).await {
            Ok(()) => self.touched.clear(),
            Err(error) => {
                tracing::error!(
                    error = sagene_base::task::error_chain(&error),
                    "Services are not up to date"
                );
            }
        }
        if std::mem::take(&mut self.exposed_changed) {
            load_balancers::update(&self.api, &self.seen.exposed, &mut self.load_balancer).await;
        }
    }
}
