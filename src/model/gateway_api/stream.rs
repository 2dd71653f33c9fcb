//! TLSRoutes and TCPRoutes.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::gateway_api::http_route::RouteBackend;
use sagene_api::gateway_api::reference::ParentReference;
use sagene_api::gateway_api::routes::ConnectionRule;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::virtual_service::{
    L4MatchAttributes, RouteDestination, TcpRoute as DeclaredTcp, TlsMatchAttributes, TlsRoute as DeclaredTls,
};

use super::attach::{Attaching, Refused};
use super::backend::{BackendProblem, destination};
use super::listener::{ListenerKey, OpenListener};
use super::mesh_parent::{self, MeshParent};
use super::status::{ParentStatus, of_route};
use super::{Converted, GATEWAY_SEMANTICS, PARENTS, ROUTE_SEMANTICS, derived};
use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::{Collected, Kind, Snapshot};
use crate::virtual_service::MESH_GATEWAY;

pub(super) fn convert(
    snapshot: &Snapshot,
    mesh: &Mesh,
    listeners: &[OpenListener<'_>],
    made: &mut Converted,
    attached: &mut BTreeMap<ListenerKey, usize>,
) {
    let mut conversion = Conversion { snapshot, mesh, listeners, attached, made };
    for route in snapshot.tls_routes.iter() {
        conversion.route(route, &route.spec.parent_refs, &route.spec.hostnames, &route.spec.rules);
    }
    for route in snapshot.tcp_routes.iter() {
        conversion.route(route, &route.spec.parent_refs, &[], &route.spec.rules);
    }
}

struct Conversion<'a, 'b> {
    snapshot: &'a Snapshot,
    mesh: &'a Mesh,
    listeners: &'a [OpenListener<'a>],
    attached: &'b mut BTreeMap<ListenerKey, usize>,
    made: &'b mut Converted,
}

impl Conversion<'_, '_> {
    fn route<S: Collected>(
        &mut self,
        object: &Arc<Object<S>>,
        parents: &[ParentReference],
        hostnames: &[String],
        rules: &[ConnectionRule],
    ) {
        let mut problem: Option<BackendProblem> = None;
        let backends = rules.first().map(|rule| rule.backend_refs.as_slice()).unwrap_or_default();
        let destinations = self.destinations((S::KIND, &object.metadata.namespace), backends, &mut problem);
        let mut statuses = Vec::new();
        for parent in parents {
            let outcome = if Attaching::is_gateway(parent) {
                self.attach_to_gateway(object, parent, hostnames, &destinations)
            } else {
                self.attach_to_mesh(object, parent, hostnames, &destinations)
            };
            if let Some(accepted) = outcome {
                statuses.push(ParentStatus { parent: parent.clone(), accepted, resolved: problem.clone() });
            }
        }
        self.made.statuses.extend(of_route(object, &statuses));
    }

    fn attach_to_gateway<S: Collected>(
        &mut self,
        object: &Arc<Object<S>>,
        parent: &ParentReference,
        hostnames: &[String],
        destinations: &[RouteDestination],
    ) -> Option<Result<(), Refused>> {
        let found = Attaching::of(object, hostnames).to(self.snapshot, parent, self.listeners)?;
        Some(found.map(|found| {
            for (open, hosts) in found {
                *self.attached.entry(open.key()).or_default() += 1;
                if !destinations.is_empty() {
                    self.made.virtual_services.push(of_listener(object, open, &hosts, destinations.to_vec()));
                }
            }
        }))
    }

    fn attach_to_mesh<S: Collected>(
        &mut self,
        object: &Arc<Object<S>>,
        parent: &ParentReference,
        hostnames: &[String],
        destinations: &[RouteDestination],
    ) -> Option<Result<(), Refused>> {
        let own = &object.metadata.namespace;
        Some(mesh_parent::of(self.snapshot, self.mesh, own, parent)?.map(|found| {
            if !destinations.is_empty() {
                let one = of_mesh(object, parent, found, hostnames, destinations.to_vec());
                self.made.virtual_services.push(one);
            }
        }))
    }

