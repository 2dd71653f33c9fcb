//! Statuses of the Gateway API's objects.

use std::collections::BTreeMap;

use sagene_api::Object;
use sagene_api::gateway_api::KubernetesGateway;
use sagene_api::gateway_api::reference::ParentReference;
use sagene_api::kubernetes::endpoint_slice::SERVICE_NAME_LABEL;
use serde_json::{Value, json};

use super::backend::BackendProblem;
use super::listener::{ListenerKey, OpenListener, is_ours, service_name};
use super::{Converted, StatusReport};
use crate::mesh::Mesh;
use crate::snapshot::{Collected, Kind, Snapshot};

const CONTROLLER: &str = "istio.io/gateway-controller";
const GROUP: &str = "gateway.networking.k8s.io";

/// A parent of a route, and what came of it.
pub(super) struct ParentStatus {
    pub(super) parent: ParentReference,
    pub(super) accepted: Result<(), (&'static str, String)>,
    pub(super) resolved: Option<BackendProblem>,
}

fn condition(kind: &str, outcome: Result<(&str, &str), (&str, &str)>, generation: i64) -> Value {
    let (status, (reason, message)) = match outcome {
        Ok(good) => ("True", good),
        Err(bad) => ("False", bad),
    };
    json!({"type": kind, "status": status, "reason": reason, "message": message,
           "observedGeneration": generation})
}

/// The status of a route; none where no parent is ours.
pub(super) fn of_route<S: Collected>(object: &Object<S>, parents: &[ParentStatus]) -> Option<StatusReport> {
    if parents.is_empty() {
        return None;
    }
    let generation = object.metadata.generation;
    let one = |status: &ParentStatus| {
        let accepted = match &status.accepted {
            Ok(()) => Ok(("Accepted", "Route was valid")),
            Err((reason, message)) => Err((*reason, message.as_str())),
        };
        let resolved = match &status.resolved {
            None => Ok(("ResolvedRefs", "All references resolved")),
            Some((reason, message)) => Err((*reason, message.as_str())),
        };
        let conditions =
            [condition("Accepted", accepted, generation), condition("ResolvedRefs", resolved, generation)];
        json!({"parentRef": status.parent, "controllerName": CONTROLLER, "conditions": conditions})
    };
    let parents: Vec<Value> = parents.iter().map(one).collect();
    Some(StatusReport {
        kind: S::COLLECTED,
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone(),
        status: json!({"parents": parents}),
    })
}

/// Classes are accepted where their controller is this one.
pub(super) fn of_classes(snapshot: &Snapshot, made: &mut Converted) {
    let ours = |name: &str| matches!(name, CONTROLLER | "istio.io/unmanaged-gateway");
    for class in snapshot.gateway_classes.iter().filter(|class| ours(&class.spec.controller_name)) {
        let accepted = Ok(("Accepted", "Handled by Istio controller"));
        made.statuses.push(StatusReport {
            kind: Kind::GatewayClass,
            namespace: String::new(),
            name: class.metadata.name.clone(),
            status: json!({"conditions": [condition("Accepted", accepted, class.metadata.generation)]}),
        });
    }
}

/// Statuses of the Gateways that are served here.
pub(super) fn of_gateways(
    snapshot: &Snapshot,
    mesh: &Mesh,
    listeners: &[OpenListener<'_>],
    attached: &BTreeMap<ListenerKey, usize>,
    made: &mut Converted,
) {
    for gateway in snapshot.kubernetes_gateways.iter().filter(|gateway| is_ours(snapshot, &gateway.spec)) {
        let generation = gateway.metadata.generation;
        let own: Vec<&OpenListener<'_>> =
            listeners.iter().filter(|open| std::sync::Arc::ptr_eq(open.gateway, gateway)).collect();
        let (addresses, programmed) = addresses(snapshot, mesh, gateway);
        let programmed = match &programmed {
            Ok(message) => Ok(("Programmed", message.as_str())),
            Err(message) => Err(("AddressNotAssigned", message.as_str())),
        };
        let conditions = [
            condition("Accepted", Ok(("Accepted", "Resource accepted")), generation),
            condition("Programmed", programmed, generation),
        ];
        let listeners: Vec<Value> = own
            .iter()
            .map(|open| of_listener(open, attached.get(&open.key()).copied().unwrap_or(0), generation))
            .collect();
        made.statuses.push(StatusReport {
            kind: Kind::KubernetesGateway,
            namespace: gateway.metadata.namespace.clone(),
            name: gateway.metadata.name.clone(),
            status: json!({"addresses": addresses, "conditions": conditions, "listeners": listeners}),
        });
    }
}

fn of_listener(open: &OpenListener<'_>, attached: usize, generation: i64) -> Value {
    let problem = |kind: &str| {
        open.problem
            .as_ref()
            .filter(|(concerned, ..)| *concerned == kind)
            .map(|(_, reason, message)| (*reason, message.as_str()))
    };
    let of = |kind: &str, good: (&'static str, &'static str)| match problem(kind) {
        Some(wrong) => condition(kind, Err(wrong), generation),
        None => condition(kind, Ok(good), generation),
    };
    let programmed = match &open.problem {
        Some((_, _, message)) => Err(("Invalid", message.as_str())),
        None => Ok(("Programmed", "No errors found")),
    };
    let kinds: &[&str] = match open.listener.protocol.as_str() {
        "HTTP" | "HTTPS" => &["HTTPRoute", "GRPCRoute"],
        "TLS" => &["TLSRoute", "TCPRoute"],
        "TCP" => &["TCPRoute"],
        _ => &[],
    };
    let conflicted = json!({"type": "Conflicted", "status": "False", "reason": "NoConflicts",
                            "message": "No errors found", "observedGeneration": generation});
    json!({
        "name": open.listener.name,
        "attachedRoutes": attached,
        "supportedKinds": kinds.iter().map(|kind| json!({"group": GROUP, "kind": kind})).collect::<Vec<_>>(),
        "conditions": [
            of("Accepted", ("Accepted", "No errors found")),
            conflicted,
            condition("Programmed", programmed, generation),
            of("ResolvedRefs", ("ResolvedRefs", "No errors found")),
        ],
    })
}

/// Addresses of the Service in front of a Gateway, and whether anything answers there.
fn addresses(
    snapshot: &Snapshot,
    mesh: &Mesh,
    gateway: &Object<KubernetesGateway>,
) -> (Vec<Value>, Result<String, String>) {
    let (namespace, name) = service_name(gateway);
    let host = format!("{name}.{namespace}.svc.{}", mesh.domain);
    let Some(service) = snapshot.services.get(&namespace, &name) else {
        return (
            Vec::new(),
            Err(format!("Failed to assign to any requested addresses: hostname {host:?} not found")),
        );
    };
    let balanced = service.status.iter().flat_map(|status| &status.load_balancer.ingress);
    let mut found: Vec<Value> = balanced
        .map(|one| match one.ip.as_str() {
            "" => json!({"type": "Hostname", "value": one.hostname}),
            ip => json!({"type": "IPAddress", "value": ip}),
        })
        .collect();
    if found.is_empty() {
        if service.spec.r#type == "LoadBalancer" {
            let message = format!("Assigned to service(s) {host}, whose load balancer has no address yet");
            return (Vec::new(), Err(message));
        }
        found.push(json!({"type": "Hostname", "value": host}));
    }
    let slices = snapshot.endpoint_slices.in_namespace(&namespace);
    let ready = slices
        .filter(|slice| slice.metadata.labels.get(SERVICE_NAME_LABEL) == Some(&name))
        .flat_map(|slice| &slice.spec.endpoints)
        .any(|endpoint| endpoint.conditions.ready.unwrap_or(true));
    if ready {
        (found, Ok(format!("Resource programmed, assigned to service(s) {host}")))
    } else {
        (found, Err(format!("Assigned to service(s) {host}, but no instance is ready yet")))
    }
}
