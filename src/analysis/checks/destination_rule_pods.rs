//! IST0174 and IST0173: DestinationRules for hosts that no service has, and subsets that select no endpoint.
//!
//! Endpoints of a Service are the pods that its selector finds, with the labels of the place that their node is in; those of a
//! ServiceEntry are its own or the workloads that it selects.

use std::collections::{HashMap, HashSet};

use sagene_api::Object;
use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::istio::networking::{DestinationRule, ServiceEntry, WorkloadEntry};
use sagene_api::kubernetes::{Pod, Service};
use sagene_model::Hostname;
use sagene_model::labels::{Labels, has_all};

use super::Check;
use super::support::destinations::destinations;
use super::support::hosts::{Hosts, Source, may_exist_elsewhere};
use super::support::pods::{PodRef, Pods};
use super::support::words::refer;
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "destinationrule.SubsetSelectPodAnalyzer",
    description: "DestinationRules for unknown hosts, and subsets that select no endpoint",
    codes: &[Code::UnknownDestinationRuleHost, Code::DestinationRuleSubsetNotSelectPods],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    if input.snapshot.destination_rules.is_empty() {
        return Vec::new();
    }
    let hosts = Hosts::of(input);
    let pods = Pods::of(input);
    let nodes: HashMap<&str, &Labels> = input
        .snapshot
        .nodes
        .iter()
        .map(|node| (node.metadata.name.as_str(), &node.metadata.labels))
        .collect();
    let routed = routed(input);
    let mut messages = Vec::new();
    for rule in input.snapshot.destination_rules.iter() {
        let namespace = &rule.metadata.namespace;
        let host = Hostname::resolve(&rule.spec.host, namespace, &input.mesh.domain);
        if host.is_wildcard() || rule.spec.host.is_empty() {
            continue;
        }
        // A rule is about a host whether or not its own namespace sees it: clients elsewhere may.
        let spellings = Hosts::spellings(&rule.spec.host, namespace, &input.mesh);
        let sources: Vec<Source<'_>> =
            spellings.flat_map(|host| hosts.find(&host).collect::<Vec<_>>()).collect();
        if sources.is_empty() {
            if !may_exist_elsewhere(&rule.spec.host, input) {
                messages.push(unknown_host(rule));
            }
            continue;
        }
        let selects = |subset: &Subset| {
            sources.iter().any(|source| has_endpoint(input, &pods, &nodes, *source, &subset.labels))
        };
        let is_routed = |subset: &Subset| {
            let mut spellings = Hosts::spellings(&rule.spec.host, namespace, &input.mesh);
            routed
                .as_ref()
                .is_none_or(|routed| spellings.any(|host| routed.contains(&(host, subset.name.as_str()))))
        };
        for (index, subset) in rule.spec.subsets.iter().enumerate() {
            if !subset.labels.is_empty() && is_routed(subset) && !selects(subset) {
                messages.push(empty_subset(rule, index, subset));
            }
        }
    }
    messages
}

/// The subsets that routes lead to. `None` where only files are known: who routes to their subsets stands elsewhere. A subset of a
/// live mesh that no route leads to gets no request, so that nothing is wrong with it.
fn routed(input: &Input) -> Option<HashSet<(Hostname, &str)>> {
    if input.files_alone {
        return None;
    }
    let mut routed = HashSet::new();
    for object in input.snapshot.virtual_services.iter() {
        for (_, destination) in destinations(&object.spec) {
            let spellings = Hosts::spellings(&destination.host, &object.metadata.namespace, &input.mesh);
            routed.extend(spellings.map(|host| (host, destination.subset.as_str())));
        }
    }
    Some(routed)
}

fn unknown_host(rule: &Object<DestinationRule>) -> Message {
    let text = format!(
        "The host {} defined in the DestinationRule does not match any services in the mesh.",
        rule.spec.host
    );
    Message::new(Code::UnknownDestinationRuleHost, refer(rule), text).at(at("spec.host"))
}

fn empty_subset(rule: &Object<DestinationRule>, index: usize, subset: &Subset) -> Message {
    let text = format!(
        "The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH (NoHealthyUpstream).",
        subset.name
    );
    let path = at(&format!("spec.subsets[{index}].name"));
    Message::new(Code::DestinationRuleSubsetNotSelectPods, refer(rule), text).at(path)
}

/// True where an endpoint has these labels, or where nothing can be said about endpoints.
fn has_endpoint(
    input: &Input,
    pods: &Pods<'_>,
    nodes: &HashMap<&str, &Labels>,
    source: Source<'_>,
    labels: &Labels,
) -> bool {
    match source {
        Source::Service(service) => of_service(input, pods, nodes, service, labels),
        Source::Entry(entry) => of_entry(input, pods, entry, labels),
    }
}

