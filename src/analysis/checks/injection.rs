//! IST0102, IST0103, IST0123, IST0148: namespaces that nobody decided about, or that two labels decide about, and pods that missed their
//! sidecar.
//!
//! Namespaces of Kubernetes itself, of the control plane and in ambient mode need no decision. A pod that says itself that it wants no
//! proxy, shares the node's network or has ended is not missing one.

use sagene_api::Object;
use sagene_api::kubernetes::{Namespace, Pod};
use sagene_model::workload;

use super::support::mesh::{
    INJECTION_LABEL, Injection, Namespaces, REVISION_LABEL, declared, injection, is_ambient,
};
use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::filter::IGNORED_NAMESPACES;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "injection.Analyzer",
    description: "Namespaces without a decision on injection, or with two, and pods without the proxy they should have",
    codes: &[
        Code::NamespaceNotInjected,
        Code::PodMissingProxy,
        Code::NamespaceMultipleInjectionLabels,
        Code::NamespaceInjectionEnabledByDefault,
    ],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let namespaces = Namespaces::of(input);
    let concerned = input.snapshot.namespaces.iter().filter(|namespace| concerns(namespace, input));
    let mut messages: Vec<Message> =
        concerned.filter_map(|namespace| of_namespace(namespace, namespaces.injects_by_default())).collect();
    for pod in input.snapshot.pods.iter() {
        let name = pod.metadata.namespace.as_str();
        if IGNORED_NAMESPACES.contains(&name) || !namespaces.is_injected(name) || !wants_proxy(pod) {
            continue;
        }
        let text = format!(
            "The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.",
            key(&pod.metadata)
        );
        messages.push(Message::new(Code::PodMissingProxy, refer(pod.as_ref()), text).at(at("metadata.name")));
    }
    messages
}

fn concerns(namespace: &Object<Namespace>, input: &Input) -> bool {
    let name = namespace.metadata.name.as_str();
    // Nothing starts any more in a namespace that is being deleted.
    namespace.metadata.deletion_timestamp.is_none()
        && name != input.mesh.root_namespace
        && !IGNORED_NAMESPACES.contains(&name)
}

fn of_namespace(namespace: &Object<Namespace>, by_default: bool) -> Option<Message> {
    let labels = &namespace.metadata.labels;
    let name = &namespace.metadata.name;
    let message = |code, text| Message::new(code, refer(namespace), text);
    match injection(labels) {
        Injection::Enabled | Injection::Disabled
            if labels.contains_key(INJECTION_LABEL) && labels.contains_key(REVISION_LABEL) =>
        {
            let text = format!(
                "The namespace has more than one type of injection labels [{INJECTION_LABEL} {REVISION_LABEL}], which may lead to undefined \
                 behavior. Make sure only one injection label exists."
            );
            let path = at("metadata.labels").key(REVISION_LABEL);
            Some(message(Code::NamespaceMultipleInjectionLabels, text).at(path))
        }
        Injection::Undecided if by_default => {
            let text = "is enabled for Istio injection, as Istio is installed with enableNamespacesByDefault as true.";
            let code = Code::NamespaceInjectionEnabledByDefault;
            Some(message(code, text.to_owned()).at(at("metadata.name")))
        }
        Injection::Undecided => {
            let text = format!(
                "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {name} istio-injection=enabled' to enable it, \
                 or 'kubectl label namespace {name} istio-injection=disabled' to explicitly mark it as not needing injection."
            );
            Some(message(Code::NamespaceNotInjected, text).at(at("metadata.name")))
        }
        _ => None,
    }
}

fn wants_proxy(pod: &Object<Pod>) -> bool {
    !workload::has_proxy(pod)
        && !pod.spec.host_network
        && !workload::is_finished(pod)
        && !is_ambient(&pod.metadata.labels)
        && declared(&pod.metadata) != Some(false)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const NAMESPACES: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: 'on', labels: {istio-injection: enabled}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: 'off', labels: {istio-injection: disabled}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: node, labels: {istio.io/dataplane-mode: ambient}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata:\n  name: undecided\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n";

    fn pod(namespace: &str, extra: &str, containers: &str) -> String {
        format!(
            "{NAMESPACES}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: '{namespace}'{extra}}}\nspec: {containers}\n"
        )
    }

    #[test]
    fn undecided_namespaces_and_pods_without_proxy() {
        let plain = "{containers: [{name: app}]}";
        let undecided = "IST0102 Namespace undecided@16".to_owned();
        assert_eq!(
            findings(&CHECK, &pod("on", "", plain)),
            ["IST0103 Pod on/p@24".to_owned(), undecided.clone()]
        );
        assert!(texts(&CHECK, &pod("on", "", plain))[1].starts_with("The pod on/p is missing"));
        for quiet in [
            pod("off", "", plain),
            pod("node", "", plain),
            pod("elsewhere", "", plain),
            pod("on", ", labels: {sidecar.istio.io/inject: 'false'}", plain),
            pod("on", ", annotations: {sidecar.istio.io/inject: 'false'}", plain),
            pod("on", "", "{containers: [{name: app}, {name: istio-proxy}]}"),
            pod("on", "", "{containers: [{name: app}], initContainers: [{name: istio-proxy}]}"),
            pod("on", "", "{hostNetwork: true, containers: [{name: app}]}"),
        ] {
            assert_eq!(findings(&CHECK, &quiet), std::slice::from_ref(&undecided), "{quiet}");
        }
    }

    #[test]
    fn two_labels_and_injection_by_default() {
        let namespace = |labels: &str| {
            format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: 'n'\n  labels: {labels}\n")
        };
        let both = "{istio-injection: enabled, istio.io/rev: canary}";
        assert_eq!(findings(&CHECK, &namespace(both)), ["IST0123 Namespace n@5"]);
        assert!(texts(&CHECK, &namespace(both))[0].contains("[istio-injection istio.io/rev], which"));
        let disabled = "{istio-injection: disabled, istio.io/rev: canary}";
        assert_eq!(findings(&CHECK, &namespace(disabled)), ["IST0123 Namespace n@5"]);
        for quiet in [
            "{istio-injection: disabled}",
            "{istio.io/rev: canary}",
            "{istio.io/dataplane-mode: ambient, istio-injection: enabled, istio.io/rev: canary}",
        ] {
            assert!(findings(&CHECK, &namespace(quiet)).is_empty(), "{quiet}");
        }
        let by_default = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-sidecar-injector, namespace: istio-system}\ndata:\n  \
                          values: '{\"sidecarInjectorWebhook\": {\"enableNamespacesByDefault\": true}}'\n";
        assert_eq!(findings(&CHECK, &(namespace("{}") + by_default)), ["IST0148 Namespace n@4"]);
    }
}
