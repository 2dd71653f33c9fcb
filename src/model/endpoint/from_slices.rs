//! Endpoints that Kubernetes lists in EndpointSlices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::kubernetes::endpoint_slice::{Endpoint as Listed, EndpointPort};
use sagene_api::kubernetes::{EndpointSlice, Node, Pod};

use super::{Endpoint, Health, Workload};
use crate::labels::Labels;
use crate::locality;
use crate::mesh::Mesh;
use crate::service::Service;
use crate::snapshot::{Collection, Snapshot};
use crate::workload;

/// The endpoints that `slices` list for `service`. An address that several slices list counts once per port.
pub fn of_slices<'a>(
    service: &Service,
    slices: impl Iterator<Item = &'a Arc<Object<EndpointSlice>>>,
    snapshot: &Snapshot,
    mesh: &Mesh,
) -> Vec<Endpoint> {
    let mut endpoints: BTreeMap<(String, u16), Endpoint> = BTreeMap::new();
    let slices: Vec<&Arc<Object<EndpointSlice>>> =
        slices.filter(|slice| slice.spec.address_type != "FQDN").collect();
    // A dual-stack Service has the same pods in slices of both families: one endpoint each, whose first address is of its first family; IPv4
    // where it has no addresses.
    let headless_first = || slices.iter().any(|slice| slice.spec.address_type == V4).then_some(V4);
    let first = service.addresses.first().map(family).or_else(headless_first);
    let (own, other): (Vec<&Arc<_>>, Vec<&Arc<_>>) =
        slices.iter().copied().partition(|slice| first.is_none_or(|first| is_of(slice, first)));
    let mut by_pod: BTreeMap<(String, u16), Vec<String>> = BTreeMap::new();
    let is_dual =
        service.is_headless() || service.addresses.iter().any(|address| Some(family(address)) != first);
    for slice in other.iter().filter(|_| is_dual) {
        for listed in &slice.spec.endpoints {
            let Some(pod) = pod_name(listed) else { continue };
            for (service_port, _) in ports(service, &slice.spec.ports) {
                by_pod.entry((pod.to_owned(), service_port)).or_default().extend(listed.addresses.clone());
            }
        }
    }
    let mut known: BTreeSet<(String, u16)> = BTreeSet::new();
    // Without addresses of its own a Service names no family that the others could be left out for.
    for slice in own.into_iter().chain(other.into_iter().filter(|_| service.is_headless())) {
        let second = !first.is_none_or(|first| is_of(slice, first));
        for listed in &slice.spec.endpoints {
            let Some(health) = health(service, listed) else { continue };
            let pod = pod_of(listed, &slice.metadata.namespace, &snapshot.pods);
            let behind = Behind::of(pod, listed, &snapshot.nodes, mesh);
            for (service_port, port) in ports(service, &slice.spec.ports) {
                let key = pod_name(listed).map(|pod| (pod.to_owned(), service_port));
                if second && key.as_ref().is_some_and(|key| known.contains(key)) {
                    continue;
                }
                let also_at = key.as_ref().filter(|_| !second).and_then(|key| by_pod.get(key));
                for address in &listed.addresses {
                    let mut endpoint = behind.endpoint(address, port, service_port, health, &listed.hostname);
                    endpoint.also_at = also_at.cloned().unwrap_or_default();
                    endpoints.entry((address.clone(), service_port)).or_insert(endpoint);
                }
                known.extend(key.filter(|_| !second));
            }
        }
    }
    endpoints.into_values().collect()
}

const V4: &str = "IPv4";

/// The type of addresses that slices of a family have.
fn family(address: &IpAddr) -> &'static str {
    if address.is_ipv4() { V4 } else { "IPv6" }
}

/// Whether a slice lists addresses of a family; one that does not say does.
fn is_of(slice: &Object<EndpointSlice>, family: &str) -> bool {
    slice.spec.address_type.is_empty() || slice.spec.address_type == family
}

fn pod_name(listed: &Listed) -> Option<&str> {
    listed.target_ref.as_ref().filter(|target| target.kind == "Pod").map(|target| target.name.as_str())
}

