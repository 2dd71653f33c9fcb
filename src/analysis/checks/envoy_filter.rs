//! IST0151 to IST0155: patches of EnvoyFilters whose effect depends on the order of patches, and operations where they have no effect.
//!
//! A patch beside, or to, something that another patch may have put there applies only after it; `priority` settles the order.

use sagene_api::Object;
use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::networking::envoy_filter::{ApplyTo, EnvoyConfigObjectPatch, PatchOperation};

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "envoyfilter.EnvoyPatchAnalyzer",
    description: "Patches that depend on the order of patches, and operations where they have no effect",
    codes: &[
        Code::EnvoyFilterUsesRelativeOperation,
        Code::EnvoyFilterUsesReplaceOperationIncorrectly,
        Code::EnvoyFilterUsesAddOperationIncorrectly,
        Code::EnvoyFilterUsesRemoveOperationIncorrectly,
        Code::EnvoyFilterUsesRelativeOperationWithProxyVersion,
    ],
    how: Run::Whole(run),
};

const RELATIVE: &str = "This EnvoyFilter does not have a priority and has a relative patch operation set which can cause the EnvoyFilter not to be \
    applied. Using the INSERT_FIRST of ADD option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.";
const RELATIVE_WITH_VERSION: &str = "This EnvoyFilter does not have a priority and has a relative patch operation (NSTERT_BEFORE/AFTER, REPLACE, \
    MERGE, DELETE) and proxyVersion set which can cause the EnvoyFilter not to be applied during an upgrade. Using the INSERT_FIRST or ADD \
    option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.";
const REPLACE: &str = "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER.";

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for filter in input.snapshot.envoy_filters.iter() {
        for (index, patch) in filter.spec.config_patches.iter().enumerate() {
            if let Some((code, text)) = problem(filter, patch) {
                let path = at(&format!("spec.configPatches[{index}].patch.operation"));
                messages.push(Message::new(code, refer(filter.as_ref()), text).at(path));
            }
        }
    }
    messages
}

fn problem(filter: &Object<EnvoyFilter>, patch: &EnvoyConfigObjectPatch) -> Option<(Code, String)> {
    use PatchOperation::{Add, InsertAfter, InsertBefore, Remove, Replace};
    let operation = patch.patch.as_ref()?.operation;
    let is_route = matches!(patch.apply_to, ApplyTo::RouteConfiguration | ApplyTo::HttpRoute);
    let is_filter = matches!(patch.apply_to, ApplyTo::HttpFilter | ApplyTo::NetworkFilter);
    let ignored = |operation: &str| {
        format!(
            "The {operation} operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE."
        )
    };
    match operation {
        Replace if !is_filter => Some((Code::EnvoyFilterUsesReplaceOperationIncorrectly, REPLACE.to_owned())),
        Add if is_route => Some((Code::EnvoyFilterUsesAddOperationIncorrectly, ignored("ADD"))),
        Remove if is_route => Some((Code::EnvoyFilterUsesRemoveOperationIncorrectly, ignored("REMOVE"))),
        InsertBefore | InsertAfter | Replace | Remove if filter.spec.priority == 0 => {
            let proxy = patch.r#match.as_ref().and_then(|condition| condition.proxy.as_ref());
            Some(if proxy.is_some_and(|proxy| !proxy.proxy_version.is_empty()) {
                (Code::EnvoyFilterUsesRelativeOperationWithProxyVersion, RELATIVE_WITH_VERSION.to_owned())
            } else {
                (Code::EnvoyFilterUsesRelativeOperation, RELATIVE.to_owned())
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn found(priority: i32, apply_to: &str, condition: &str, operation: &str) -> Vec<String> {
        findings(
            &CHECK,
            &format!(
                "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: e}}\nspec:\n  priority: {priority}\n  configPatches:\n  - applyTo: {apply_to}\n    match: {condition}\n    patch:\n      operation: {operation}\n      value: {{}}\n"
            ),
        )
    }

    #[test]
    fn operations_where_they_do_something_else_than_meant() {
        let one = |code: &str| [format!("{code} EnvoyFilter default/e@10")];
        assert_eq!(found(0, "HTTP_FILTER", "{}", "INSERT_BEFORE"), one("IST0151"));
        assert_eq!(found(0, "HTTP_FILTER", "{proxy: {proxyVersion: x}}", "INSERT_AFTER"), one("IST0155"));
        assert_eq!(found(10, "CLUSTER", "{}", "REPLACE"), one("IST0152"));
        assert_eq!(found(10, "HTTP_ROUTE", "{}", "ADD"), one("IST0153"));
        assert_eq!(found(10, "ROUTE_CONFIGURATION", "{}", "REMOVE"), one("IST0154"));
        for (priority, apply_to, operation) in [
            (10, "HTTP_FILTER", "INSERT_BEFORE"),
            (0, "HTTP_FILTER", "INSERT_FIRST"),
            (0, "CLUSTER", "ADD"),
            (10, "NETWORK_FILTER", "REPLACE"),
            (10, "CLUSTER", "REMOVE"),
            // What a patch is merged into is always there.
            (0, "CLUSTER", "MERGE"),
        ] {
            assert!(found(priority, apply_to, "{}", operation).is_empty(), "{apply_to} {operation}");
        }
    }
}
