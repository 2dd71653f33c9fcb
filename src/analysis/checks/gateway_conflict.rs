//! IST0145: Gateways with the same selector that claim the same port, address and hosts: only one of them is served.

use std::collections::{BTreeSet, HashMap};

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::Server;
use sagene_model::Hostname;

use super::support::gateways::missing;
use super::support::hosts::suffixes;
use super::support::pods::Pods;
use super::support::words::{key, refer, selector};
use super::support::workloads::Others;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "gateway.ConflictingGatewayAnalyzer",
    description: "Gateways of the same workloads that claim the same port and hosts",
    codes: &[Code::ReferencedResourceNotFound, Code::ConflictingGateways],
    how: Run::Whole(run),
};

/// A server and where it stands.
struct Claim<'i> {
    gateway: &'i Object<Gateway>,
    index: usize,
    server: &'i Server,
}

fn run(input: &Input) -> Vec<Message> {
    let (pods, others) = (Pods::of(input), Others::of(input));
    let mut messages = Vec::new();
    let mut claims: HashMap<(String, u32, &str), Vec<Claim<'_>>> = HashMap::new();
    for gateway in input.snapshot.gateways.iter() {
        messages.extend(missing(input, &pods, &others, gateway));
        let labels = selector(&gateway.spec.selector);
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let place = (labels.clone(), server.port.number, server.bind.as_str());
            claims.entry(place).or_default().push(Claim { gateway, index, server });
        }
    }
    for ((labels, port, _), claims) in &claims {
        let rivals = rivals(claims);
        let conflicts = claims.iter().zip(&rivals).filter(|(_, rivals)| !rivals.is_empty());
        messages.extend(conflicts.map(|(claim, rivals)| conflict(claim, rivals, claims, labels, *port)));
    }
    messages
}

fn conflict(
    claim: &Claim<'_>,
    rivals: &BTreeSet<usize>,
    claims: &[Claim<'_>],
    labels: &str,
    port: u32,
) -> Message {
    let mut rivals: Vec<String> = rivals.iter().map(|rival| key(&claims[*rival].gateway.metadata)).collect();
    rivals.sort();
    rivals.dedup();
    let text = format!(
        "Conflict with gateways {} (workload selector {labels}, port {port}, hosts {}).",
        rivals.join(","),
        claim.server.hosts.join(",")
    );
    let path = at("spec.servers").index(claim.index);
    Message::new(Code::ConflictingGateways, refer(claim.gateway), text).at(path)
}

/// For each claim, those of other Gateways that claim some host of some namespace's VirtualServices, too. Names are looked up, not
/// compared one with another: thousands of Gateways may share a port.
fn rivals(claims: &[Claim<'_>]) -> Vec<BTreeSet<usize>> {
    let mut hosts: Vec<(usize, &str, Hostname)> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        hosts.extend(claim.server.hosts.iter().map(|text| {
            let (place, name) = parts(text, claim.gateway);
            (index, place, Hostname::new(name))
        }));
    }
    let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut wildcards: HashMap<&str, Vec<usize>> = HashMap::new();
    for (position, (_, _, host)) in hosts.iter().enumerate() {
        match host.as_str().strip_prefix('*') {
            Some(suffix) => wildcards.entry(suffix).or_default().push(position),
            None => exact.entry(host.as_str()).or_default().push(position),
        }
    }
    let mut rivals = vec![BTreeSet::new(); claims.len()];
    for (own, place, host) in &hosts {
        // What is as wide as this host, or wider. What is narrower finds this one.
        let wider = suffixes(host.as_str()).filter_map(|suffix| wildcards.get(suffix));
        let same = host.as_str().strip_prefix('*').and_then(|suffix| wildcards.get(suffix));
        for position in wider.chain(same).chain(exact.get(host.as_str())).flatten() {
            let (other, other_place, _) = &hosts[*position];
            let same_place = *place == "*" || *other_place == "*" || place == other_place;
            if same_place && !std::ptr::eq(claims[*own].gateway, claims[*other].gateway) {
                rivals[*own].insert(*other);
                rivals[*other].insert(*own);
            }
        }
    }
    rivals
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
    fn wildcards_meet_what_they_cover() {
        for (one, other) in
            [("*", "*.a.com"), ("*.a.com", "*.b.a.com"), ("*-x.com", "*-x.com"), ("A.com", "a.com")]
        {
            let yaml = gateway("a", "edge", 80, one) + &gateway("b", "edge", 80, other) + POD;
            assert_eq!(findings(&CHECK, &yaml).len(), 2, "{one} {other}");
        }
    }

    #[test]
    fn what_can_be_told_apart() {
        for other in [
            gateway("b", "edge", 81, "a.com"),
            gateway("b", "other", 80, "a.com"),
            gateway("b", "edge", 80, "b.com"),
            gateway("b", "edge", 80, "*.a.com"),
            gateway("b", "edge", 80, "web/a.com"),
        ] {
            let yaml = gateway("a", "edge", 80, "shop/a.com") + &other + POD;
            assert!(findings(&CHECK, &yaml).is_empty(), "{other}");
        }
    }
}
