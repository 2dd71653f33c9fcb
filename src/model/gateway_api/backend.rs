//! Destinations of routes, and what ReferenceGrants allow.

use sagene_api::gateway_api::http_route::RouteBackend;
use sagene_api::istio::networking::common::{Destination, PortSelector};

use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;

/// The reason of a route that asks for what is not served: it is not accepted.
pub(super) const UNSUPPORTED: &str = "UnsupportedValue";

/// Why a destination cannot be used: reason of the condition `ResolvedRefs`, message.
pub(super) type BackendProblem = (&'static str, String);

const GROUP: &str = "gateway.networking.k8s.io";

/// True where an object of a kind of the Gateway API may refer to a core object: in its own namespace, or by a ReferenceGrant.
pub(super) fn is_granted(snapshot: &Snapshot, from: (&str, &str), to: (&str, &str, &str)) -> bool {
    if from.1 == to.1 {
        return true;
    }
    snapshot.reference_grants.in_namespace(to.1).any(|grant| {
        let allowed = |one: &sagene_api::gateway_api::reference::ReferenceGrantFrom| {
            one.group == GROUP && one.kind == from.0 && one.namespace == from.1
        };
        let meant = |one: &sagene_api::gateway_api::reference::ReferenceGrantTo| {
            one.group.is_empty() && one.kind == to.0 && (one.name.is_empty() || one.name == to.2)
        };
        grant.spec.from.iter().any(allowed) && grant.spec.to.iter().any(meant)
    })
}

/// Where a route of `kind` in `namespace` sends what it sends to `backend`.
pub(super) fn destination(
    snapshot: &Snapshot,
    mesh: &Mesh,
    (kind, namespace): (&str, &str),
    backend: &RouteBackend,
) -> Result<Destination, BackendProblem> {
    let place = if backend.namespace.is_empty() { namespace } else { backend.namespace.as_str() };
    let port = || backend.port.map(|port| PortSelector { number: u32::from(port) });
    match (backend.group.as_str(), backend.kind.as_str()) {
        ("", "" | "Service") => {}
        ("networking.istio.io", "Hostname") => {
            return Ok(Destination { host: backend.name.clone(), port: port(), ..Destination::default() });
        }
        (group, kind) => {
            return Err(("InvalidKind", format!("{group}/{kind} is no destination: use a Service")));
        }
    }
    if !is_granted(snapshot, (kind, namespace), ("Service", place, &backend.name)) {
        let message = format!("Service {place}/{} is not granted by a ReferenceGrant", backend.name);
        return Err(("RefNotPermitted", message));
    }
    if backend.port.is_none() {
        return Err((UNSUPPORTED, format!("backend {} names no port", backend.name)));
    }
    if snapshot.services.get(place, &backend.name).is_none() {
        return Err(("BackendNotFound", format!("Service {place}/{} does not exist", backend.name)));
    }
    let host = Hostname::of_service(&backend.name, place, &mesh.domain).to_string();
    Ok(Destination { host, port: port(), ..Destination::default() })
}
