//! IST0174 and IST0173: DestinationRules for hosts that no service has, and subsets that select no endpoint.
//!
//! Endpoints of a Service are the pods that its selector finds, with the labels of the place that their node is in; those of a
//! ServiceEntry are its own or the workloads that it selects. WorkloadEntries count too, and what pods will be made from as files say.

use std::collections::{HashMap, HashSet};

use sagene_api::Object;
use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::istio::networking::{DestinationRule, ServiceEntry, WorkloadEntry};
use sagene_api::kubernetes::{Pod, Service};
use sagene_model::Hostname;
use sagene_model::labels::{Labels, has_all};

use super::support::destinations::destinations;
use super::support::hosts::{Hosts, Source, may_exist_elsewhere};
use super::support::pods::Pods;
use super::support::words::refer;
use super::support::workloads::Others;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "destinationrule.SubsetSelectPodAnalyzer",
    description: "DestinationRules for unknown hosts, and subsets that select no endpoint",
    codes: &[Code::UnknownDestinationRuleHost, Code::DestinationRuleSubsetNotSelectPods],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    if input.snapshot.destination_rules.is_empty() {
        return Vec::new();
    }
    let hosts = Hosts::of(input);
    let (pods, others) = (Pods::of(input), Others::of(input));
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
        let sources: Vec<Source<'_>> =
            hosts.find(&host).filter(|source| reaches(input, rule, *source)).collect();
        if sources.is_empty() {
            if !may_exist_elsewhere(&rule.spec.host, input) {
                messages.push(unknown_host(rule));
            }
            continue;
        }
        let selects = |subset: &Subset| {
            let endpoints = Endpoints { input, pods: &pods, others: &others, nodes: &nodes };
            sources.iter().any(|source| endpoints.has(*source, &subset.labels))
        };
        let is_routed = |subset: &Subset| {
            let mut spellings = Hosts::spellings(&rule.spec.host, namespace, &input.mesh);
            routed
                .as_ref()
                .is_none_or(|routed| spellings.any(|host| routed.contains(&(host, subset.name.as_str()))))
        };
        let chosen = || rule.spec.subsets.iter().enumerate().filter(|(_, subset)| !subset.labels.is_empty());
        let empty: Vec<(usize, &Subset)> = chosen().filter(|(_, subset)| !selects(subset)).collect();
        // Where all are empty, the labels are wrong, whoever is going to route there.
        let are_all_empty = empty.len() == chosen().count();
        for (index, subset) in empty {
            if are_all_empty || is_routed(subset) {
                messages.push(empty_subset(rule, index, subset));
            }
        }
    }
    messages
}

/// The subsets that routes lead to. `None` where only files are known: who routes to their subsets stands elsewhere. A subset of a
/// live mesh that no route leads to gets no request, so that nothing is wrong with it while the rule's others have endpoints.
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

/// True where some client may use a rule for this: where the rule's namespace has it or sees it. Rules of the root namespace are for all.
fn reaches(input: &Input, rule: &Object<DestinationRule>, source: Source<'_>) -> bool {
    let namespace = rule.metadata.namespace.as_str();
    namespace == input.mesh.root_namespace
        || namespace == source.namespace()
        || source.is_visible_in(namespace, &input.mesh)
}

/// All that may be an endpoint.
struct Endpoints<'a, 'i> {
    input: &'a Input,
    pods: &'a Pods<'i>,
    others: &'a Others<'i>,
    /// Labels of nodes, by name.
    nodes: &'a HashMap<&'i str, &'i Labels>,
}

impl Endpoints<'_, '_> {
    /// True where an endpoint has these labels, or where nothing can be said about endpoints.
    fn has(&self, source: Source<'_>, labels: &Labels) -> bool {
        match source {
            Source::Service(service) => self.of_service(service, labels),
            Source::Entry(entry) => self.of_entry(entry, labels),
        }
    }

    fn of_service(&self, service: &Object<Service>, labels: &Labels) -> bool {
        service.spec.selector.is_empty()
            || service.spec.r#type == "ExternalName"
            || self.among_workloads(&service.metadata.namespace, &service.spec.selector, labels)
    }

