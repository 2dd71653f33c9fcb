//! TLSRoutes and TCPRoutes.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::gateway_api::http_route::RouteBackend;
use sagene_api::gateway_api::reference::ParentReference;
use sagene_api::gateway_api::routes::ConnectionRule;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::virtual_service::{
    RouteDestination, TcpRoute as DeclaredTcp, TlsMatchAttributes, TlsRoute as DeclaredTls,
};

use super::attach::Attaching;
use super::backend::{BackendProblem, destination};
use super::listener::{ListenerKey, OpenListener};
use super::status::{ParentStatus, of_route};
use super::{Converted, GATEWAY_SEMANTICS, PARENTS, ROUTE_SEMANTICS, derived};
use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::{Collected, Snapshot};

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
        for parent in parents.iter().filter(|parent| Attaching::is_gateway(parent)) {
            let attaching = Attaching::of(object, hostnames);
            let accepted = match attaching.to(self.snapshot, parent, self.listeners) {
                None => continue,
                Some(Err(refused)) => Err(refused),
                Some(Ok(found)) => {
                    for (open, hosts) in found {
                        *self.attached.entry(open.key()).or_default() += 1;
                        if !destinations.is_empty() {
                            let one = virtual_service(object, open, &hosts, destinations.clone());
                            self.made.virtual_services.push(one);
                        }
                    }
                    Ok(())
                }
            };
            statuses.push(ParentStatus { parent: parent.clone(), accepted, resolved: problem.clone() });
        }
        self.made.statuses.extend(of_route(object, &statuses));
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

fn virtual_service<S: Collected>(
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
    let metadata = &object.metadata;
    let parent = format!("{}/{}.{}", S::KIND, metadata.name, metadata.namespace);
    let annotations = [(ROUTE_SEMANTICS, GATEWAY_SEMANTICS.to_owned()), (PARENTS, parent)];
    let name = format!(
        "{}~{}~{}~{}",
        open.internal_reference().replace('/', "~"),
        metadata.namespace,
        metadata.name,
        S::KIND.to_lowercase()
    );
    let namespace = &open.gateway.metadata.namespace;
    derived(namespace, &name, metadata.creation_timestamp, annotations, spec)
}
