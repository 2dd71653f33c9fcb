//! IST0101 for selectors: a Gateway whose selector finds no pod.

use sagene_model::labels::has_all;

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;
use sagene_api::kubernetes::Pod;

pub(super) const GATEWAY: Check = Check {
    name: "gateway.IngressGatewayPortAnalyzer",
    description: "Gateways whose selector matches no pod",
    codes: &[Code::ReferencedResourceNotFound],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    if !input.knows::<Pod>() {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for gateway in input.snapshot.gateways.iter().filter(|gateway| !gateway.spec.selector.is_empty()) {
        if input.snapshot.pods.iter().any(|pod| has_all(&pod.metadata.labels, &gateway.spec.selector)) {
            continue;
        }
        let pairs: Vec<String> =
            gateway.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("Referenced selector not found: {:?}", pairs.join(","));
        let path = gateway
            .spec
            .selector
            .keys()
            .next()
            .map_or_else(|| at("spec.selector"), |key| at("spec.selector").key(key));
        messages.push(Message::new(Code::ReferencedResourceNotFound, reference(gateway), text).at(path));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    #[test]
    fn a_selector_that_finds_nothing() {
        let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  selector:\n    istio: edge\n---\n";
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: infra, labels: {istio: edge}}\n";
        assert_eq!(findings(&GATEWAY, gateway), ["IST0101 Gateway default/g@6"]);
        assert_eq!(texts(&GATEWAY, gateway), ["Referenced selector not found: \"istio=edge\""]);
        assert!(findings(&GATEWAY, &format!("{gateway}{pod}")).is_empty());
    }
}