    fn of_entry(&self, entry: &Object<ServiceEntry>, labels: &Labels) -> bool {
        if let Some(selector) = &entry.spec.workload_selector {
            return self.among_workloads(&entry.metadata.namespace, &selector.labels, labels);
        }
        let endpoints = &entry.spec.endpoints;
        endpoints.is_empty() || endpoints.iter().any(|endpoint| has_all(&endpoint.labels, labels))
    }

    fn among_workloads(&self, namespace: &str, selector: &Labels, labels: &Labels) -> bool {
        let is_unknown = !self.input.knows::<Pod>() || self.input.is_withheld::<WorkloadEntry>();
        let mut selected = self.pods.select(Some(namespace), selector);
        is_unknown
            || selected
                .any(|pod| carries(&pod.metadata.labels, self.nodes.get(pod.spec.node_name.as_str()), labels))
            || self.others.any(Some(namespace), |own| has_all(own, selector) && carries(own, None, labels))
    }
}

/// True where a workload has the labels, those of its node included.
fn carries(own: &Labels, node: Option<&&Labels>, labels: &Labels) -> bool {
    labels.iter().all(|(key, value)| match (own.get(key), of_place(key)) {
        (Some(own), _) => own == value,
        (None, false) => false,
        // What is on no known node may be anywhere.
        (None, true) => node.is_none_or(|labels| labels.get(key).is_none_or(|place| place == value)),
    })
}

/// Labels that endpoints get from their node or cluster.
fn of_place(key: &str) -> bool {
    key.starts_with("topology.kubernetes.io/")
        || key.starts_with("topology.istio.io/")
        || key.starts_with("failure-domain.beta.kubernetes.io/")
        || key == "kubernetes.io/hostname"
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const HEAD: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {selector: {app: cart}, ports: [{port: 80}]}\n---\n\
        apiVersion: v1\nkind: Node\nmetadata: {name: 'n', labels: {topology.kubernetes.io/zone: z1}}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, labels: {app: cart, version: v1}}\nspec: {nodeName: 'n', containers: [{name: app}]}\n---\n\
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
        let alone = rule("cart", "{version: v2}").replace(ROUTES, "");
        assert_eq!(findings(&CHECK, &alone).len(), 1, "no subset of the rule has endpoints");
        let yaml = format!("{alone}  - {{name: t, labels: {{version: v1}}}}\n");
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
        assert_eq!(findings(&CHECK, &rule("cart.shop", "{}")).len(), 1, "hosts are short or in full");
        for good in ["cart", "cart.shop.svc.cluster.local", "a.io", "'*.nowhere.io'"] {
            assert!(findings(&CHECK, &rule(good, "{}")).is_empty(), "{good}");
        }
    }

    #[test]
    fn services_that_the_rules_namespace_does_not_see() {
        let yaml = |place: &str, export_to: &str| {
            rule("cart.shop.svc.cluster.local", "{}")
                .replace("name: cart, namespace: shop", &format!("name: cart, namespace: shop, annotations: {{networking.istio.io/exportTo: {export_to}}}"))
                .replace("name: d, namespace: shop", &format!("name: d, namespace: {place}"))
        };
        assert_eq!(findings(&CHECK, &yaml("web", ".")), ["IST0174 DestinationRule web/d@29"]);
        for (place, export_to) in [("web", "'*'"), ("web", "web"), ("shop", "other"), ("istio-system", ".")] {
            assert!(findings(&CHECK, &yaml(place, export_to)).is_empty(), "{place} {export_to}");
        }
    }

    #[test]
    fn pods_that_files_will_make_are_endpoints() {
        let yaml = rule("cart", "{version: v7}");
        let maker = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w, namespace: shop}\nspec: {template: {metadata: {labels: {app: cart, version: v7}}}}\n";
        assert_eq!(findings(&CHECK, &yaml).len(), 1);
        assert!(findings(&CHECK, &format!("{yaml}{maker}")).is_empty());
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
