//! IST0102, IST0103: namespaces that nobody decided about, and pods that missed their sidecar.

use std::collections::BTreeMap;

use sagene_api::kubernetes::{Namespace, Pod};
use sagene_api::{Object, Resource};
use sagene_model::workload;

use super::Check;
use crate::code::Code;
use crate::filter::IGNORED_NAMESPACES;
use crate::input::{Input, at, reference};
use crate::message::{Message, ObjectRef};

pub(super) const CHECK: Check = Check {
    name: "injection.Analyzer",
    description: "Namespaces without a decision on injection, and pods without the proxy they should have",
    codes: &[Code::NamespaceNotInjected, Code::PodMissingProxy],
    run,
};

const INJECTION_LABEL: &str = "istio-injection";
const REVISION_LABEL: &str = "istio.io/rev";
const INJECT: &str = "sidecar.istio.io/inject";
const DATA_PLANE_LABEL: &str = "istio.io/dataplane-mode";

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut injected: BTreeMap<&str, bool> = BTreeMap::new();
    for namespace in input.snapshot.namespaces.iter().filter(|namespace| concerns(namespace, input)) {
        let labels = &namespace.metadata.labels;
        let decided = labels.contains_key(INJECTION_LABEL) || labels.contains_key(REVISION_LABEL);
        let enabled = labels
            .get(INJECTION_LABEL)
            .map_or_else(|| labels.contains_key(REVISION_LABEL), |value| value == "enabled");
        injected.insert(&namespace.metadata.name, enabled);
        if !decided {
            messages.push(not_injected(&namespace.metadata.name));
        }
    }
    for pod in input.snapshot.pods.iter() {
        let enabled = injected.get(pod.metadata.namespace.as_str()).copied().unwrap_or(false);
        if enabled && wants_proxy(pod) && !workload::has_proxy(pod) {
            let text = format!(
                "The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.",
                pod.key()
            );
            messages.push(Message::new(Code::PodMissingProxy, reference(pod), text).at(at("metadata.name")));
        }
    }
    messages
}

fn concerns(namespace: &Object<Namespace>, input: &Input) -> bool {
    let name = namespace.metadata.name.as_str();
    let ambient = namespace.metadata.labels.get(DATA_PLANE_LABEL).is_some_and(|mode| mode == "ambient");
    name != input.mesh.root_namespace && !IGNORED_NAMESPACES.contains(&name) && !ambient
}

fn not_injected(name: &str) -> Message {
    let text = format!(
        "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {name} istio-injection=enabled' to enable it, or \
         'kubectl label namespace {name} istio-injection=disabled' to explicitly mark it as not needing injection."
    );
    Message::new(Code::NamespaceNotInjected, ObjectRef::new(Namespace::KIND, "", name), text)
        .at(at("metadata.name"))
}

fn wants_proxy(pod: &Object<Pod>) -> bool {
    let declared = pod.metadata.labels.get(INJECT).or_else(|| pod.metadata.annotations.get(INJECT));
    !pod.spec.host_network && !workload::is_finished(pod) && declared.is_none_or(|value| value != "false")
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    const NAMESPACES: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: on, labels: {istio-injection: enabled}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: off, labels: {istio-injection: disabled}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata:\n  name: undecided\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n";

    fn pod(namespace: &str, extra: &str, containers: &str) -> String {
        format!(
            "{NAMESPACES}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: {namespace}{extra}}}\nspec: {containers}\n"
        )
    }

    #[test]
    fn undecided_namespaces_and_pods_without_proxy() {
        let plain = "{containers: [{name: app}]}";
        let undecided = "IST0102 Namespace undecided@12".to_owned();
        assert_eq!(
            findings(&CHECK, &pod("on", "", plain)),
            ["IST0103 Pod on/p@20".to_owned(), undecided.clone()]
        );
        for quiet in [
            pod("off", "", plain),
            pod("on", ", labels: {sidecar.istio.io/inject: 'false'}", plain),
            pod("on", "", "{containers: [{name: app}, {name: istio-proxy}]}"),
            pod("on", "", "{containers: [{name: app}], initContainers: [{name: istio-proxy}]}"),
            pod("on", "", "{hostNetwork: true, containers: [{name: app}]}"),
        ] {
            assert_eq!(findings(&CHECK, &quiet), std::slice::from_ref(&undecided), "{quiet}");
        }
    }
}
