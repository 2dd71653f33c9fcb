//! SGN0016: several DestinationRules of a namespace for one host. Their subsets are merged, but only the oldest traffic policy counts, and
//! only the first subset of a name.

use std::collections::{BTreeSet, HashMap};

use sagene_api::Object;
use sagene_api::istio::networking::DestinationRule;
use sagene_model::Hostname;

use super::support::words::{list, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.DestinationRuleUnusedAnalyzer",
    description: "Parts of DestinationRules whose place an older one takes",
    codes: &[Code::DestinationRuleNeverChosen],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut by_host: HashMap<(&str, Hostname), Vec<&Object<DestinationRule>>> = HashMap::new();
    // Those for certain clients are chosen by the client.
    for rule in input.snapshot.destination_rules.iter().filter(|rule| rule.spec.workload_selector.is_none()) {
        let namespace = rule.metadata.namespace.as_str();
        let host = Hostname::resolve(&rule.spec.host, namespace, &input.mesh.domain);
        by_host.entry((namespace, host)).or_default().push(rule);
    }
    let mut messages = Vec::new();
    for ((_, host), mut rules) in by_host.into_iter().filter(|(_, rules)| rules.len() > 1) {
        rules.sort_by_key(|rule| (rule.metadata.creation_timestamp, rule.metadata.name.clone()));
        messages.extend(policies(&host, &rules));
        messages.extend(subsets(&host, &rules));
    }
    messages
}

/// All that have a policy, where several do: without their ages nobody knows which of them counts.
fn policies(host: &Hostname, rules: &[&Object<DestinationRule>]) -> Vec<Message> {
    let with_policy: Vec<&Object<DestinationRule>> =
        rules.iter().copied().filter(|rule| rule.spec.traffic_policy.is_some()).collect();
    if with_policy.len() < 2 {
        return Vec::new();
    }
    let names = list(with_policy.iter().map(|rule| &rule.metadata.name));
    let ages_known = with_policy.iter().all(|rule| rule.metadata.creation_timestamp.is_some());
    let losers = with_policy.iter().skip(usize::from(ages_known));
    let message = |rule: &&Object<DestinationRule>| {
        let text = format!(
            "The DestinationRules {names} all have a trafficPolicy for host {host}; only that of the oldest counts."
        );
        Message::new(Code::DestinationRuleNeverChosen, refer(*rule), text).at(at("spec.trafficPolicy"))
    };
    losers.map(message).collect()
}

fn subsets(host: &Hostname, rules: &[&Object<DestinationRule>]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for rule in rules {
        for (index, subset) in rule.spec.subsets.iter().enumerate() {
            if known.contains(subset.name.as_str()) {
                let text = format!(
                    "Another DestinationRule of the namespace defines subset {} of host {host}, too; only one counts.",
                    subset.name
                );
                let path = at(&format!("spec.subsets[{index}].name"));
                messages.push(Message::new(Code::DestinationRuleNeverChosen, refer(*rule), text).at(path));
            }
        }
        known.extend(rule.spec.subsets.iter().map(|subset| subset.name.as_str()));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn rule(name: &str, namespace: &str, rest: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: '{namespace}'}}\nspec:\n  host: cart\n  {rest}\n---\n"
        )
    }

    #[test]
    fn one_policy_and_one_subset_of_a_name() {
        let policy = "trafficPolicy: {loadBalancer: {simple: RANDOM}}";
        let found = findings(&CHECK, &(rule("a", "n", policy) + &rule("b", "n", policy)));
        assert_eq!(found, ["SGN0016 DestinationRule n/a@6", "SGN0016 DestinationRule n/b@13"]);
        let subsets = "subsets: [{name: v1}]";
        assert_eq!(
            findings(&CHECK, &(rule("a", "n", subsets) + &rule("b", "n", subsets))),
            ["SGN0016 DestinationRule n/b@13"]
        );
        for other in [
            rule("b", "n", "subsets: [{name: v2}]"),
            rule("b", "other", policy),
            rule("b", "n", &format!("workloadSelector: {{matchLabels: {{a: b}}}}\n  {policy}")),
        ] {
            assert!(
                findings(&CHECK, &(rule("a", "n", &format!("{policy}\n  {subsets}")) + &other)).is_empty(),
                "{other}"
            );
        }
    }
}
