//! Addresses for ServiceEntries that name none, written into their `status.addresses`.
//!
//! Which entry gets which address is planned by the model from all entries at once; here it is written.

use std::collections::BTreeSet;

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use sagene_api::istio::networking::service_entry::ServiceEntryAddress;
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use sagene_model::{
    Kind,
    address_allocation::{Allocator, EntryName, Plan},
};
use sagene_store::{
    Feed, Store,
    kubernetes::{Synced, resource_of},
};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::leader::Leadership;
use crate::options::AllocationRanges;

/// Keeps the addresses right for as long as this replica leads.
pub(crate) async fn allocate(
    client: Client,
    store: Store,
    ranges: AllocationRanges,
    mut synced: Synced,
    mut leadership: Leadership,
) {
    let fresh = || Allocator::new(ranges.ipv4, ranges.ipv6);
    let mut allocator = fresh();
    let mut told = BTreeSet::new();
    let mut backoff = Backoff::new(BackoffPolicy::default());
    let mut feed = store.subscribe();
    // An address that is not known to be taken would be given out again.
    synced.wait().await;
    loop {
        if leadership.is_leader() {
            let entries: Vec<_> = store.snapshot().service_entries.iter().cloned().collect();
            let plan = allocator.plan(&entries);
            tell_left_out(&plan, &mut told);
            if !write(&client, &plan).await {
                backoff.wait().await;
                continue;
            }
            backoff.reset();
        } else {
            // Another replica gives out addresses now; what it gave stands in the statuses.
            allocator = fresh();
        }
        next(&mut feed, &mut leadership).await;
    }
}

/// Waits for what may call for another plan.
async fn next(feed: &mut Feed, leadership: &mut Leadership) {
    loop {
        tokio::select! {
            changes = feed.changed() => {
                if changes.kinds().contains(&Kind::ServiceEntry) {
                    return;
                }
            }
            () = leadership.changed() => return,
        }
    }
}

/// Says once of each entry that it got no address.
fn tell_left_out(plan: &Plan, told: &mut BTreeSet<EntryName>) {
    told.retain(|name| plan.left_out.contains(name));
    for name in &plan.left_out {
        if told.insert(name.clone()) {
            warn!(namespace = name.0, name = name.1, "no address left for a ServiceEntry: widen the ranges");
        }
    }
}

/// False where something could not be written.
async fn write(client: &Client, plan: &Plan) -> bool {
    let mut all = true;
    for (name, addresses) in &plan.changes {
        match patch(client, name, addresses).await {
            Ok(()) => {
                let values: Vec<&str> = addresses.iter().map(|one| one.value.as_str()).collect();
                info!(namespace = name.0, name = name.1, ?values, "addresses of a ServiceEntry");
            }
            Err(error) => {
                warn!(namespace = name.0, name = name.1, error = %error_chain(&error), "addresses not written");
                all = false;
            }
        }
    }
    all
}

async fn patch(
    client: &Client,
    (namespace, name): &EntryName,
    addresses: &[ServiceEntryAddress],
) -> Result<(), kube::Error> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource_of(Kind::ServiceEntry));
    let addresses = match addresses {
        [] => Value::Null,
        some => some.iter().map(|one| json!({"host": one.host, "value": one.value})).collect(),
    };
    let patch = Patch::Merge(json!({"status": {"addresses": addresses}}));
    match api.patch_status(name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        // Gone by now: it needs no address.
        Err(kube::Error::Api(refused)) if refused.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
