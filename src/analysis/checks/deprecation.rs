//! IST0002: fields and kinds that are deprecated or gone.

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;
use crate::needs::REMOVED_GROUPS;

pub(super) const CHECK: Check = Check {
    name: "deprecation.DeprecationAnalyzer",
    description: "Fields and kinds that are deprecated or gone",
    codes: &[Code::Deprecated],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for object in input.snapshot.virtual_services.iter() {
        for (index, route) in object.spec.http.iter().enumerate() {
            let delay = route.fault.as_ref().and_then(|fault| fault.delay.as_ref());
            if delay.is_some_and(|delay| delay.percent != 0) {
                let text = "Deprecated: HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage";
                let path = at(&format!("spec.http[{index}].fault.delay.percent"));
                messages
                    .push(Message::new(Code::Deprecated, refer(object.as_ref()), text.to_owned()).at(path));
            }
        }
    }
    for object in input.snapshot.sidecars.iter() {
        if object.spec.outbound_traffic_policy.as_ref().is_some_and(|policy| policy.egress_proxy.is_some()) {
            let text = "Deprecated: OutboundTrafficPolicy.EgressProxy ignored";
            let path = at("spec.outboundTrafficPolicy.egressProxy");
            messages.push(Message::new(Code::Deprecated, refer(object.as_ref()), text.to_owned()).at(path));
        }
    }
    messages.extend(removed(input));
    messages
}

/// CustomResourceDefinitions of removed kinds, and objects of them.
fn removed(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for (reference, value) in &input.untyped {
        let text = |path: &str| value.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (group, kind, path) = if reference.kind == "CustomResourceDefinition" {
            (text("/spec/group"), text("/spec/names/kind"), "spec.names.kind")
        } else {
            (text("/apiVersion").split('/').next().unwrap_or_default(), text("/kind"), "kind")
        };
        if REMOVED_GROUPS.contains(&group) {
            let text = format!("Deprecated: Custom resource type {kind} {group} is removed");
            messages.push(Message::new(Code::Deprecated, reference.clone(), text).at(at(path)));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    #[test]
    fn fields_and_kinds() {
        let route = |delay: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [a]\n  http:\n  - fault: {{delay: {delay}}}\n"
            )
        };
        assert_eq!(
            findings(&CHECK, &route("{percent: 10, fixedDelay: 1s}")),
            ["IST0002 VirtualService default/v@7"]
        );
        assert!(findings(&CHECK, &route("{percentage: {value: 10}, fixedDelay: 1s}")).is_empty());
        let sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s}\nspec: {outboundTrafficPolicy: {egressProxy: {host: a}}}\n";
        assert_eq!(texts(&CHECK, sidecar), ["Deprecated: OutboundTrafficPolicy.EgressProxy ignored"]);
        let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: servicerolebindings.rbac.istio.io}\nspec: {group: rbac.istio.io, names: {kind: ServiceRoleBinding}}\n";
        assert_eq!(
            texts(&CHECK, definition),
            ["Deprecated: Custom resource type ServiceRoleBinding rbac.istio.io is removed"]
        );
    }
}