/// `None` where the endpoint is not to be used at all.
fn health(service: &Service, listed: &Listed) -> Option<Health> {
    let conditions = &listed.conditions;
    // Absent means unknown, which the EndpointSlice API says to read as ready.
    if service.publish_not_ready || conditions.ready.unwrap_or(true) {
        return Some(Health::Healthy);
    }
    if conditions.terminating.unwrap_or(false) {
        return conditions.serving.unwrap_or(false).then_some(Health::Draining);
    }
    Some(Health::Unhealthy)
}

fn pod_of<'a>(listed: &Listed, namespace: &str, pods: &'a Collection<Pod>) -> Option<&'a Arc<Object<Pod>>> {
    let target = listed.target_ref.as_ref().filter(|target| target.kind == "Pod")?;
    let namespace = if target.namespace.is_empty() { namespace } else { &target.namespace };
    pods.get(namespace, &target.name)
}

/// Pairs of service port and workload port: a slice's port has the name of the service's.
fn ports<'a>(service: &'a Service, listed: &'a [EndpointPort]) -> impl Iterator<Item = (u16, u16)> + 'a {
    listed.iter().filter_map(|port| {
        let number = port.port?;
        let of_service = service.ports.iter().find(|candidate| candidate.name == port.name)?;
        Some((of_service.port, number))
    })
}

/// What the endpoints of one listed address share.
struct Behind {
    labels: Arc<Labels>,
    identity: Option<crate::spiffe::Identity>,
    mutual_tls: bool,
    locality: Arc<str>,
    node: String,
    workload: Arc<Workload>,
}

impl Behind {
    fn of(pod: Option<&Arc<Object<Pod>>>, listed: &Listed, nodes: &Collection<Node>, mesh: &Mesh) -> Self {
        let Some(pod) = pod else {
            let locality = locality(None, listed, nodes);
            return Self {
                labels: Arc::default(),
                identity: None,
                mutual_tls: false,
                locality,
                node: listed.node_name.clone(),
                workload: Arc::default(),
            };
        };
        let name = workload::workload_name(pod);
        let (canonical_name, canonical_revision) = workload::canonical(&pod.metadata.labels, &name);
        Self {
            labels: Arc::new(pod.metadata.labels.clone()),
            identity: Some(workload::identity(pod, mesh)),
            mutual_tls: pod.metadata.labels.get(workload::TLS_MODE_LABEL).is_some_and(|mode| mode == "istio"),
            locality: locality(Some(pod), listed, nodes),
            node: if listed.node_name.is_empty() {
                pod.spec.node_name.clone()
            } else {
                listed.node_name.clone()
            },
            workload: Arc::new(Workload {
                name,
                namespace: pod.metadata.namespace.clone(),
                canonical_name,
                canonical_revision,
            }),
        }
    }

    fn endpoint(
        &self,
        address: &str,
        port: u16,
        service_port: u16,
        health: Health,
        hostname: &str,
    ) -> Endpoint {
        Endpoint {
            address: address.to_owned(),
            also_at: Vec::new(),
            port,
            service_port,
            labels: self.labels.clone(),
            identity: self.identity.clone(),
            mutual_tls: self.mutual_tls,
            locality: self.locality.clone(),
            node: self.node.clone(),
            weight: 1,
            health,
            workload: self.workload.clone(),
            hostname: hostname.to_owned(),
        }
    }
}

