//! IST0116 and IST0137: several Services on one Deployment that disagree about a port.
//!
//! The proxy has one listener for each port of the workload: it cannot speak two protocols there, and cannot tell which of two Services
//! was meant. Source: Istio's requirements of applications ("Service association").

use std::collections::{BTreeMap, BTreeSet};

use sagene_api::Object;
use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{Deployment, IntOrString, Namespace, Service};
use sagene_model::Protocol;
use sagene_model::labels::has_all;

use super::support::mesh::Namespaces;
use super::support::words::{list, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "deployment.MultiServiceAnalyzer",
    description: "Deployments with several Services that disagree about a port",
    codes: &[Code::DeploymentAssociatedToMultipleServices, Code::DeploymentConflictingPorts],
    how: Run::Whole(run),
};

/// A port and the Service that declares it.
type Declared<'i> = (&'i Object<Service>, &'i ServicePort);

fn run(input: &Input) -> Vec<Message> {
    // Whether a workload is in the mesh is for its namespace to say.
    if input.is_withheld::<Namespace>() {
        return Vec::new();
    }
    let namespaces = Namespaces::of(input);
    let mut messages = Vec::new();
    for deployment in input.snapshot.deployments.iter() {
        let template = &deployment.spec.template;
        // The node's network is not captured.
        let has_no_proxy = template.spec.host_network;
        if has_no_proxy || !namespaces.takes_in(&deployment.metadata.namespace, &template.metadata) {
            continue;
        }
        let labels = &deployment.spec.template.metadata.labels;
        let services = input.snapshot.services.in_namespace(&deployment.metadata.namespace);
        let ports: Vec<Declared<'_>> = services
            .filter(|service| !service.spec.selector.is_empty() && has_all(labels, &service.spec.selector))
            .flat_map(|service| service.spec.ports.iter().map(move |port| (service.as_ref(), port)))
            .collect();
        messages.extend(protocols(deployment, &ports));
        messages.extend(targets(deployment, &ports));
    }
    messages
}

/// One port with several protocols.
fn protocols(deployment: &Object<Deployment>, ports: &[Declared<'_>]) -> Vec<Message> {
    let mut by_port: BTreeMap<u16, BTreeMap<Protocol, BTreeSet<&str>>> = BTreeMap::new();
    for (service, port) in ports {
        let protocol = Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, port.port);
        // What says nothing contradicts nothing: the proxy finds out.
        if protocol.is_unspecified() {
            continue;
        }
        let names = by_port.entry(port.port).or_default().entry(protocol).or_default();
        names.insert(service.metadata.name.as_str());
    }
    let mut messages = Vec::new();
    for (port, protocols) in by_port {
        let names: BTreeSet<&str> = protocols.values().flatten().copied().collect();
        if protocols.len() < 2 || names.len() < 2 {
            continue;
        }
        let text = format!(
            "This deployment {} is associated with multiple services using port {port} but different protocols: {}",
            deployment.metadata.name,
            in_full(deployment, names)
        );
        let code = Code::DeploymentAssociatedToMultipleServices;
        messages.push(Message::new(code, refer(deployment), text).at(at("metadata.name")));
    }
    messages
}

/// Several ports that lead to one port of the workload.
fn targets(deployment: &Object<Deployment>, ports: &[Declared<'_>]) -> Vec<Message> {
    let mut by_target: BTreeMap<(String, &str), BTreeMap<u16, BTreeSet<&str>>> = BTreeMap::new();
    for (service, port) in ports {
        let target = match &port.target_port {
            Some(IntOrString::Int(number)) if *number != 0 => number.to_string(),
            Some(IntOrString::String(name)) => name.clone(),
            _ => port.port.to_string(),
        };
        let transport = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
        let names = by_target.entry((target, transport)).or_default().entry(port.port).or_default();
        names.insert(service.metadata.name.as_str());
    }
    let mut messages = Vec::new();
    for ((target, _), ports) in by_target {
        let names: BTreeSet<&str> = ports.values().flatten().copied().collect();
        if ports.len() < 2 || names.len() < 2 {
            continue;
        }
        let text = format!(
            "This deployment {} is associated with multiple services {} using targetPort {target:?} but different ports: {}.",
            deployment.metadata.name,
            in_full(deployment, names),
            list(ports.keys())
        );
        messages.push(
            Message::new(Code::DeploymentConflictingPorts, refer(deployment), text).at(at("metadata.name")),
        );
    }
    messages
}

/// The Services of a Deployment's namespace, as messages name them.
fn in_full(deployment: &Object<Deployment>, names: BTreeSet<&str>) -> String {
    list(names.into_iter().map(|name| format!("{}/{name}", deployment.metadata.namespace)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(first: &str, second: &str, injection: &str) -> String {
        let service = |name: &str, port: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: 'n'}}\nspec: {{selector: {{app: web}}, ports: [{port}]}}\n---\n"
            )
        };
        format!(
            "{}{}apiVersion: v1\nkind: Namespace\nmetadata: {{name: 'n', labels: {{istio-injection: {injection}}}}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: 'n'}}\nspec: {{template: {{metadata: {{labels: {{app: web, version: v1}}}}}}}}\n",
            service("a", first),
            service("b", second)
        )
    }

    #[test]
    fn services_that_disagree() {
        let protocols = yaml("{name: http, port: 80}", "{name: tcp, port: 80}", "enabled");
        assert_eq!(findings(&CHECK, &protocols), ["IST0116 Deployment n/d@17"]);
        assert_eq!(
            texts(&CHECK, &protocols),
            [
                "This deployment d is associated with multiple services using port 80 but different protocols: [n/a n/b]"
            ]
        );
        let ports = yaml(
            "{name: http, port: 80, targetPort: 8080}",
            "{name: http, port: 81, targetPort: 8080}",
            "enabled",
        );
        assert_eq!(
            texts(&CHECK, &ports),
            [
                "This deployment d is associated with multiple services [n/a n/b] using targetPort \"8080\" but different ports: [80 81]."
            ]
        );
        for quiet in [
            yaml("{name: http, port: 80}", "{name: http-x, port: 80}", "enabled"),
            yaml("{name: http, port: 80}", "{name: tcp, port: 90}", "enabled"),
            yaml("{name: http, port: 80}", "{name: web, port: 80}", "enabled"),
            yaml("{name: http, port: 80}", "{name: tcp, port: 80}", "disabled"),
            protocols.replace("version: v1}}", "version: v1}}, spec: {hostNetwork: true}"),
        ] {
            assert!(findings(&CHECK, &quiet).is_empty(), "{quiet}");
        }
    }
}