fn of_service(
    input: &Input,
    pods: &Pods<'_>,
    nodes: &HashMap<&str, &Labels>,
    service: &Object<Service>,
    labels: &Labels,
) -> bool {
    let may_have_others = !input.knows::<Pod>() || input.is_withheld::<WorkloadEntry>();
    if may_have_others || service.spec.selector.is_empty() || service.spec.r#type == "ExternalName" {
        return true;
    }
    let namespace = &service.metadata.namespace;
    let selected = pods.select(Some(namespace), &service.spec.selector);
    let mut entries = input.snapshot.workload_entries.in_namespace(namespace);
    selected.into_iter().any(|pod| carries(pod, nodes, labels))
        || entries.any(|entry| {
            has_all(&entry.spec.labels, &service.spec.selector) && has_all(&entry.spec.labels, labels)
        })
}

/// True where a pod has the labels, those of its place included.
fn carries(pod: PodRef<'_>, nodes: &HashMap<&str, &Labels>, labels: &Labels) -> bool {
    let node = nodes.get(pod.spec.node_name.as_str());
    labels.iter().all(|(key, value)| {
        let own = pod.metadata.labels.get(key);
        match (own, of_place(key)) {
            (Some(own), _) => own == value,
            (None, false) => false,
            // A pod that is on no known node may be anywhere.
            (None, true) => node.is_none_or(|labels| labels.get(key).is_none_or(|place| place == value)),
        }
    })
}

/// Labels that endpoints get from their node or cluster.
fn of_place(key: &str) -> bool {
    key.starts_with("topology.kubernetes.io/")
        || key.starts_with("topology.istio.io/")
        || key.starts_with("failure-domain.beta.kubernetes.io/")
        || key == "kubernetes.io/hostname"
}

fn of_entry(input: &Input, pods: &Pods<'_>, entry: &Object<ServiceEntry>, labels: &Labels) -> bool {
    if let Some(selector) = &entry.spec.workload_selector {
        let namespace = entry.metadata.namespace.as_str();
        let mut entries = input.snapshot.workload_entries.in_namespace(namespace);
        return !input.knows::<Pod>()
            || input.is_withheld::<WorkloadEntry>()
            || pods
                .select(Some(namespace), &selector.labels)
                .any(|pod| carries(pod, &HashMap::new(), labels))
            || entries
                .any(|it| has_all(&it.spec.labels, &selector.labels) && has_all(&it.spec.labels, labels));
    }
    let endpoints = &entry.spec.endpoints;
    endpoints.is_empty() || endpoints.iter().any(|endpoint| has_all(&endpoint.labels, labels))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const HEAD: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {selector: {app: cart}, ports: [{port: 80}]}\n---\n\
        apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {topology.kubernetes.io/zone: z1}}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, labels: {app: cart, version: v1}}\nspec: {nodeName: n, containers: [{name: app}]}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: shop, labels: {app: other, version: v2}}\nspec: {containers: [{name: app}]}\n---\n\
        apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: shop}\nspec: {hosts: [a.io], endpoints: [{address: 1.1.1.1, labels: {version: v3}}]}\n---\n";

    const ROUTES: &str = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\nspec:\n  hosts: [cart]\n  http:\n  - route:\n    - destination: {host: cart, subset: s}\n    - destination: {host: a.io, subset: s}\n";

    fn rule(host: &str, labels: &str) -> String {
        format!(
            "{HEAD}apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d, namespace: shop}}\nspec:\n  host: {host}\n  subsets:\n  - name: s\n    labels: {labels}\n{ROUTES}"
        )
    }

    #[test]
    fn an_empty_subset_that_no_route_leads_to_harms_nobody() {
        let yaml = rule("cart", "{version: v2}").replace(ROUTES, "");
        assert!(findings(&CHECK, &yaml).is_empty());
        let mut input = Input { files_alone: true, ..Input::default() };
        crate::input::load(&mut input, "test.yaml", yaml, "default");
        assert_eq!(run(&input).len(), 1, "files do not tell who routes to it");
    }

    #[test]
    fn hosts_that_no_service_has() {
        assert_eq!(findings(&CHECK, &rule("basket", "{}")), ["IST0174 DestinationRule shop/d@29"]);
        assert_eq!(
            texts(&CHECK, &rule("basket", "{}")),
            ["The host basket defined in the DestinationRule does not match any services in the mesh."]
        );
        for good in ["cart", "cart.shop", "cart.shop.svc.cluster.local", "a.io", "'*.nowhere.io'"] {
            assert!(findings(&CHECK, &rule(good, "{}")).is_empty(), "{good}");
        }
    }

    #[test]
    fn subsets_that_no_endpoint_is_in() {
        assert_eq!(findings(&CHECK, &rule("cart", "{version: v2}")), ["IST0173 DestinationRule shop/d@31"]);
        for (host, bad) in [("cart", "{topology.kubernetes.io/zone: z2}"), ("a.io", "{version: v1}")] {
            assert_eq!(findings(&CHECK, &rule(host, bad)).len(), 1, "{host} {bad}");
        }
        for (host, good) in [
            ("cart", "{version: v1}"),
            ("cart", "{version: v1, topology.kubernetes.io/zone: z1}"),
            ("a.io", "{version: v3}"),
        ] {
            assert!(findings(&CHECK, &rule(host, good)).is_empty(), "{host} {good}");
        }
    }
}
