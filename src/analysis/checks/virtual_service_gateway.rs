//! IST0101 and IST0132: gateways that do not exist, and hosts that the gateway does not serve.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::{Gateway, VirtualService};
use sagene_model::Hostname;
use sagene_model::virtual_service::{MESH_GATEWAY, resolve};

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "virtualservice.GatewayAnalyzer",
    description: "VirtualServices bound to gateways that are missing or do not serve their hosts",
    codes: &[Code::ReferencedResourceNotFound, Code::VirtualServiceHostNotFoundInGateway],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    input.snapshot.virtual_services.iter().flat_map(|object| of_service(input, object)).collect()
}

fn of_service(input: &Input, object: &Arc<Object<VirtualService>>) -> Vec<Message> {
    let resolved = resolve(object, &input.snapshot, &input.mesh);
    let mut messages = Vec::new();
    for (index, full) in resolved.gateways.iter().enumerate().filter(|(_, full)| *full != MESH_GATEWAY) {
        let path = at("spec.gateways").index(index);
        let written = object.spec.gateways.get(index).unwrap_or(full);
        let found =
            full.split_once('/').and_then(|(namespace, name)| input.snapshot.get::<Gateway>(namespace, name));
        let Some(gateway) = found else {
            let text = format!("Referenced gateway not found: {written:?}");
            messages.push(Message::new(Code::ReferencedResourceNotFound, reference(object), text).at(path));
            continue;
        };
        if !resolved.hosts.is_empty()
            && !resolved.hosts.iter().any(|host| serves(gateway, host, &object.metadata.namespace))
        {
            let text = format!(
                "one or more host [{}] defined in VirtualService {} not found in Gateway {full}.",
                object.spec.hosts.join(" "),
                object.key()
            );
            messages.push(
                Message::new(Code::VirtualServiceHostNotFoundInGateway, reference(object), text)
                    .at(at("spec.hosts").index(0)),
            );
        }
    }
    messages
}

/// True where a server of the gateway takes the host for VirtualServices of `namespace`.
fn serves(gateway: &Object<Gateway>, host: &Hostname, namespace: &str) -> bool {
    let hosts = gateway.spec.servers.iter().flat_map(|server| &server.hosts);
    hosts.into_iter().any(|text| {
        let (place, served) = text.split_once('/').unwrap_or(("*", text));
        let allowed = match place {
            "*" => true,
            "." => gateway.metadata.namespace == namespace,
            other => other == namespace,
        };
        allowed && Hostname::new(served).overlaps(host)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn yaml(served: &str, host: &str, gateway: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: infra}}\nspec: {{servers: [{{hosts: ['{served}']}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: shop}}\nspec:\n  hosts:\n  - '{host}'\n  gateways:\n  - {gateway}\n"
        )
    }

    #[test]
    fn missing_gateways_and_hosts_that_are_not_served() {
        assert_eq!(findings(&CHECK, &yaml("*", "a.com", "edge")), ["IST0101 VirtualService shop/v@13"]);
        assert_eq!(
            findings(&CHECK, &yaml("b.com", "a.com", "infra/edge")),
            ["IST0132 VirtualService shop/v@11"]
        );
        assert_eq!(findings(&CHECK, &yaml("./*.com", "a.com", "infra/edge")).len(), 1);
        for (served, host) in [
            ("*", "a.com"),
            ("*.com", "a.com"),
            ("a.com", "*.com"),
            ("shop/a.com", "a.com"),
            ("A.com", "a.COM"),
        ] {
            assert!(findings(&CHECK, &yaml(served, host, "infra/edge")).is_empty(), "{served} {host}");
        }
        assert!(findings(&CHECK, &yaml("b.com", "a.com", "mesh")).is_empty());
    }
}
