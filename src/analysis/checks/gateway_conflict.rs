//! IST0145: Gateways with the same selector that claim the same port, address and hosts: only one of them is served.

use std::collections::HashMap;

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::Server;
use sagene_model::Hostname;

use super::Check;
use super::support::gateways::missing;
use super::support::pods::Pods;
use super::support::words::{key, refer, selector};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "gateway.ConflictingGatewayAnalyzer",
    description: "Gateways of the same workloads that claim the same port and hosts",
    codes: &[Code::ReferencedResourceNotFound, Code::ConflictingGateways],
    run,
};

/// A server and where it stands.
struct Claim<'i> {
    gateway: &'i Object<Gateway>,
    index: usize,
    server: &'i Server,
}

fn run(input: &Input) -> Vec<Message> {
    let pods = Pods::of(input);
    let mut messages = Vec::new();
    let mut claims: HashMap<(String, u32, &str), Vec<Claim<'_>>> = HashMap::new();
    for gateway in input.snapshot.gateways.iter() {
        messages.extend(missing(input, &pods, gateway));
        let labels = selector(&gateway.spec.selector);
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let place = (labels.clone(), server.port.number, server.bind.as_str());
            claims.entry(place).or_default().push(Claim { gateway, index, server });
        }
    }
    for ((labels, port, _), claims) in &claims {
        messages.extend(claims.iter().filter_map(|claim| conflict(claim, claims, labels, *port)));
    }
    messages
}

fn conflict(claim: &Claim<'_>, claims: &[Claim<'_>], labels: &str, port: u32) -> Option<Message> {
    let mut rivals: Vec<String> = claims
        .iter()
        .filter(|other| !std::ptr::eq(other.gateway, claim.gateway) && overlap(claim, other))
        .map(|other| key(&other.gateway.metadata))
        .collect();
    if rivals.is_empty() {
        return None;
    }
    rivals.sort();
    rivals.dedup();
    let text = format!(
        "Conflict with gateways {} (workload selector {labels}, port {port}, hosts {}).",
        rivals.join(","),
        claim.server.hosts.join(",")
    );
    let path = at("spec.servers").index(claim.index);
    Some(Message::new(Code::ConflictingGateways, refer(claim.gateway), text).at(path))
}

/// True where some host of some namespace's VirtualServices is claimed by both.
fn overlap(left: &Claim<'_>, right: &Claim<'_>) -> bool {
    left.server.hosts.iter().any(|host| {
        let (place, name) = parts(host, left.gateway);
        right.server.hosts.iter().any(|other| {
            let (other_place, other_name) = parts(other, right.gateway);
            (place == "*" || other_place == "*" || place == other_place)
                && Hostname::new(name).overlaps(&Hostname::new(other_name))
        })
    })
}

/// Namespace and name of a server's host.
fn parts<'t>(host: &'t str, gateway: &'t Object<Gateway>) -> (&'t str, &'t str) {
    match host.split_once('/') {
        Some((".", name)) => (&gateway.metadata.namespace, name),
        Some(parts) => parts,
        None => ("*", host),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn gateway(name: &str, selector: &str, port: u16, host: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  selector: {{istio: {selector}}}\n  servers:\n  - port: {{number: {port}, name: http, protocol: HTTP}}\n    hosts: ['{host}']\n---\n"
        )
    }

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {istio: edge}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: q, labels: {istio: other}}\n";

    #[test]
    fn the_same_port_and_hosts() {
        let yaml = gateway("a", "edge", 80, "*.shop.com") + &gateway("b", "edge", 80, "x.shop.com") + POD;
        assert_eq!(findings(&CHECK, &yaml), ["IST0145 Gateway default/a@7", "IST0145 Gateway default/b@16"]);
        assert_eq!(
            texts(&CHECK, &yaml)
                .iter()
                .filter(|text| text.starts_with("Conflict with gateways default/b "))
                .collect::<Vec<_>>(),
            ["Conflict with gateways default/b (workload selector istio=edge, port 80, hosts *.shop.com)."]
        );
    }

    #[test]
    fn what_can_be_told_apart() {
        for other in [
            gateway("b", "edge", 81, "a.com"),
            gateway("b", "other", 80, "a.com"),
            gateway("b", "edge", 80, "b.com"),
            gateway("b", "edge", 80, "web/a.com"),
        ] {
            let yaml = gateway("a", "edge", 80, "shop/a.com") + &other + POD;
            assert!(findings(&CHECK, &yaml).is_empty(), "{other}");
        }
    }
}
