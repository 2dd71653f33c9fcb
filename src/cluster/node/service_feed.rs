//! Services and EndpointSlices of the API, turned into the rules and listeners of the network.

mod frontends;
mod host_ports;
mod load_balancers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::api_client::resource::{name_of, namespace_of};
use crate::api_client::{
    ApiClient, ApiError, ObjectWatch, ResourceRef, WatchEvent, WatchEventType, WatchOptions,
};
use crate::dns::ClusterNames;
use crate::network::{LoadBalancer, ServiceProxy};

const WATCH_RETRY: Duration = Duration::from_millis(200);
/// Changes that come within this are applied together.
const SETTLE: Duration = Duration::from_millis(5);

/// Objects by namespace and name.
type Objects = BTreeMap<(String, String), Arc<Value>>;

/// The objects as last seen.
#[derive(Default)]
struct Seen {
    services: Objects,
    slices: Objects,
}

/// Runs until it is aborted.
pub(super) async fn run(
    api: ApiClient,
    proxy: Arc<ServiceProxy>,
    mut load_balancer: LoadBalancer,
    names: watch::Sender<Arc<ClusterNames>>,
) {
    loop {
        if let Err(error) = follow(&api, &proxy, &mut load_balancer, &names).await {
            tracing::debug!(%error, "watching Services again");
        }
        tokio::time::sleep(WATCH_RETRY).await;
    }
}

async fn follow(
    api: &ApiClient,
    proxy: &ServiceProxy,
    load_balancer: &mut LoadBalancer,
    names: &watch::Sender<Arc<ClusterNames>>,
) -> Result<(), ApiError> {
    let options = WatchOptions::default();
    let mut services: ObjectWatch = api.watch(&ResourceRef::SERVICES, "", &options).await?;
    let mut slices: ObjectWatch = api.watch(&ResourceRef::ENDPOINT_SLICES, "", &options).await?;
    let mut seen = Seen::default();
    loop {
        let mut services_changed = false;
        tokio::select! {
            event = services.next() => { record(&mut seen.services, event?); services_changed = true; }
            event = slices.next() => record(&mut seen.slices, event?),
        }
        let settled = tokio::time::sleep(SETTLE);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                biased;
                event = services.next() => { record(&mut seen.services, event?); services_changed = true; }
                event = slices.next() => record(&mut seen.slices, event?),
                () = &mut settled => break,
            }
        }
        let services_seen = || seen.services.values().map(AsRef::as_ref);
        let slices_seen = || seen.slices.values().map(AsRef::as_ref);
        names.send_replace(Arc::new(ClusterNames::of(services_seen(), slices_seen())));
        let wanted = frontends::of(services_seen(), slices_seen());
        if let Err(error) = proxy.apply(wanted).await {
            tracing::error!(error = sagene_base::task::error_chain(&error), "Services are not up to date");
        }
        if services_changed {
            load_balancers::update(api, &seen.services, load_balancer).await;
        }
    }
}

fn record(objects: &mut Objects, event: WatchEvent) {
    let key = (namespace_of(&event.object).to_owned(), name_of(&event.object).to_owned());
    match event.event_type {
        WatchEventType::Deleted => drop(objects.remove(&key)),
        WatchEventType::Added | WatchEventType::Modified => drop(objects.insert(key, event.object)),
    }
}
