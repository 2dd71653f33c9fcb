//! IST0160: several Telemetries without selector in one namespace; only the oldest counts.

use super::support::selection::{Selecting, several_without_selector};
use super::support::words::{list, refer};
use super::telemetry_selector::labels;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "telemetry.DefaultSelectorAnalyzer",
    description: "Several Telemetries without selector in one namespace",
    codes: &[Code::MultipleTelemetriesWithoutWorkloadSelectors],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    // Those attached to an object are about that object alone.
    let objects = input
        .snapshot
        .telemetries
        .iter()
        .filter(|telemetry| telemetry.spec.target_ref.is_none() && telemetry.spec.target_refs.is_empty());
    let all = Selecting::all(objects, |telemetry| labels(telemetry).cloned());
    let mut messages = Vec::new();
    for (group, namespace) in several_without_selector(&all) {
        for own in &group {
            let text = format!(
                "The Telemetries {} in namespace {namespace:?} have no workload selector, which can lead to undefined behavior.",
                list(group.iter().map(|it| &it.object.metadata.name))
            );
            let code = Code::MultipleTelemetriesWithoutWorkloadSelectors;
            messages.push(Message::new(code, refer(own.object), text).at(at("metadata.name")));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    #[test]
    fn two_for_one_namespace() {
        let telemetry = |name: &str, namespace: &str, spec: &str| {
            format!(
                "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}, namespace: '{namespace}'}}\nspec: {spec}\n---\n"
            )
        };
        let yaml = telemetry("a", "n", "{}") + &telemetry("b", "n", "{}") + &telemetry("c", "other", "{}");
        assert_eq!(findings(&CHECK, &yaml), ["IST0160 Telemetry n/a@3", "IST0160 Telemetry n/b@8"]);
        assert!(
            texts(&CHECK, &yaml)[0]
                .starts_with("The Telemetries [a b] in namespace \"n\" have no workload selector,")
        );
        for other in ["{selector: {matchLabels: {app: x}}}", "{targetRefs: [{kind: Gateway, name: g}]}"] {
            assert!(
                findings(&CHECK, &(telemetry("a", "n", "{}") + &telemetry("b", "n", other))).is_empty(),
                "{other}"
            );
        }
    }
}
