//! IST0101 and IST0162: Gateways whose selector matches no pod, and ports that the Service in front of the pods does not lead to.

use std::collections::BTreeSet;

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{IntOrString, Service};
use sagene_model::labels::has_all;

use super::support::gateways::{missing, workloads};
use super::support::pods::{PodRef, Pods};
use super::support::words::{refer, selector};
use super::support::workloads::Others;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "gateway.IngressGatewayPortAnalyzer",
    description: "Gateways whose selector matches no pod, or whose ports no Service of those pods has",
    codes: &[Code::ReferencedResourceNotFound, Code::GatewayPortNotDefinedOnService],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let (pods, others) = (Pods::of(input), Others::of(input));
    let mut messages = Vec::new();
    for gateway in input.snapshot.gateways.iter() {
        messages.extend(missing(input, &pods, &others, gateway));
        messages.extend(of_ports(input, &workloads(&pods, gateway), gateway));
    }
    messages
}

fn of_ports(input: &Input, pods: &[PodRef<'_>], gateway: &Object<Gateway>) -> Vec<Message> {
    let targets = target_ports(input, pods);
    // Pods without any Service are reached in another way.
    if targets.is_empty() || !input.knows::<Service>() {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for (index, server) in gateway.spec.servers.iter().enumerate() {
        if server.port.number == 0
            || targets.contains(&server.port.number)
            || server.bind.starts_with("unix://")
        {
            continue;
        }
        let text = format!(
            "The gateway is listening on a target port (port {}) that is not defined in the Service associated with its workload instances (Pod \
             selector {}). If you need to access the gateway port through the gateway Service, it will not be available.",
            server.port.number,
            selector(&gateway.spec.selector)
        );
        let path = at(&format!("spec.servers[{index}].port.number"));
        messages.push(Message::new(Code::GatewayPortNotDefinedOnService, refer(gateway), text).at(path));
    }
    messages
}

/// The ports of the pods that Services lead to.
fn target_ports(input: &Input, pods: &[PodRef<'_>]) -> BTreeSet<u32> {
    let mut targets = BTreeSet::new();
    for pod in pods {
        let services = input.snapshot.services.in_namespace(&pod.metadata.namespace);
        let of_pod = services.filter(|service| {
            !service.spec.selector.is_empty() && has_all(&pod.metadata.labels, &service.spec.selector)
        });
        let is_tcp = |port: &&ServicePort| matches!(port.protocol.as_str(), "" | "TCP");
        for port in of_pod.flat_map(|service| &service.spec.ports).filter(is_tcp) {
            // A server may also name the Service's own port: the control plane listens on the target port then.
            targets.insert(u32::from(port.port));
            match &port.target_port {
                None | Some(IntOrString::Int(0)) => {}
                Some(IntOrString::Int(number)) => targets.extend(u32::try_from(*number)),
                Some(IntOrString::String(name)) => targets.extend(named_port(pod, name)),
            }
        }
    }
    targets
}

fn named_port(pod: PodRef<'_>, name: &str) -> Option<u32> {
    let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
    ports.into_iter().find(|port| port.name == name).map(|port| u32::from(port.container_port))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  selector:\n    istio: edge\n  servers:\n  - port: {number: 8080, protocol: HTTP, name: http}\n    hosts: ['*']\n---\n";
    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: infra, labels: {istio: edge, app: edge}}\nspec: {containers: [{name: istio-proxy, ports: [{name: web, containerPort: 8080}]}]}\n---\n";

    fn service(ports: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: edge, namespace: infra}}\nspec: {{selector: {{app: edge}}, ports: [{ports}]}}\n"
        )
    }

    #[test]
    fn a_selector_that_finds_nothing() {
        assert_eq!(findings(&CHECK, GATEWAY), ["IST0101 Gateway default/g@6"]);
        assert_eq!(texts(&CHECK, GATEWAY), ["Referenced selector not found: \"istio=edge\""]);
        assert!(findings(&CHECK, &format!("{GATEWAY}{POD}")).is_empty());
    }

    #[test]
    fn ports_that_the_service_does_not_lead_to() {
        let found = |ports: &str| findings(&CHECK, &format!("{GATEWAY}{POD}{}", service(ports)));
        for bad in ["{port: 80, targetPort: 8081}", "{port: 80}, {port: 8080, protocol: UDP}"] {
            assert_eq!(found(bad), ["IST0162 Gateway default/g@8"]);
        }
        for good in [
            "{port: 80, targetPort: 8080}",
            "{port: 8080}",
            "{port: 80, targetPort: web}",
            "{port: 8080, targetPort: 9080}",
        ] {
            assert!(found(good).is_empty(), "{good}");
        }
    }
}
