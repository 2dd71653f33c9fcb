//! Routes of the mesh: a parent that is a Service or a ServiceEntry says whose calls a route is for.

use sagene_api::gateway_api::reference::ParentReference;

use super::attach::Refused;
use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;

/// What a route of the mesh is bound to.
pub(super) struct MeshParent {
    /// The hosts whose calls are routed.
    pub(super) hosts: Vec<Hostname>,
    /// For whom: everybody where the parent is of the route's own namespace, else clients of that namespace alone.
    pub(super) export_to: Vec<String>,
}

/// The hosts of a parent; `None` where it is neither Service nor ServiceEntry, and so not ours.
pub(super) fn of(
    snapshot: &Snapshot,
    mesh: &Mesh,
    own: &str,
    parent: &ParentReference,
) -> Option<Result<MeshParent, Refused>> {
    let place = if parent.namespace.is_empty() { own } else { &parent.namespace };
    let hosts = match (parent.group.as_str(), parent.kind.as_str()) {
        (_, "Service") => snapshot
            .services
            .get(place, &parent.name)
            .map(|_| vec![Hostname::of_service(&parent.name, place, &mesh.domain)]),
        ("networking.istio.io", "ServiceEntry") => snapshot
            .service_entries
            .get(place, &parent.name)
            .map(|entry| entry.spec.hosts.iter().map(|host| Hostname::new(host)).collect()),
        _ => return None,
    };
    let Some(hosts) = hosts else {
        let message = format!("{} {place}/{} does not exist", parent.kind, parent.name);
        return Some(Err(("NoMatchingParent", message)));
    };
    let export_to = if place == own { Vec::new() } else { vec![".".to_owned()] };
    Some(Ok(MeshParent { hosts, export_to }))
}
