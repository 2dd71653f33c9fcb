//! The workloads that a Gateway selects.

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;

use super::pods::{PodRef, Pods};
use super::words::{first_label, not_found, selector};
use super::workloads::{Others, nobody_has};
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
    others: &Others<'_>,
    gateway: &Object<Gateway>,
) -> Option<Message> {
    let labels = &gateway.spec.selector;
    let is_missing = !labels.is_empty() && nobody_has(input, pods, others, None, labels);
    is_missing
        .then(|| not_found(gateway, "selector", &selector(labels), first_label("spec.selector", labels)))
}
