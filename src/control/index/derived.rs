//! Gateways and VirtualServices that are derived from Ingresses and objects of the Gateway API, kept up with their sources.

use std::collections::HashMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_model::gateway_api::{self, Converted, SOURCES};
use sagene_model::snapshot::{Change, ChangeSet, Collected, Kind, Scope};
use sagene_model::{Mesh, Snapshot};

/// Puts what was derived into a snapshot that comes from the cluster.
pub(super) fn insert(snapshot: &mut Snapshot, converted: &Converted) {
    for gateway in &converted.gateways {
        snapshot.insert(gateway.clone());
    }
    for one in &converted.virtual_services {
        snapshot.insert(one.clone());
    }
}

/// What is derived after `changes`, put into the snapshot; and the changes with those of derived objects.
pub(super) fn next(
    before: &Arc<Converted>,
    snapshot: &mut Snapshot,
    mesh: &Mesh,
    changes: &ChangeSet,
) -> (Arc<Converted>, ChangeSet) {
    let mut changes = changes.clone();
    let reads = |kind: &Kind| SOURCES.contains(kind) || matches!(kind, Kind::Secret | Kind::EndpointSlice);
    let had_any = **before != Converted::default();
    if !changes.kinds().iter().any(reads) || !(had_any || gateway_api::has_sources(snapshot)) {
        insert(snapshot, before);
        return (before.clone(), changes);
    }
    let mut after = gateway_api::convert(snapshot, mesh);
    compare(&before.gateways, &mut after.gateways, &mut changes);
    compare(&before.virtual_services, &mut after.virtual_services, &mut changes);
    let after = Arc::new(after);
    insert(snapshot, &after);
    (after, changes)
}

/// Notes what differs; what does not stays the object it was, because address means identity to caches.
fn compare<S: Collected>(before: &[Arc<Object<S>>], after: &mut [Arc<Object<S>>], changes: &mut ChangeSet) {
    let name = |one: &Arc<Object<S>>| (one.metadata.namespace.clone(), one.metadata.name.clone());
    let mut known: HashMap<_, _> = before.iter().map(|one| (name(one), one)).collect();
    let mut note = |(namespace, name): (String, String)| {
        changes.add(Change { kind: S::COLLECTED, namespace, name }, Scope::Content);
    };
    for one in after {
        match known.remove(&name(one)) {
            Some(same) if **same == **one => *one = same.clone(),
            _ => note(name(one)),
        }
    }
    known.into_keys().for_each(note);
}
