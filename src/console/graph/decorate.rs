//! What configuration adds to the picture: virtual services, circuit breakers, gateways, missing sidecars.
//!
//! The mesh is seen through [`MeshView`], so that the page does not care whether its knowledge comes from a cluster or a file.

use serde::Serialize;

use super::elements::{Graph, Hostnames, Node};

/// A namespace as the selector lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceInfo {
    /// Name.
    pub name: String,
    /// Cluster id.
    pub cluster: String,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Pods that run.
    pub pods: usize,
    /// Those of them that have a proxy.
    pub meshed: usize,
}

/// What the virtual services of a host do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VirtualServiceFacts {
    /// Hosts they name.
    pub hostnames: Vec<String>,
    /// Weighted routes.
    pub traffic_shifting: bool,
    /// Delay or abort.
    pub fault_injection: bool,
    /// Timeouts.
    pub request_timeout: bool,
    /// Mirrors.
    pub mirroring: bool,
    /// Matches, or routes to a subset.
    pub request_routing: bool,
}

/// A change under way.
pub type Change<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What the console wants to know of the mesh's configuration.
pub trait MeshView: Send + Sync {
    /// All namespaces, by name.
    fn namespaces(&self) -> Vec<NamespaceInfo>;
    /// Facts of the virtual services that route requests for a service; `None` without one.
    fn virtual_service(&self, namespace: &str, service: &str) -> Option<VirtualServiceFacts>;
    /// True where a DestinationRule limits connections to, or ejects hosts of, the service (or its subset of that version).
    fn has_circuit_breaker(&self, namespace: &str, service: &str, version: Option<&str>) -> bool;
    /// True where a running pod of the workload's app and version has no sidecar.
    fn missing_sidecar(&self, namespace: &str, app: &str, version: &str) -> bool;
    /// True where the app's pods are gateways.
    fn is_gateway(&self, namespace: &str, app: &str) -> bool;
    /// True where the name belongs to a ServiceEntry.
    fn is_service_entry(&self, namespace: &str, service: &str) -> bool;
    /// Labels a namespace so that its new pods get a sidecar, or none; says in words what went wrong.
    fn set_injection<'a>(&'a self, namespace: &'a str, enabled: bool) -> Change<'a> {
        let _ = enabled;
        Box::pin(async move { Err(format!("namespace {namespace} cannot be changed from here")) })
    }
}

/// Adds to every node what `mesh` knows of it.
pub fn decorate(graph: &mut Graph, mesh: &dyn MeshView) {
    for node in &mut graph.elements.nodes {
        let node = &mut node.data;
        match node.node_type {
            "service" => decorate_service(node, mesh),
            "app" | "workload" => decorate_workload(node, mesh),
            _ => {}
        }
    }
}

fn decorate_service(node: &mut Node, mesh: &dyn MeshView) {
    node.is_service_entry = mesh.is_service_entry(&node.namespace, &node.service);
    node.has_circuit_breaker = mesh.has_circuit_breaker(&node.namespace, &node.service, None);
    if let Some(facts) = mesh.virtual_service(&node.namespace, &node.service) {
        node.has_virtual_service = Some(Hostnames { hostnames: facts.hostnames });
        node.has_traffic_shifting = facts.traffic_shifting;
        node.has_fault_injection = facts.fault_injection;
        node.has_request_timeout = facts.request_timeout;
        node.has_mirroring = facts.mirroring;
        node.has_request_routing = facts.request_routing;
    }
}

fn decorate_workload(node: &mut Node, mesh: &dyn MeshView) {
    node.is_gateway = mesh.is_gateway(&node.namespace, &node.app);
    node.has_missing_sidecar =
        !node.is_gateway && mesh.missing_sidecar(&node.namespace, &node.app, &node.version);
    let version = (!node.version.is_empty()).then_some(node.version.as_str());
    node.has_circuit_breaker = node.dest_services.iter().any(|service| {
        version.is_some() && mesh.has_circuit_breaker(&service.namespace, &service.name, version)
    });
}