    fn destinations(
        &self,
        place: (&str, &str),
        backends: &[RouteBackend],
        problem: &mut Option<BackendProblem>,
    ) -> Vec<RouteDestination> {
        let mut made = Vec::new();
        for backend in backends {
            let weight = backend.weight.unwrap_or(1);
            match destination(self.snapshot, self.mesh, place, backend) {
                Ok(destination) if weight > 0 => made.push(RouteDestination { destination, weight }),
                Ok(_) => {}
                Err(wrong) => {
                    problem.get_or_insert(wrong);
                }
            }
        }
        if let [only] = made.as_mut_slice() {
            only.weight = 0;
        }
        made
    }
}

/// What a route means at a listener: by server name where TLS passes through, else every connection.
fn of_listener<S: Collected>(
    object: &Object<S>,
    open: &OpenListener<'_>,
    hosts: &[Hostname],
    route: Vec<RouteDestination>,
) -> Arc<Object<VirtualService>> {
    let passthrough = open.listener.tls.as_ref().is_some_and(|tls| tls.mode == "Passthrough");
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut spec = VirtualService {
        hosts: hosts.clone(),
        gateways: vec![open.internal_reference()],
        ..VirtualService::default()
    };
    if passthrough {
        let condition = TlsMatchAttributes { sni_hosts: hosts, ..TlsMatchAttributes::default() };
        spec.tls = vec![DeclaredTls { r#match: vec![condition], route }];
    } else {
        spec.tcp = vec![DeclaredTcp { r#match: Vec::new(), route }];
    }
    of_route_object(object, &open.gateway.metadata.namespace, &open.internal_reference(), spec)
}

/// What a route means for calls of its parent: a TLSRoute takes the server names it lists, or those of the parent.
fn of_mesh<S: Collected>(
    object: &Object<S>,
    parent: &ParentReference,
    MeshParent { hosts, export_to }: MeshParent,
    hostnames: &[String],
    route: Vec<RouteDestination>,
) -> Arc<Object<VirtualService>> {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let port = parent.port.map(u32::from).unwrap_or_default();
    let mut spec = VirtualService {
        hosts: hosts.clone(),
        gateways: vec![MESH_GATEWAY.to_owned()],
        export_to,
        ..VirtualService::default()
    };
    if S::COLLECTED == Kind::TlsRoute {
        let sni_hosts = if hostnames.is_empty() { hosts } else { hostnames.to_vec() };
        spec.hosts.clone_from(&sni_hosts);
        let condition = TlsMatchAttributes { sni_hosts, port, ..TlsMatchAttributes::default() };
        spec.tls = vec![DeclaredTls { r#match: vec![condition], route }];
    } else {
        let condition = L4MatchAttributes { port, ..L4MatchAttributes::default() };
        spec.tcp = vec![DeclaredTcp { r#match: vec![condition], route }];
    }
    let reference = format!("{MESH_GATEWAY}~{}~{}", parent.kind, parent.name);
    of_route_object(object, &object.metadata.namespace, &reference, spec)
}

fn of_route_object<S: Collected>(
    object: &Object<S>,
    namespace: &str,
    reference: &str,
    spec: VirtualService,
) -> Arc<Object<VirtualService>> {
    let metadata = &object.metadata;
    let parent = format!("{}/{}.{}", S::KIND, metadata.name, metadata.namespace);
    let annotations = [(ROUTE_SEMANTICS, GATEWAY_SEMANTICS.to_owned()), (PARENTS, parent)];
    let name = format!(
        "{}~{}~{}~{}",
        reference.replace('/', "~"),
        metadata.namespace,
        metadata.name,
        S::KIND.to_lowercase()
    );
    derived(namespace, &name, metadata.creation_timestamp, annotations, spec)
}
