//! SGN0002: a VirtualService of the mesh whose host an older one claims: sidecars read only the older one. (Gateways merge both.)
//!
//! Age decides, so the loser is named only where both ages are known; files say nothing about age.

use std::sync::Arc;

use super::mesh_gateway_hosts::{by_host, meet};
use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.LosingVirtualServiceAnalyzer",
    description: "VirtualServices whose host an older one claims",
    codes: &[Code::VirtualServiceLosesHost],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    // Objects of files have no age.
    if input.snapshot.virtual_services.iter().all(|object| object.metadata.creation_timestamp.is_none()) {
        return messages;
    }
    for (host, mut claims) in by_host(input).into_iter().filter(|(_, claims)| claims.len() > 1) {
        claims.retain(|(claim, _)| claim.metadata.creation_timestamp.is_some());
        claims.sort_by_key(|(claim, _)| {
            (claim.metadata.creation_timestamp, claim.metadata.name.clone(), claim.metadata.namespace.clone())
        });
        for (position, (claim, index)) in claims.iter().enumerate() {
            let older = claims[..position]
                .iter()
                .find(|(other, _)| !Arc::ptr_eq(other, claim) && meet(other, claim, &input.mesh));
            let Some((winner, _)) = older else { continue };
            let text = format!(
                "Sidecars do not use the routes of VirtualService {} for host {host}: VirtualService {} defines the same host and is older.",
                key(&claim.metadata),
                key(&winner.metadata)
            );
            let path = at("spec.hosts").index(*index);
            messages.push(Message::new(Code::VirtualServiceLosesHost, refer(claim.as_ref()), text).at(path));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn service(name: &str, created: &str, rest: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: 'n'{created}}}\nspec:\n  hosts: [cart]\n  {rest}\n---\n"
        )
    }

    #[test]
    fn the_younger_loses() {
        let (old, new) =
            (", creationTimestamp: '2026-01-01T00:00:00Z'", ", creationTimestamp: '2026-02-01T00:00:00Z'");
        let yaml = service("a", new, "http: []") + &service("b", old, "http: []");
        assert_eq!(findings(&CHECK, &yaml), ["SGN0002 VirtualService n/a@5"]);
        assert!(texts(&CHECK, &yaml)[0].ends_with("VirtualService n/b defines the same host and is older."));
        assert!(findings(&CHECK, &(service("a", "", "http: []") + &service("b", "", "http: []"))).is_empty());
        let at_gateway = service("a", new, "gateways: [g]") + &service("b", old, "gateways: [g]");
        assert!(findings(&CHECK, &at_gateway).is_empty());
    }
}
