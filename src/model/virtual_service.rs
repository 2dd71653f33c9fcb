//! VirtualServices with their names resolved, their delegates merged in, and their order settled.

mod delegate;

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::common::Destination;
use sagene_api::istio::networking::virtual_service::{HttpRoute, TcpRoute, TlsRoute};

use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;
use crate::visibility::is_visible;

/// The gateway name that means all sidecars.
pub const MESH_GATEWAY: &str = "mesh";

/// A VirtualService ready to be read: every host and gateway in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The object it comes from.
    pub source: Arc<Object<VirtualService>>,
    /// Hosts in full.
    pub hosts: Vec<Hostname>,
    /// Gateways as `namespace/name`, or [`MESH_GATEWAY`].
    pub gateways: Vec<String>,
    /// HTTP routes, delegates merged in, destinations in full.
    pub http: Vec<HttpRoute>,
    /// TLS routes, destinations in full.
    pub tls: Vec<TlsRoute>,
    /// TCP routes, destinations in full.
    pub tcp: Vec<TcpRoute>,
}

impl Resolved {
    /// True where it is bound to a gateway (by `namespace/name` or [`MESH_GATEWAY`]).
    pub fn is_bound_to(&self, gateway: &str) -> bool {
        self.gateways.iter().any(|bound| bound == gateway)
    }

    /// True where its `exportTo` reaches a namespace.
    pub fn is_visible_in(&self, namespace: &str, mesh: &Mesh) -> bool {
        let owner = &self.source.metadata.namespace;
        is_visible(&self.source.spec.export_to, &mesh.default_virtual_service_export_to, owner, namespace)
    }
}

/// All root VirtualServices, oldest first, which is the order of precedence.
pub fn resolve_all(snapshot: &Snapshot, mesh: &Mesh) -> Vec<Arc<Resolved>> {
    let mut objects: Vec<_> =
        snapshot.virtual_services.iter().filter(|object| !object.spec.hosts.is_empty()).collect();
    objects.sort_by_key(|object| {
        let metadata = &object.metadata;
        (metadata.creation_timestamp, metadata.name.as_str(), metadata.namespace.as_str())
    });
    objects.into_iter().map(|object| Arc::new(resolve(object, snapshot, mesh))).collect()
}

/// One root VirtualService, resolved.
pub fn resolve(object: &Arc<Object<VirtualService>>, snapshot: &Snapshot, mesh: &Mesh) -> Resolved {
    let namespace = object.metadata.namespace.as_str();
    let spec = &object.spec;
    let mut http = delegate::merged(object, snapshot);
    for (owner, route) in &mut http {
        full_http(route, owner, mesh);
    }
    let mut tls = spec.tls.clone();
    let mut tcp = spec.tcp.clone();
    let destinations = tls
        .iter_mut()
        .flat_map(|route| &mut route.route)
        .chain(tcp.iter_mut().flat_map(|route| &mut route.route));
    for weighted in destinations {
        full(&mut weighted.destination, namespace, mesh);
    }
    for gateways in
        tls.iter_mut().flat_map(|route| &mut route.r#match).map(|condition| &mut condition.gateways)
    {
        full_gateways(gateways, namespace);
    }
    for gateways in
        tcp.iter_mut().flat_map(|route| &mut route.r#match).map(|condition| &mut condition.gateways)
    {
        full_gateways(gateways, namespace);
    }
    let mut gateways =
        if spec.gateways.is_empty() { vec![MESH_GATEWAY.to_owned()] } else { spec.gateways.clone() };
    full_gateways(&mut gateways, namespace);
    Resolved {
        source: object.clone(),
        hosts: spec.hosts.iter().map(|host| Hostname::resolve(host, namespace, &mesh.domain)).collect(),
        gateways,
        http: http.into_iter().map(|(_, route)| route).collect(),
        tls,
        tcp,
    }
}

fn full_gateways(gateways: &mut [String], namespace: &str) {
    for gateway in gateways {
        *gateway = full_gateway(gateway, namespace);
    }
}

/// `name` → `namespace/name`; [`MESH_GATEWAY`] stays. The old form `name.namespace.svc.…` is read too.
pub fn full_gateway(gateway: &str, namespace: &str) -> String {
    if gateway == MESH_GATEWAY || gateway.contains('/') {
        return gateway.to_owned();
    }
    let mut parts = gateway.splitn(3, '.');
    match (parts.next(), parts.next()) {
        (Some(name), Some(other)) => format!("{other}/{name}"),
        _ => format!("{namespace}/{gateway}"),
    }
}

fn full(destination: &mut Destination, namespace: &str, mesh: &Mesh) {
    destination.host = Hostname::resolve(&destination.host, namespace, &mesh.domain).to_string();
}

fn full_http(route: &mut HttpRoute, namespace: &str, mesh: &Mesh) {
    for weighted in &mut route.route {
        full(&mut weighted.destination, namespace, mesh);
    }
    for mirror in route
        .mirror
        .as_deref_mut()
        .into_iter()
        .chain(route.mirrors.iter_mut().map(|mirror| &mut mirror.destination))
    {
        full(mirror, namespace, mesh);
    }
    for condition in &mut route.r#match {
        full_gateways(&mut condition.gateways, namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::istio::networking::virtual_service::HttpRouteDestination;

    #[test]
    fn names_are_full_and_gateways_default_to_the_mesh() {
        let destination = Destination { host: "cart".to_owned(), ..Destination::default() };
        let route = HttpRoute {
            route: vec![HttpRouteDestination { destination, ..Default::default() }],
            ..HttpRoute::default()
        };
        let mut spec = VirtualService {
            hosts: vec!["cart".to_owned(), "shop.example.com".to_owned()],
            http: vec![route],
            ..VirtualService::default()
        };
        let resolved = |spec: &VirtualService| {
            resolve(
                &Arc::new(Object::new("shop", "cart", spec.clone())),
                &Snapshot::default(),
                &Mesh::default(),
            )
        };
        let mesh_only = resolved(&spec);
        assert!(mesh_only.is_bound_to(MESH_GATEWAY));
        assert_eq!(mesh_only.hosts[0].as_str(), "cart.shop.svc.cluster.local");
        assert_eq!(mesh_only.http[0].route[0].destination.host, "cart.shop.svc.cluster.local");
        spec.gateways =
            vec!["edge".to_owned(), "infra/edge".to_owned(), "old.infra.svc.cluster.local".to_owned()];
        assert_eq!(resolved(&spec).gateways, ["shop/edge", "infra/edge", "infra/old"]);
    }
}
