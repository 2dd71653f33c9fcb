//! IST0109: several VirtualServices of the mesh for one host; only the oldest counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_model::virtual_service::MESH_GATEWAY;
use sagene_model::visibility::is_visible;
use sagene_model::{Hostname, Mesh};

use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    description: "VirtualServices bound to the mesh that define the same host",
    codes: &[Code::ConflictingMeshGatewayVirtualServiceHosts],
    how: Run::Whole(run),
};

type Claim<'i> = &'i Arc<Object<VirtualService>>;

fn run(input: &Input) -> Vec<Message> {
    by_host(input)
        .into_iter()
        .filter(|(_, claims)| claims.len() > 1)
        .flat_map(|(host, claims)| conflicts(&host, &claims, &input.mesh))
        .collect()
}

/// The VirtualServices of the mesh by the hosts they claim.
pub(super) fn by_host(input: &Input) -> HashMap<Hostname, Vec<(Claim<'_>, usize)>> {
    // Mostly, each has one host of its own.
    let mut by_host: HashMap<Hostname, Vec<(Claim<'_>, usize)>> =
        HashMap::with_capacity(input.snapshot.virtual_services.len());
    for object in input.snapshot.virtual_services.iter().filter(|object| is_of_mesh(&object.spec)) {
        for (index, host) in object.spec.hosts.iter().enumerate() {
            let host = Hostname::resolve(host, &object.metadata.namespace, &input.mesh.domain);
            let claims = by_host.entry(host).or_default();
            if !claims.last().is_some_and(|(claim, _)| Arc::ptr_eq(claim, object)) {
                claims.push((object, index));
            }
        }
    }
    by_host
}

/// True where sidecars read it.
pub(super) fn is_of_mesh(service: &VirtualService) -> bool {
    service.gateways.is_empty() || service.gateways.iter().any(|gateway| gateway == MESH_GATEWAY)
}

fn conflicts(host: &Hostname, claims: &[(Claim<'_>, usize)], mesh: &Mesh) -> Vec<Message> {
    let mut messages = Vec::new();
    for (claim, index) in claims {
        let rivals = claims.iter().filter(|(other, _)| Arc::ptr_eq(other, claim) || meet(claim, other, mesh));
        let mut names: Vec<String> = rivals.map(|(rival, _)| key(&rival.metadata)).collect();
        if names.len() < 2 {
            continue;
        }
        names.sort();
        let text = format!(
            "The VirtualServices {} associated with mesh gateway define the same host {host} which can lead to undefined behavior. This can be \
             fixed by merging the conflicting VirtualServices into a single resource.",
            names.join(",")
        );
        let code = Code::ConflictingMeshGatewayVirtualServiceHosts;
        messages.push(Message::new(code, refer(claim.as_ref()), text).at(at("spec.hosts").index(*index)));
    }
    messages
}

/// True where some client sees both: where one is seen in the other's namespace, or both are seen in some third.
pub(super) fn meet(left: &Object<VirtualService>, right: &Object<VirtualService>, mesh: &Mesh) -> bool {
    let default = &mesh.default_virtual_service_export_to;
    let sees = |object: &Object<VirtualService>, place: &str| {
        is_visible(&object.spec.export_to, default, &object.metadata.namespace, place)
    };
    let named = left.spec.export_to.iter().chain(&right.spec.export_to);
    let mut places: BTreeSet<&str> =
        named.map(String::as_str).filter(|entry| !matches!(*entry, "*" | "." | "~")).collect();
    places.insert(&left.metadata.namespace);
    places.insert(&right.metadata.namespace);
    // A namespace that nobody names stands for all the others.
    places.insert("\0");
    places.into_iter().any(|place| sees(left, place) && sees(right, place))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn service(namespace: &str, name: &str, host: &str, rest: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: '{namespace}'}}\nspec:\n  hosts:\n  - {host}\n{rest}---\n"
        )
    }

    #[test]
    fn one_host_twice_however_it_is_spelled() {
        let yaml = service("shop", "a", "cart", "") + &service("web", "b", "cart.shop.svc.cluster.local", "");
        assert_eq!(
            findings(&CHECK, &yaml),
            ["IST0109 VirtualService shop/a@6", "IST0109 VirtualService web/b@13"]
        );
        assert!(texts(&CHECK, &yaml)[0].contains("shop/a,web/b associated"));
    }

    #[test]
    fn gateways_and_private_ones_do_not_meet() {
        for other in [
            service("web", "b", "cart.shop.svc.cluster.local", "  gateways: [edge]\n"),
            service("web", "b", "cart.web", ""),
            service("web", "b", "cart", ""),
        ] {
            assert!(findings(&CHECK, &(service("shop", "a", "cart", "") + &other)).is_empty(), "{other}");
        }
        let private = service("shop", "a", "cart", "  exportTo: [.]\n")
            + &service("web", "b", "cart.shop.svc.cluster.local", "  exportTo: [.]\n");
        assert!(findings(&CHECK, &private).is_empty());
    }
}
