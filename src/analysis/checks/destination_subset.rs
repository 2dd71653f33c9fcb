//! IST0101 for subsets: routes and mirrors to subsets that no DestinationRule defines.

use std::collections::{HashMap, HashSet};

use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::common::Destination;
use sagene_model::{Hostname, Mesh};

use super::support::destinations::destinations;
use super::support::hosts::{Hosts, suffixes};
use super::support::words::{not_found_by, refer};
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::Input;

pub(super) const CHECK: Check = Check {
    name: "virtualservice.DestinationRuleAnalyzer",
    description: "Routes to subsets that no DestinationRule defines",
    codes: &[Code::ReferencedResourceNotFound],
    how: Run::VirtualServices(judge),
};

/// Names of subsets that DestinationRules define.
#[derive(Default)]
struct Defined<'i> {
    exact: HashMap<Hostname, HashSet<&'i str>>,
    /// By what follows the `*` of the rule's host.
    wildcards: HashMap<String, HashSet<&'i str>>,
}

impl<'i> Defined<'i> {
    fn of(input: &'i Input) -> Self {
        let mut defined = Self::default();
        for rule in input.snapshot.destination_rules.iter() {
            let host = Hostname::resolve(&rule.spec.host, &rule.metadata.namespace, &input.mesh.domain);
            let subsets = match host.as_str().strip_prefix('*') {
                Some(suffix) => defined.wildcards.entry(suffix.to_owned()).or_default(),
                None => defined.exact.entry(host).or_default(),
            };
            subsets.extend(rule.spec.subsets.iter().map(|subset| subset.name.as_str()));
        }
        defined
    }

    /// True where the subset of a destination, written in an object of `namespace`, is defined.
    fn answers(&self, destination: &Destination, namespace: &str, mesh: &Mesh) -> bool {
        let nothing = self.exact.is_empty() && self.wildcards.is_empty();
        !nothing
            && Hosts::spellings(&destination.host, namespace, mesh)
                .any(|host| self.has(&host, &destination.subset))
    }

    fn has(&self, host: &Hostname, subset: &str) -> bool {
        self.exact.get(host).is_some_and(|subsets| subsets.contains(subset))
            || (!self.wildcards.is_empty()
                && suffixes(host.as_str())
                    .any(|suffix| self.wildcards.get(suffix).is_some_and(|subsets| subsets.contains(subset))))
    }
}

fn judge(input: &Input) -> Option<Judge<'_>> {
    if input.is_withheld::<DestinationRule>() {
        return None;
    }
    let defined = Defined::of(input);
    Some(Box::new(move |object, messages| {
        let with_subset =
            destinations(&object.spec).filter(|(_, destination)| !destination.subset.is_empty());
        let mut reference = None;
        for (place, destination) in with_subset {
            if defined.answers(destination, &object.metadata.namespace, &input.mesh) {
                continue;
            }
            let what = if place.is_mirror() {
                "mirror+subset in destinationrule"
            } else {
                "host+subset in destinationrule"
            };
            let name = [&*destination.host, "+", &destination.subset].concat();
            let reference = reference.get_or_insert_with(|| refer(object.as_ref())).clone();
            messages.push(not_found_by(reference, what, &name, place.path("subset")));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(rule_host: &str, destination: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: cart, namespace: shop}}\nspec: {{host: '{rule_host}', subsets: [{{name: v1}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: shop}}\nspec:\n  hosts: [x.com]\n  http:\n  - route:\n    - destination:\n        {destination}\n"
        )
    }

    #[test]
    fn subsets_have_to_be_defined() {
        assert_eq!(
            texts(&CHECK, &yaml("cart", "{host: cart, subset: v9}")),
            ["Referenced host+subset in destinationrule not found: \"cart+v9\""]
        );
        assert_eq!(
            findings(&CHECK, &yaml("other", "{host: cart, subset: v1}")),
            ["IST0101 VirtualService shop/v@14"]
        );
        for (rule, destination) in [
            ("cart", "{host: cart, subset: v1}"),
            ("cart.shop.svc.cluster.local", "{host: cart.shop, subset: v1}"),
            ("*.shop.svc.cluster.local", "{host: cart, subset: v1}"),
            ("*", "{host: cart, subset: v1}"),
            ("other", "{host: cart}"),
        ] {
            assert!(findings(&CHECK, &yaml(rule, destination)).is_empty(), "{rule} {destination}");
        }
    }
}
