//! Endpoints that ServiceEntries list, or select among WorkloadEntries and pods.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::{ServiceEntry, WorkloadEntry};
use sagene_api::kubernetes::Pod;

use super::{Endpoint, Health, Workload};
use crate::labels::has_all;
use crate::locality;
use crate::mesh::Mesh;
use crate::service::{Resolution, Service};
use crate::snapshot::Snapshot;
use crate::spiffe::Identity;
use crate::workload;

/// Endpoints written into a ServiceEntry. One resolved by DNS without endpoints is its own endpoint.
pub fn of_inline(entry: &Object<ServiceEntry>, service: &Service, mesh: &Mesh) -> Vec<Endpoint> {
    let resolved_by_name = matches!(service.resolution, Resolution::DnsLb | Resolution::DnsRoundRobinLb);
    if entry.spec.endpoints.is_empty()
        && entry.spec.workload_selector.is_none()
        && resolved_by_name
        && !service.hostname.is_wildcard()
    {
        let host = WorkloadEntry { address: service.hostname.to_string(), ..WorkloadEntry::default() };
        return of_entry(&host, entry, service, mesh, "");
    }
    entry.spec.endpoints.iter().flat_map(|workload| of_entry(workload, entry, service, mesh, "")).collect()
}

/// Endpoints of a ServiceEntry with a workload selector: WorkloadEntries and pods of its namespace.
pub fn of_selected(
    entry: &Object<ServiceEntry>,
    service: &Service,
    snapshot: &Snapshot,
    mesh: &Mesh,
) -> Vec<Endpoint> {
    let Some(selector) = &entry.spec.workload_selector else { return Vec::new() };
    let namespace = &entry.metadata.namespace;
    let workloads = snapshot
        .workload_entries
        .in_namespace(namespace)
        .filter(|object| has_all(&object.spec.labels, &selector.labels));
    let pods =
        snapshot.pods.in_namespace(namespace).filter(|pod| has_all(&pod.metadata.labels, &selector.labels));
    workloads
        .flat_map(|object| of_entry(&object.spec, entry, service, mesh, &object.metadata.name))
        .chain(pods.flat_map(|pod| of_pod(pod, entry, service, snapshot, mesh)))
        .collect()
}

fn of_entry(
    workload: &WorkloadEntry,
    entry: &Object<ServiceEntry>,
    service: &Service,
    mesh: &Mesh,
    name: &str,
) -> Vec<Endpoint> {
    let namespace = &entry.metadata.namespace;
    let (canonical_name, canonical_revision) = workload::canonical(&workload.labels, name);
    let identity = (!workload.service_account.is_empty())
        .then(|| Identity::new(&mesh.trust_domain, namespace, &workload.service_account));
    let labels = Arc::new(workload.labels.clone());
    let behind = Arc::new(Workload {
        name: name.to_owned(),
        namespace: namespace.clone(),
        canonical_name,
        canonical_revision,
    });
    let endpoint = |declared: &sagene_api::istio::networking::service_entry::ServicePort| {
        let number = u16::try_from(declared.number).ok()?;
        let port = workload.ports.get(&declared.name).copied();
        let port =
            port.or((declared.target_port != 0).then_some(declared.target_port)).unwrap_or(declared.number);
        Some(Endpoint {
            address: workload.address.clone(),
            also_at: Vec::new(),
            port: if workload.address.starts_with("unix://") { 0 } else { u16::try_from(port).ok()? },
            service_port: number,
            labels: labels.clone(),
            identity: identity.clone(),
            mutual_tls: !service.mesh_external
                && labels.get(workload::TLS_MODE_LABEL).is_none_or(|mode| mode == "istio")
                && identity.is_some(),
            locality: workload.locality.as_str().into(),
            node: String::new(),
            weight: workload.weight.max(1),
            health: Health::Healthy,
            workload: behind.clone(),
            hostname: String::new(),
        })
    };
    if workload.address.is_empty() {
        return Vec::new();
    }
    entry.spec.ports.iter().filter_map(endpoint).collect()
}

fn of_pod(
    pod: &Object<Pod>,
    entry: &Object<ServiceEntry>,
    service: &Service,
    snapshot: &Snapshot,
    mesh: &Mesh,
) -> Vec<Endpoint> {
    let Some(status) = pod.status.as_ref().filter(|status| !status.pod_ip.is_empty()) else {
        return Vec::new();
    };
    if workload::is_finished(pod) || pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let as_entry = WorkloadEntry {
        address: status.pod_ip.clone(),
        labels: pod.metadata.labels.clone(),
        service_account: workload::service_account(pod).to_owned(),
        locality: locality::of_pod(pod, &snapshot.nodes),
        ..WorkloadEntry::default()
    };
    let mut endpoints = of_entry(&as_entry, entry, service, mesh, &workload::workload_name(pod));
    for endpoint in &mut endpoints {
        endpoint.health = if status.is_ready() { Health::Healthy } else { Health::Unhealthy };
        endpoint.mutual_tls =
            pod.metadata.labels.get(workload::TLS_MODE_LABEL).is_some_and(|mode| mode == "istio");
        endpoint.node.clone_from(&pod.spec.node_name);
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::of_service_entry;
    use sagene_api::istio::networking::common::LabelSelector;
    use sagene_api::istio::networking::service_entry::{Location, Resolution as Declared, ServicePort};

    fn entry(resolution: Declared) -> Object<ServiceEntry> {
        let port = ServicePort {
            number: 80,
            target_port: 8080,
            name: "http".to_owned(),
            protocol: "HTTP".to_owned(),
        };
        let spec = ServiceEntry {
            hosts: vec!["api.example.com".to_owned()],
            ports: vec![port],
            resolution,
            location: Location::MeshInternal,
            ..ServiceEntry::default()
        };
        Object::new("out", "api", spec)
    }

    #[test]
    fn a_name_is_its_own_endpoint_unless_endpoints_are_listed() {
        let mesh = Mesh::default();
        let mut object = entry(Declared::Dns);
        let of = |object: &Object<ServiceEntry>| of_inline(object, &of_service_entry(object)[0], &mesh);
        assert_eq!(of(&object)[0].address, "api.example.com");
        assert_eq!(of(&object)[0].port, 8080);
        object.spec.endpoints = vec![WorkloadEntry {
            address: "10.0.0.9".to_owned(),
            ports: [("http".to_owned(), 9999)].into(),
            ..WorkloadEntry::default()
        }];
        assert_eq!((of(&object)[0].address.as_str(), of(&object)[0].port), ("10.0.0.9", 9999));
        assert!(of(&entry(Declared::None)).is_empty());
    }

    #[test]
    fn selected_workloads_bring_their_identity() {
        let (mesh, mut snapshot, mut object) =
            (Mesh::default(), Snapshot::default(), entry(Declared::Static));
        object.spec.workload_selector =
            Some(LabelSelector { labels: [("app".to_owned(), "api".to_owned())].into() });
        let virtual_machine = WorkloadEntry {
            address: "10.0.0.5".to_owned(),
            labels: [("app".to_owned(), "api".to_owned())].into(),
            service_account: "vm".to_owned(),
            ..WorkloadEntry::default()
        };
        snapshot.insert(Arc::new(Object::new("out", "vm-1", virtual_machine)));
        let endpoints = of_selected(&object, &of_service_entry(&object)[0], &snapshot, &mesh);
        assert_eq!(endpoints.len(), 1);
        assert!(endpoints[0].mutual_tls);
    }
}
