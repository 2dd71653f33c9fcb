//! Objects of the Gateway API, and Kubernetes Ingresses, as the Gateways and VirtualServices they mean.
//!
//! Every listener becomes a Gateway, every host of the routes attached to it a VirtualService; both carry annotations that nobody else
//! may write. What is derived is never in the cluster: it is added to the snapshot that generators read. Source of names and
//! precedence: Istio's conversion and the Gateway API's specification.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::{Gateway, VirtualService};
use serde_json::Value;

use crate::mesh::Mesh;
use crate::snapshot::{Kind, Snapshot};

mod attach;
mod backend;
mod cors;
mod filter;
mod http;
mod ingress;
mod listener;
mod mesh_parent;
mod status;
mod stream;
mod target;

pub use listener::{GATEWAY_NAME_LABEL, is_managed, is_ours, service_name};
pub use target::{Target, is_targeted, target_of};

/// Says that prefixes match whole segments of a path.
pub const ROUTE_SEMANTICS: &str = "internal.istio.io/route-semantics";
/// Names the Service (`name.namespace`) whose pods serve a derived Gateway.
pub const GATEWAY_SERVICE: &str = "internal.istio.io/gateway-service";
/// Names the objects something was derived from.
pub const PARENTS: &str = "internal.istio.io/parents";
/// The value of [`ROUTE_SEMANTICS`] that the Gateway API asks for.
pub const GATEWAY_SEMANTICS: &str = "gateway";

/// What a status should say; times of transitions are the writer's to fill in.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusReport {
    /// Kind of the object.
    pub kind: Kind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The status.
    pub status: Value,
}

/// Everything derived from a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Converted {
    /// Gateways, one per listener.
    pub gateways: Vec<Arc<Object<Gateway>>>,
    /// VirtualServices, one per listener and host.
    pub virtual_services: Vec<Arc<Object<VirtualService>>>,
    /// What the statuses of the sources should say.
    pub statuses: Vec<StatusReport>,
}

/// True where a ReferenceGrant lets Gateways of a namespace use a Secret of another.
pub fn is_secret_granted(snapshot: &Snapshot, gateways: &str, namespace: &str, name: &str) -> bool {
    backend::is_granted(snapshot, ("Gateway", gateways), ("Secret", namespace, name))
}

/// Kinds that the conversion reads.
pub const SOURCES: [Kind; 12] = [
    Kind::GatewayClass,
    Kind::KubernetesGateway,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::ReferenceGrant,
    Kind::Ingress,
    Kind::IngressClass,
    Kind::Service,
    Kind::ServiceEntry,
    Kind::Namespace,
];

/// True where a snapshot has anything to convert.
pub fn has_sources(snapshot: &Snapshot) -> bool {
    !snapshot.kubernetes_gateways.is_empty()
        || !snapshot.http_routes.is_empty()
        || !snapshot.grpc_routes.is_empty()
        || !snapshot.tls_routes.is_empty()
        || !snapshot.tcp_routes.is_empty()
        || !snapshot.gateway_classes.is_empty()
        || !snapshot.ingresses.is_empty()
}

/// Converts everything.
pub fn convert(snapshot: &Snapshot, mesh: &Mesh) -> Converted {
    let mut made = Converted::default();
    if !has_sources(snapshot) {
        return made;
    }
    let listeners = listener::of_snapshot(snapshot, mesh);
    let mut attached: BTreeMap<listener::ListenerKey, usize> = BTreeMap::new();
    made.gateways.extend(listeners.iter().filter_map(listener::OpenListener::gateway));
    http::convert(snapshot, mesh, &listeners, &mut made, &mut attached);
    stream::convert(snapshot, mesh, &listeners, &mut made, &mut attached);
    status::of_classes(snapshot, &mut made);
    status::of_gateways(snapshot, mesh, &listeners, &attached, &mut made);
    ingress::convert(snapshot, mesh, &mut made);
    made
}

/// An object derived from others.
fn derived<S: sagene_api::Resource>(
    namespace: &str,
    name: &str,
    created: Option<jiff::Timestamp>,
    annotations: impl IntoIterator<Item = (&'static str, String)>,
    spec: S,
) -> Arc<Object<S>> {
    let mut object = Object::new(namespace, name, spec);
    object.metadata.creation_timestamp = created;
    object.metadata.annotations =
        annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Arc::new(object)
}

#[cfg(test)]
mod tests;
