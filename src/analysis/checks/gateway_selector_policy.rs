//! IST0166: policies that select the pods of a Gateway of the Gateway API by labels. Such pods are reached by `targetRefs` alone.

use sagene_api::Object;
use sagene_api::istio::types::WorkloadSelector;
use sagene_model::snapshot::Collected;

use super::support::pods::Pods;
use super::support::words::{first_label, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::security::{AuthorizationPolicy, RequestAuthentication};
use sagene_api::istio::telemetry::Telemetry;

pub(super) const CHECK: Check = Check {
    name: "k8sgateway.SelectorAnalyzer",
    description: "Selectors on pods of the Gateway API's Gateways, which policies reach by reference only",
    codes: &[Code::IneffectiveSelector],
    how: Run::Whole(run),
};

/// Label of the pods that are made for a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

fn run(input: &Input) -> Vec<Message> {
    let pods = Pods::that(input, |pod| pod.metadata.labels.contains_key(GATEWAY_NAME));
    let mut messages = Vec::new();
    each::<AuthorizationPolicy>(input, &pods, |spec| spec.selector.as_ref(), &mut messages);
    each::<RequestAuthentication>(input, &pods, |spec| spec.selector.as_ref(), &mut messages);
    each::<Telemetry>(input, &pods, |spec| spec.selector.as_ref(), &mut messages);
    each::<WasmPlugin>(input, &pods, |spec| spec.selector.as_ref(), &mut messages);
    messages
}

fn each<S: Collected>(
    input: &Input,
    pods: &Pods<'_>,
    selector: impl Fn(&S) -> Option<&WorkloadSelector>,
    messages: &mut Vec<Message>,
) {
    for object in S::collection(&input.snapshot).iter() {
        messages.extend(selector(&object.spec).and_then(|selector| of_object(input, pods, object, selector)));
    }
}

fn of_object<S: Collected>(
    input: &Input,
    pods: &Pods<'_>,
    object: &Object<S>,
    selector: &WorkloadSelector,
) -> Option<Message> {
    let labels = &selector.match_labels;
    if labels.is_empty() {
        return None;
    }
    let namespace = object.metadata.namespace.as_str();
    let place = (namespace != input.mesh.root_namespace).then_some(namespace);
    let pod = pods.select(place, labels).next()?;
    let text = format!(
        "Ineffective selector on Kubernetes Gateway {}. Use the TargetRef field instead.",
        pod.metadata.labels.get(GATEWAY_NAME).map(String::as_str).unwrap_or_default()
    );
    let path = first_label("spec.selector.matchLabels", labels);
    Some(Message::new(Code::IneffectiveSelector, refer(object), text).at(path))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    #[test]
    fn pods_of_gateways_are_reached_by_reference() {
        let yaml = |labels: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {labels}}}\n---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r}}\nspec:\n  selector:\n    matchLabels:\n      app: edge\n"
            )
        };
        let managed = yaml("{app: edge, gateway.networking.k8s.io/gateway-name: g}");
        assert_eq!(findings(&CHECK, &managed), ["IST0166 RequestAuthentication default/r@11"]);
        assert_eq!(
            texts(&CHECK, &managed),
            ["Ineffective selector on Kubernetes Gateway g. Use the TargetRef field instead."]
        );
        assert!(findings(&CHECK, &yaml("{app: edge}")).is_empty());
        assert!(findings(&CHECK, &yaml("{app: x, gateway.networking.k8s.io/gateway-name: g}")).is_empty());
    }
}
