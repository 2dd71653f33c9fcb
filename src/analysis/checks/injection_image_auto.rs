//! IST0146 and IST0147: `image: auto`, which injection replaces in the container `istio-proxy`, where no injection takes place.
//!
//! A pod that exists with this image was never injected. A Deployment is judged by the webhooks: by their selectors of namespaces and of
//! pods.

use sagene_api::Object;
use sagene_api::kubernetes::admission::MutatingWebhook;
use sagene_api::kubernetes::pod::Container;
use sagene_api::kubernetes::{Deployment, MutatingWebhookConfiguration, Namespace, Pod};
use sagene_model::labels::{Labels, matches};

use super::support::mesh::Namespaces;
use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;
use crate::path::FieldPath;

pub(super) const CHECK: Check = Check {
    name: "injection.ImageAutoAnalyzer",
    description: "`image: auto` in pods that no injection takes place for",
    codes: &[Code::ImageAutoWithoutInjectionWarning, Code::ImageAutoWithoutInjectionError],
    how: Run::Whole(run),
};

/// End of the names of webhooks that inject.
pub(super) const INJECTING: &str = "sidecar-injector.istio.io";

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for pod in input.snapshot.pods.iter() {
        if let Some(path) = image_auto(&pod.spec, "spec") {
            messages.push(message(Code::ImageAutoWithoutInjectionError, pod.as_ref(), path));
        }
    }
    if !input.knows::<MutatingWebhookConfiguration>() || !input.knows::<Namespace>() {
        return messages;
    }
    let namespaces = Namespaces::of(input);
    for deployment in input.snapshot.deployments.iter() {
        let Some(path) = image_auto(&deployment.spec.template.spec, "spec.template.spec") else { continue };
        if !is_injected(input, &namespaces, deployment) {
            messages.push(message(Code::ImageAutoWithoutInjectionWarning, deployment.as_ref(), path));
        }
    }
    messages
}

fn message<S: sagene_api::Resource>(code: Code, object: &Object<S>, path: FieldPath) -> Message {
    let text = format!(
        "{} {} contains `image: auto` but does not match any Istio injection webhook selectors.",
        S::KIND,
        object.metadata.name
    );
    Message::new(code, refer(object), text).at(path)
}

fn image_auto(pod: &Pod, prefix: &str) -> Option<FieldPath> {
    let find = |containers: &[Container], field: &str| {
        let is_asking = |it: &Container| it.name == "istio-proxy" && it.image == "auto";
        let index = containers.iter().position(is_asking)?;
        Some(at(&format!("{prefix}.{field}[{index}].image")))
    };
    find(&pod.containers, "containers").or_else(|| find(&pod.init_containers, "initContainers"))
}

fn is_injected(input: &Input, namespaces: &Namespaces<'_>, deployment: &Object<Deployment>) -> bool {
    let none = Labels::new();
    let of_namespace = namespaces.labels(&deployment.metadata.namespace).unwrap_or(&none);
    let of_pod = &deployment.spec.template.metadata.labels;
    let configurations = input.snapshot.mutating_webhook_configurations.iter();
    configurations
        .flat_map(|configuration| &configuration.spec.webhooks)
        .any(|hook| selects(hook, of_namespace, of_pod))
}

/// True where a webhook injects into pods with these labels, in namespaces with those.
pub(super) fn selects(hook: &MutatingWebhook, of_namespace: &Labels, of_pod: &Labels) -> bool {
    hook.name.ends_with(INJECTING)
        && matches(&hook.namespace_selector, of_namespace)
        && matches(&hook.object_selector, of_pod)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const HOOK: &str = "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: istio-sidecar-injector}\nwebhooks:\n\
        - {name: namespace.sidecar-injector.istio.io, namespaceSelector: {matchLabels: {istio-injection: enabled}}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: 'on', labels: {istio-injection: enabled}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: 'off'}\n---\n";

    #[test]
    fn pods_and_deployments_that_nothing_injects() {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: 'on'}\nspec:\n  containers:\n  - name: istio-proxy\n    image: auto\n";
        assert_eq!(findings(&CHECK, &format!("{HOOK}{pod}")), ["IST0147 Pod on/p@21"]);
        let of_application = pod.replace("istio-proxy", "app");
        assert!(findings(&CHECK, &format!("{HOOK}{of_application}")).is_empty());
        let deployment = |namespace: &str, image: &str| {
            format!(
                "{HOOK}apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: '{namespace}'}}\nspec: {{template: {{spec: {{initContainers: [{{name: istio-proxy, image: {image}}}]}}}}}}\n"
            )
        };
        assert_eq!(findings(&CHECK, &deployment("off", "auto")), ["IST0146 Deployment off/d@18"]);
        assert_eq!(
            texts(&CHECK, &deployment("off", "auto")),
            ["Deployment d contains `image: auto` but does not match any Istio injection webhook selectors."]
        );
        assert!(findings(&CHECK, &deployment("on", "auto")).is_empty());
        assert!(findings(&CHECK, &deployment("off", "app")).is_empty());
    }
}
