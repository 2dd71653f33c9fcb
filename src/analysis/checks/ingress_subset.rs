//! IST0140: a gateway's route to a service without subset, while another VirtualService splits that service by subsets for the mesh alone.
//! The rules of the mesh do not apply again at the gateway: it sends to all pods of the service.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_model::Hostname;
use sagene_model::virtual_service::MESH_GATEWAY;

use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

/// Named after the analyzer of Istio's that it is a part of.
pub(super) const CHECK: Check = Check {
    name: "virtualservice.DestinationHostAnalyzer.IngressSubset",
    description: "Subsets without effect at an ingress gateway",
    codes: &[Code::IngressRouteRulesNotAffected],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let host = |object: &Object<VirtualService>, text: &str| {
        Hostname::resolve(text, &object.metadata.namespace, &input.mesh.domain)
    };
    let mut split: BTreeMap<Hostname, Vec<String>> = BTreeMap::new();
    // No gateways and that of the mesh alone mean the same.
    let of_mesh_alone = |object: &&Arc<Object<VirtualService>>| {
        object.spec.gateways.iter().all(|gateway| gateway == MESH_GATEWAY)
    };
    let (mesh, edge): (Vec<_>, Vec<_>) = input.snapshot.virtual_services.iter().partition(of_mesh_alone);
    let edge: Vec<_> = edge
        .into_iter()
        .filter(|object| !object.spec.gateways.iter().any(|gateway| gateway == MESH_GATEWAY))
        .collect();
    if edge.is_empty() {
        return Vec::new();
    }
    for object in mesh.into_iter().filter(|object| !object.spec.hosts.is_empty()) {
        let own: Vec<Hostname> = object.spec.hosts.iter().map(|text| host(object, text)).collect();
        let routes = object.spec.http.iter().flat_map(|route| &route.route);
        let subsets = routes.filter(|weighted| !weighted.destination.subset.is_empty());
        for full in subsets.map(|weighted| host(object, &weighted.destination.host)) {
            let names = split.entry(full.clone()).or_default();
            let name = key(&object.metadata);
            // Rules for some other host say nothing about requests to this one.
            if own.contains(&full) && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    edge.iter().flat_map(|object| of_service(object, &split, &host)).collect()
}

fn of_service(
    object: &Object<VirtualService>,
    split: &BTreeMap<Hostname, Vec<String>>,
    host: &impl Fn(&Object<VirtualService>, &str) -> Hostname,
) -> Vec<Message> {
    let mut messages = Vec::new();
    for (index, route) in object.spec.http.iter().enumerate() {
        for (position, weighted) in
            route.route.iter().enumerate().filter(|(_, weighted)| weighted.destination.subset.is_empty())
        {
            for rule in split.get(&host(object, &weighted.destination.host)).into_iter().flatten() {
                let text = format!(
                    "Subset in virtual service {rule} has no effect on ingress gateway {} requests",
                    key(&object.metadata)
                );
                let path = at(&format!("spec.http[{index}].route[{position}].destination.host"));
                messages.push(Message::new(Code::IngressRouteRulesNotAffected, refer(object), text).at(path));
            }
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::CHECK;

    fn yaml(gateways: &str, destination: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: split}}\nspec: {{hosts: [cart], http: [{{route: [{{destination: {{host: cart, subset: v1}}}}]}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: edge}}\nspec:\n  hosts: [shop.com]\n  gateways: {gateways}\n  http:\n  - route:\n    - destination: {destination}\n"
        )
    }

    #[test]
    fn rules_of_the_mesh_do_not_reach_the_gateway() {
        assert_eq!(
            findings(&CHECK, &yaml("[g]", "{host: cart}")),
            ["IST0140 VirtualService default/edge@19"]
        );
        assert_eq!(
            texts(&CHECK, &yaml("[g]", "{host: cart}")),
            [
                "Subset in virtual service default/split has no effect on ingress gateway default/edge requests"
            ]
        );
        let of_mesh =
            yaml("[g]", "{host: cart}").replace("{hosts: [cart]", "{hosts: [cart], gateways: [mesh]");
        assert_eq!(findings(&CHECK, &of_mesh).len(), 1);
        let of_both =
            yaml("[g]", "{host: cart}").replace("{hosts: [cart]", "{hosts: [cart], gateways: [mesh, g]");
        assert!(findings(&CHECK, &of_both).is_empty());
        assert!(findings(&CHECK, &yaml("[g]", "{host: cart, subset: v1}")).is_empty());
        assert!(findings(&CHECK, &yaml("[g, mesh]", "{host: cart}")).is_empty());
    }
}
