//! IST0109: several VirtualServices of the mesh for one host; only the oldest counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_model::virtual_service::{MESH_GATEWAY, Resolved, resolve_all};
use sagene_model::{Hostname, Mesh};

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    description: "VirtualServices bound to the mesh that define the same host",
    codes: &[Code::ConflictingMeshGatewayVirtualServiceHosts],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    let mut by_host: BTreeMap<Hostname, Vec<Arc<Resolved>>> = BTreeMap::new();
    for resolved in resolve_all(&input.snapshot, &input.mesh)
        .into_iter()
        .filter(|resolved| resolved.is_bound_to(MESH_GATEWAY))
    {
        for host in resolved.hosts.iter().collect::<BTreeSet<_>>() {
            by_host.entry(host.clone()).or_default().push(resolved.clone());
        }
    }
    by_host.iter().flat_map(|(host, claims)| conflicts(host, claims, &input.mesh)).collect()
}

fn conflicts(host: &Hostname, claims: &[Arc<Resolved>], mesh: &Mesh) -> Vec<Message> {
    let mut messages = Vec::new();
    for claim in claims {
        let rivals = claims.iter().filter(|other| Arc::ptr_eq(other, claim) || meet(claim, other, mesh));
        let mut names: Vec<String> = rivals
            .map(|rival| format!("{}/{}", rival.source.metadata.namespace, rival.source.metadata.name))
            .collect();
        if names.len() < 2 {
            continue;
        }
        names.sort();
        let text = format!(
            "The VirtualServices {} associated with mesh gateway define the same host {host} which can lead to undefined behavior. This can be \
             fixed by merging the conflicting VirtualServices into a single resource.",
            names.join(",")
        );
        let index = claim.hosts.iter().position(|claimed| claimed == host).unwrap_or_default();
        let path = at("spec.hosts").index(index);
        messages.push(
            Message::new(Code::ConflictingMeshGatewayVirtualServiceHosts, reference(&claim.source), text)
                .at(path),
        );
    }
    messages
}

/// True where some client sees both: where one is seen in the other's namespace, or both are seen in some third.
fn meet(left: &Resolved, right: &Resolved, mesh: &Mesh) -> bool {
    let named = left.source.spec.export_to.iter().chain(&right.source.spec.export_to);
    let mut places: BTreeSet<&str> =
        named.map(String::as_str).filter(|entry| !matches!(*entry, "*" | "." | "~")).collect();
    places.insert(&left.source.metadata.namespace);
    places.insert(&right.source.metadata.namespace);
    // A namespace that nobody names stands for all the others.
    places.insert("\0");
    places.into_iter().any(|place| left.is_visible_in(place, mesh) && right.is_visible_in(place, mesh))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn service(namespace: &str, name: &str, host: &str, rest: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  hosts:\n  - {host}\n{rest}---\n"
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
