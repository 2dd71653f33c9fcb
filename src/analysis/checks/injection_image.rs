//! IST0158: pods whose proxy is of another image than injection would put in now.

use std::collections::BTreeMap;

use sagene_api::Object;
use sagene_api::kubernetes::{Namespace, Pod};
use serde_json::Value;

use super::support::mesh::{INJECTOR, Namespaces, REVISION_LABEL};
use super::support::words::{list, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "injection.ImageAnalyzer",
    description: "Pods whose proxy is of another image than injection puts in",
    codes: &[Code::PodsIstioProxyImageMismatchInNamespace],
    how: Run::Whole(run),
};

/// Annotations by which a pod asks for an image of its own.
const OWN_IMAGE: [&str; 2] = ["sidecar.istio.io/proxyImage", "sidecar.istio.io/proxyImageType"];

/// Label of a webhook that stands for a tag.
const TAG_LABEL: &str = "istio.io/tag";
/// Name of the revision, and of the tag, that counts where nothing is said.
const DEFAULT: &str = "default";

fn run(input: &Input) -> Vec<Message> {
    let (images, tags) = (images(input), tags(input));
    let namespaces = Namespaces::of(input);
    let mut messages = Vec::new();
    for namespace in input.snapshot.namespaces.iter().filter(|it| namespaces.is_injected(&it.metadata.name)) {
        let stale: Vec<&str> = input
            .snapshot
            .pods
            .in_namespace(&namespace.metadata.name)
            .filter(|pod| is_stale(pod, namespace, &images, &tags))
            .map(|pod| pod.metadata.name.as_str())
            .collect();
        if stale.is_empty() {
            continue;
        }
        let text = format!(
            "The Istio proxy images of the pods running in the namespace do not match the image defined in the injection configuration (pod \
             names: {}). This often happens after upgrading the Istio control-plane and can be fixed by redeploying the pods.",
            list(&stale)
        );
        let code = Code::PodsIstioProxyImageMismatchInNamespace;
        messages.push(Message::new(code, refer(namespace.as_ref()), text).at(at("metadata.name")));
    }
    messages
}

/// Images by revision; the default revision's is under the empty name.
fn images(input: &Input) -> BTreeMap<String, String> {
    let maps = input.snapshot.config_maps.in_namespace(&input.mesh.root_namespace);
    maps.filter_map(|map| {
        let revision = map.metadata.name.strip_prefix(INJECTOR)?.trim_start_matches('-').to_owned();
        let values: Value = serde_json::from_str(map.spec.data.get("values")?).ok()?;
        Some((revision, image(&values)?))
    })
    .collect()
}

/// `hub/image:tag[-variant]`.
fn image(values: &Value) -> Option<String> {
    let global = values.get("global")?;
    let text = |path: &str| match global.pointer(path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let image = text("/proxy/image")?;
    // An image with a slash is complete.
    if image.contains('/') {
        return Some(image);
    }
    let tag = text("/tag")?;
    let variant =
        text("/variant").filter(|variant| variant != "default" && !tag.ends_with(&format!("-{variant}")));
    let variant = variant.map(|variant| format!("-{variant}")).unwrap_or_default();
    Some(format!("{}/{image}:{tag}{variant}", text("/hub")?))
}

/// Revisions by the tags that stand for them.
fn tags(input: &Input) -> BTreeMap<&str, &str> {
    let webhooks = input.snapshot.mutating_webhook_configurations.iter();
    let labels = webhooks.map(|webhook| &webhook.metadata.labels);
    labels
        .filter_map(|labels| Some((labels.get(TAG_LABEL)?.as_str(), labels.get(REVISION_LABEL)?.as_str())))
        .collect()
}

fn is_stale(
    pod: &Object<Pod>,
    namespace: &Object<Namespace>,
    images: &BTreeMap<String, String>,
    tags: &BTreeMap<&str, &str>,
) -> bool {
    if OWN_IMAGE.iter().any(|annotation| pod.metadata.annotations.contains_key(*annotation)) {
        return false;
    }
    let revision =
        pod.metadata.labels.get(REVISION_LABEL).or_else(|| namespace.metadata.labels.get(REVISION_LABEL));
    let named = revision.map_or(DEFAULT, String::as_str);
    let revision = tags.get(named).copied().unwrap_or(named);
    let Some(wanted) = images.get(if revision == DEFAULT { "" } else { revision }) else { return false };
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let proxy = containers.into_iter().find(|container| container.name == "istio-proxy");
    proxy.is_some_and(|proxy| !proxy.image.is_empty() && proxy.image != *wanted)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(image: &str, annotations: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: 'n', labels: {{istio-injection: enabled}}}}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio-sidecar-injector, namespace: istio-system}}\ndata:\n  \
             values: '{{\"global\": {{\"hub\": \"h.io\", \"tag\": \"1.2.3\", \"variant\": \"distroless\", \"proxy\": {{\"image\": \"proxyv2\"}}}}}}'\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: 'n', annotations: {annotations}}}\nspec: {{containers: [{{name: istio-proxy, image: '{image}'}}]}}\n"
        )
    }

    #[test]
    fn another_version_of_the_proxy() {
        assert_eq!(findings(&CHECK, &yaml("h.io/proxyv2:1.2.2-distroless", "{}")), ["IST0158 Namespace n@3"]);
        assert!(texts(&CHECK, &yaml("h.io/proxyv2:1.2.3", "{}"))[0].contains("(pod names: [p])"));
        assert!(findings(&CHECK, &yaml("h.io/proxyv2:1.2.3-distroless", "{}")).is_empty());
        assert!(findings(&CHECK, &yaml("own", "{sidecar.istio.io/proxyImage: own}")).is_empty());
    }

    #[test]
    fn a_tag_stands_for_its_revision() {
        let mesh = |label: &str, tag: &str| {
            let webhook = format!(
                "---\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\n\
                 metadata: {{name: istio-revision-tag-{tag}, labels: {{istio.io/tag: {tag}, istio.io/rev: canary}}}}\nwebhooks: []\n"
            );
            yaml("h.io/proxyv2:1.2.3-distroless", "{}").replace("istio-injection: enabled", label).replace(
                "metadata: {name: istio-sidecar-injector,",
                "metadata: {name: istio-sidecar-injector-canary,",
            ) + &webhook
        };
        let other = |yaml: String| yaml.replace("1.2.3-distroless", "1.2.2-distroless");
        for (label, tag) in [("istio.io/rev: prod", "prod"), ("istio-injection: enabled", "default")] {
            assert!(findings(&CHECK, &mesh(label, tag)).is_empty(), "{label}");
            assert_eq!(findings(&CHECK, &other(mesh(label, tag))), ["IST0158 Namespace n@3"], "{label}");
        }
    }
}
