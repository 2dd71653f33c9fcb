//! The workloads that a Gateway selects.

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::kubernetes::Pod;
use sagene_model::labels::Labels;

use super::pods::{PodRef, Pods};
use super::words::{first_label, not_found, selector};
use crate::input::Input;
use crate::message::Message;

/// The pods that a Gateway configures. Gateways select across namespaces.
pub(in crate::checks) fn workloads<'i>(pods: &Pods<'i>, gateway: &Object<Gateway>) -> Vec<PodRef<'i>> {
    if gateway.spec.selector.is_empty() {
        return Vec::new();
    }
    pods.select(None, &gateway.spec.selector).collect()
}

/// IST0101 for a Gateway whose selector finds nothing.
pub(in crate::checks) fn missing(
    input: &Input,
    pods: &Pods<'_>,
    gateway: &Object<Gateway>,
) -> Option<Message> {
    let labels = &gateway.spec.selector;
    let is_missing = !labels.is_empty()
        && input.knows::<Pod>()
        && pods.select(None, labels).next().is_none()
        && !(input.files_alone && comes_with_installation(labels));
    is_missing
        .then(|| not_found(gateway, "selector", &selector(labels), first_label("spec.selector", labels)))
}

/// True for the gateways that profiles install: files of an application rely on them, but do not hold them.
fn comes_with_installation(labels: &Labels) -> bool {
    labels.iter().all(|(key, value)| match key.as_str() {
        "istio" => matches!(value.as_str(), "ingressgateway" | "egressgateway"),
        "app" => matches!(value.as_str(), "istio-ingressgateway" | "istio-egressgateway"),
        _ => false,
    })
}