/// The pod's locality; without a pod the node's, and the zone that the slice names.
fn locality(pod: Option<&Arc<Object<Pod>>>, listed: &Listed, nodes: &Collection<Node>) -> Arc<str> {
    let of_pod = pod.map(|pod| locality::of_pod(pod, nodes)).filter(|found| !found.is_empty());
    of_pod.unwrap_or_else(|| locality::of_node(&listed.node_name, &listed.zone, nodes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::kubernetes::endpoint_slice::{EndpointConditions, ObjectReference};
    use sagene_api::kubernetes::{self, service::ServicePort};

    fn listed(pod: &str, address: &str, ready: bool, terminating: bool) -> Listed {
        Listed {
            addresses: vec![address.to_owned()],
            conditions: EndpointConditions {
                ready: Some(ready),
                serving: Some(true),
                terminating: Some(terminating),
            },
            target_ref: Some(ObjectReference {
                kind: "Pod".to_owned(),
                name: pod.to_owned(),
                ..ObjectReference::default()
            }),
            node_name: "n1".to_owned(),
            ..Listed::default()
        }
    }

    #[test]
    fn a_pod_of_a_headless_service_is_one_endpoint_with_both_addresses() {
        let port = ServicePort { name: "http".to_owned(), port: 80, ..ServicePort::default() };
        let declared = kubernetes::Service {
            cluster_ip: "None".to_owned(),
            ports: vec![port],
            ..kubernetes::Service::default()
        };
        let mesh = Mesh::default();
        let service = crate::service::of_kubernetes(&Object::new("shop", "cart", declared), &mesh);
        let slice = |kind: &str, endpoints: Vec<Listed>| {
            let ports =
                vec![EndpointPort { name: "http".to_owned(), port: Some(8080), ..EndpointPort::default() }];
            let slice = EndpointSlice { address_type: kind.to_owned(), endpoints, ports };
            Arc::new(Object::new("shop", kind, slice))
        };
        let second = [listed("cart-1", "fd00::1", true, false), listed("cart-2", "fd00::2", true, false)];
        let slices =
            [slice("IPv6", second.to_vec()), slice("IPv4", vec![listed("cart-1", "10.1.0.1", true, false)])];
        let endpoints = of_slices(&service, slices.iter(), &Snapshot::default(), &mesh);
        let addresses: Vec<Vec<&str>> = endpoints.iter().map(|one| one.addresses().collect()).collect();
        assert_eq!(addresses, [vec!["10.1.0.1", "fd00::1"], vec!["fd00::2"]]);
    }

    #[test]
    fn readiness_identity_and_place_of_each_pod() {
        let mesh = Mesh::default();
        let mut snapshot = Snapshot::default();
        let mut pod =
            Object::new("shop", "cart-1", Pod { service_account_name: "cart".to_owned(), ..Pod::default() });
        pod.metadata.labels = [("app", "cart"), ("version", "v2"), (workload::TLS_MODE_LABEL, "istio")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        snapshot.insert(Arc::new(pod));
        let mut node = Object::new("", "n1", Node::default());
        node.metadata.labels.insert("topology.kubernetes.io/region".to_owned(), "r".to_owned());
        node.metadata.labels.insert("topology.kubernetes.io/zone".to_owned(), "z".to_owned());
        snapshot.insert(Arc::new(node));
        let port = ServicePort { name: "http".to_owned(), port: 80, ..ServicePort::default() };
        let declared = kubernetes::Service {
            cluster_ip: "10.0.0.1".to_owned(),
            ports: vec![port],
            ..kubernetes::Service::default()
        };
        let service = crate::service::of_kubernetes(&Object::new("shop", "cart", declared), &mesh);
        let slice = EndpointSlice {
            endpoints: vec![
                listed("cart-1", "10.1.0.1", true, false),
                listed("gone", "10.1.0.2", false, true),
                listed("late", "10.1.0.3", false, false),
            ],
            ports: vec![EndpointPort {
                name: "http".to_owned(),
                port: Some(8080),
                ..EndpointPort::default()
            }],
            ..EndpointSlice::default()
        };
        let slice = Arc::new(Object::new("shop", "cart-x", slice));
        let endpoints = of_slices(&service, [&slice, &slice].into_iter(), &snapshot, &mesh);
        let health: Vec<Health> = endpoints.iter().map(|endpoint| endpoint.health).collect();
        assert_eq!(health, [Health::Healthy, Health::Draining, Health::Unhealthy]);
        let first = &endpoints[0];
        assert_eq!((first.port, first.service_port, first.mutual_tls), (8080, 80, true));
        assert_eq!(
            first.identity.as_ref().map(ToString::to_string).as_deref(),
            Some("spiffe://cluster.local/ns/shop/sa/cart")
        );
        assert_eq!((first.locality.as_ref(), first.workload.canonical_revision.as_str()), ("r/z", "v2"));
        assert_eq!(endpoints[1].identity, None);
    }
}
