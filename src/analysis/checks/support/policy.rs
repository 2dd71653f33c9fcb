//! What an AuthorizationPolicy is about: its workloads, the Services in front of them, and what their ports speak.

use std::collections::BTreeMap;

use sagene_api::Object;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::istio::types::WorkloadSelector;
use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{IntOrString, Service};
use sagene_model::Protocol;
use sagene_model::labels::{Labels, has_all};

use super::pods::Pods;
use crate::input::Input;

/// Labels that a policy selects by; none for all workloads of its namespace.
pub(in crate::checks) fn labels(selector: Option<&WorkloadSelector>) -> Labels {
    selector.map(|selector| selector.match_labels.clone()).unwrap_or_default()
}

/// True for a policy that is attached to an object: it is about that object's traffic, not about pods with labels.
pub(in crate::checks) fn is_attached(policy: &AuthorizationPolicy) -> bool {
    policy.target_ref.is_some() || !policy.target_refs.is_empty()
}

/// A port of workloads, as the Services in front of them say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checks) struct WorkloadPort {
    /// Number that the Service has.
    pub(in crate::checks) service: u16,
    /// Number that the workload has.
    pub(in crate::checks) workload: u16,
    /// What it speaks.
    pub(in crate::checks) protocol: Protocol,
}

/// The ports of the workloads that a policy of this namespace selects.
pub(in crate::checks) fn ports(
    input: &Input,
    pods: &Pods<'_>,
    namespace: &str,
    labels: &Labels,
) -> Vec<WorkloadPort> {
    let place = (namespace != input.mesh.root_namespace).then_some(namespace);
    let services = input.snapshot.services.iter().filter(|service| {
        place.is_none_or(|place| service.metadata.namespace == place) && !service.spec.selector.is_empty()
    });
    let mut ports = Vec::new();
    // Labels by which a Service selects are labels of its workloads, also where no pods are known.
    for service in services.filter(|service| leads_to(pods, service, labels)) {
        ports.extend(service.spec.ports.iter().filter_map(|port| workload_port(pods, service, port)));
    }
    ports
}

fn leads_to(pods: &Pods<'_>, service: &Object<Service>, labels: &Labels) -> bool {
    has_all(&service.spec.selector, labels)
        || pods
            .select(Some(&service.metadata.namespace), &service.spec.selector)
            .any(|pod| has_all(&pod.metadata.labels, labels))
}

/// The workload's port behind a port of the Service; `None` where it has a name that no pod knows.
pub(in crate::checks) fn workload_port(
    pods: &Pods<'_>,
    service: &Object<Service>,
    port: &ServicePort,
) -> Option<WorkloadPort> {
    let workload = match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        Some(IntOrString::String(name)) => {
            let mut selected = pods.select(Some(&service.metadata.namespace), &service.spec.selector);
            selected.find_map(|pod| {
                let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
                ports
                    .into_iter()
                    .find(|declared| declared.name == *name)
                    .map(|declared| declared.container_port)
            })
        }
    }?;
    let protocol = Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, port.port);
    Some(WorkloadPort { service: port.port, workload, protocol })
}

/// What ports of the workloads speak.
pub(in crate::checks) fn protocols(ports: &[WorkloadPort]) -> BTreeMap<u16, Protocol> {
    ports.iter().map(|port| (port.workload, port.protocol)).collect()
}
