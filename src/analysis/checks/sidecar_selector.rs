//! IST0101, IST0110, IST0111 and IST0167 for Sidecars: selectors without pod, several Sidecars for one pod or namespace, and such for
//! workloads that have no sidecar.

use sagene_api::Object;
use sagene_api::istio::networking::Sidecar;
use sagene_model::labels::Labels;

use super::support::mesh::{Injection, Namespaces};
use super::support::pods::Pods;
use super::support::selection::{Selecting, once, several_for_a_pod, several_without_selector};
use super::support::words::{first_label, list, not_found, refer, selector};
use super::support::workloads::{Others, nobody_has};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sidecar.SelectorAnalyzer",
    description: "Sidecars for no pod, several for one pod or namespace, and such for workloads without a sidecar",
    codes: &[
        Code::ReferencedResourceNotFound,
        Code::ConflictingSidecarWorkloadSelectors,
        Code::MultipleSidecarsWithoutWorkloadSelectors,
        Code::IneffectivePolicy,
    ],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let namespaces = Namespaces::of(input);
    let (pods, others) = (Pods::of(input), Others::of(input));
    let mut messages = Vec::new();
    for sidecar in input.snapshot.sidecars.iter() {
        messages.extend(of_sidecar(input, &namespaces, &pods, &others, sidecar));
    }
    let selecting = |sidecar: &Sidecar| labels(sidecar).cloned();
    let all: Vec<Selecting<'_, Sidecar>> = Selecting::all(input.snapshot.sidecars.iter(), selecting);
    for (own, (group, namespace, pod)) in once(&several_for_a_pod(&all, &pods)) {
        let text = format!(
            "The Sidecars {} in namespace {namespace:?} select the same workload pod {pod:?}, which can lead to undefined behavior.",
            list(group.iter().map(|it| &it.object.metadata.name))
        );
        let path = first_label("spec.workloadSelector.labels", own.labels.as_ref().unwrap_or(&Labels::new()));
        let code = Code::ConflictingSidecarWorkloadSelectors;
        messages.push(Message::new(code, refer(own.object), text).at(path));
    }
    for (group, namespace) in several_without_selector(&all) {
        for own in &group {
            let text = format!(
                "The Sidecars {} in namespace {namespace:?} have no workload selector, which can lead to undefined behavior.",
                list(group.iter().map(|it| &it.object.metadata.name))
            );
            let code = Code::MultipleSidecarsWithoutWorkloadSelectors;
            messages.push(Message::new(code, refer(own.object), text).at(at("metadata.name")));
        }
    }
    messages
}

fn labels(sidecar: &Sidecar) -> Option<&Labels> {
    sidecar.workload_selector.as_ref().map(|selector| &selector.labels).filter(|labels| !labels.is_empty())
}

fn of_sidecar(
    input: &Input,
    namespaces: &Namespaces<'_>,
    pods: &Pods<'_>,
    others: &Others<'_>,
    sidecar: &Object<Sidecar>,
) -> Option<Message> {
    let namespace = sidecar.metadata.namespace.as_str();
    let ineffective = |what: &str, path| {
        let text = format!("The policy has no impact: {what}.");
        Message::new(Code::IneffectivePolicy, refer(sidecar), text).at(path)
    };
    let Some(labels) = labels(&sidecar.spec) else {
        let is_ambient =
            namespaces.get(namespace) == Some(Injection::Ambient) && namespace != input.mesh.root_namespace;
        return is_ambient.then(|| {
            ineffective("namespace is in ambient mode, the policy has no impact", at("metadata.name"))
        });
    };
    let path = first_label("spec.workloadSelector.labels", labels);
    let place = (namespace != input.mesh.root_namespace).then_some(namespace);
    let mut selected = pods.select(place, labels).peekable();
    if selected.peek().is_none() {
        return nobody_has(input, pods, others, place, labels)
            .then(|| not_found(sidecar, "selector", &selector(labels), path));
    }
    selected
        .all(|pod| namespaces.is_ambient(pod))
        .then(|| ineffective("selected workload is in ambient mode, the policy has no impact", path))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const HEAD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: 'n', labels: {app: web, version: v1}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: amb, labels: {istio.io/dataplane-mode: ambient}}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: amb, labels: {app: web}}\n---\n";

    fn sidecar(name: &str, namespace: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}, namespace: '{namespace}'}}\nspec:\n  {spec}\n---\n"
        )
    }

    #[test]
    fn selectors_that_find_nothing_or_the_same() {
        let bogus = HEAD.to_owned() + &sidecar("s", "n", "workloadSelector:\n    labels:\n      app: bogus");
        assert_eq!(findings(&CHECK, &bogus), ["IST0101 Sidecar n/s@19"]);
        let twice = HEAD.to_owned()
            + &sidecar("a", "n", "workloadSelector: {labels: {app: web}}")
            + &sidecar("b", "n", "workloadSelector: {labels: {version: v1}}");
        assert_eq!(findings(&CHECK, &twice), ["IST0110 Sidecar n/a@17", "IST0110 Sidecar n/b@23"]);
        assert_eq!(
            texts(&CHECK, &twice)[0],
            "The Sidecars [a b] in namespace \"n\" select the same workload pod \"p\", which can lead to undefined behavior."
        );
        let three = twice.clone()
            + "apiVersion: v1\nkind: Pod\nmetadata: {name: r, namespace: 'n', labels: {app: web}}\n---\n"
            + &sidecar("c", "n", "workloadSelector: {labels: {app: web}}");
        assert_eq!(findings(&CHECK, &three).len(), 3, "each Sidecar once, for however many pods");
        let once = HEAD.to_owned()
            + &sidecar("a", "n", "workloadSelector: {labels: {app: web}}")
            + &sidecar("b", "n", "{}");
        assert!(findings(&CHECK, &once).is_empty());
    }

    #[test]
    fn several_for_a_namespace() {
        let yaml = sidecar("a", "n", "{}") + &sidecar("b", "n", "{}") + &sidecar("c", "other", "{}");
        assert_eq!(findings(&CHECK, &yaml), ["IST0111 Sidecar n/a@3", "IST0111 Sidecar n/b@9"]);
        assert_eq!(
            texts(&CHECK, &yaml)[0],
            "The Sidecars [a b] in namespace \"n\" have no workload selector, which can lead to undefined behavior."
        );
    }

    #[test]
    fn workloads_without_a_sidecar() {
        for spec in ["{}", "workloadSelector: {labels: {app: web}}"] {
            let found = findings(&CHECK, &(HEAD.to_owned() + &sidecar("s", "amb", spec)));
            assert!(found.len() == 1 && found[0].starts_with("IST0167 Sidecar amb/s"), "{found:?}");
        }
    }
}
