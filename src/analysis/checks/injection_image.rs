//! IST0158: pods whose proxy is of another image than injection would put in now.

use std::collections::BTreeMap;

use sagene_api::Object;
use sagene_api::kubernetes::{Namespace, Pod};
use serde_json::Value;

use super::Check;
use super::support::mesh::{INJECTOR, Namespaces, REVISION_LABEL};
use super::support::words::{list, refer};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "injection.ImageAnalyzer",
    description: "Pods whose proxy is of another image than injection puts in",
    codes: &[Code::PodsIstioProxyImageMismatchInNamespace],
    run,
};

/// Annotations by which a pod asks for an image of its own.
const OWN_IMAGE: [&str; 2] = ["sidecar.istio.io/proxyImage", "sidecar.istio.io/proxyImageType"];

fn run(input: &Input) -> Vec<Message> {
    let images = images(input);
    let namespaces = Namespaces::of(input);
    let mut messages = Vec::new();
    for namespace in input.snapshot.namespaces.iter().filter(|it| namespaces.is_injected(&it.metadata.name)) {
        let stale: Vec<&str> = input
            .snapshot
            .pods
            .in_namespace(&namespace.metadata.name)
            .filter(|pod| is_stale(pod, namespace, &images))
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

fn is_stale(pod: &Object<Pod>, namespace: &Object<Namespace>, images: &BTreeMap<String, String>) -> bool {
    if OWN_IMAGE.iter().any(|annotation| pod.metadata.annotations.contains_key(*annotation)) {
        return false;
    }
    let revision =
        pod.metadata.labels.get(REVISION_LABEL).or_else(|| namespace.metadata.labels.get(REVISION_LABEL));
    let revision = revision.map(String::as_str).filter(|revision| *revision != "default").unwrap_or_default();
    let Some(wanted) = images.get(revision) else { return false };
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
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: n, labels: {{istio-injection: enabled}}}}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio-sidecar-injector, namespace: istio-system}}\ndata:\n  \
             values: '{{\"global\": {{\"hub\": \"h.io\", \"tag\": \"1.2.3\", \"variant\": \"distroless\", \"proxy\": {{\"image\": \"proxyv2\"}}}}}}'\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: n, annotations: {annotations}}}\nspec: {{containers: [{{name: istio-proxy, image: '{image}'}}]}}\n"
        )
    }

    #[test]
    fn another_version_of_the_proxy() {
        assert_eq!(findings(&CHECK, &yaml("h.io/proxyv2:1.2.2-distroless", "{}")), ["IST0158 Namespace n@3"]);
        assert!(texts(&CHECK, &yaml("h.io/proxyv2:1.2.3", "{}"))[0].contains("(pod names: [p])"));
        assert!(findings(&CHECK, &yaml("h.io/proxyv2:1.2.3-distroless", "{}")).is_empty());
        assert!(findings(&CHECK, &yaml("own", "{sidecar.istio.io/proxyImage: own}")).is_empty());
    }
}
