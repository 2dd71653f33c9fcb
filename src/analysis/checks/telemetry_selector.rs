//! IST0101 and IST0159 for Telemetries: selectors without pod, and several Telemetries for one pod.

use sagene_api::istio::telemetry::Telemetry;
use sagene_model::labels::Labels;

use super::support::pods::Pods;
use super::support::selection::{Selecting, once, several_for_a_pod};
use super::support::words::{first_label, list, not_found, refer, selector};
use super::support::workloads::{Others, nobody_has};
use super::{Check, Run};
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "telemetry.SelectorAnalyzer",
    description: "Telemetries for no pod, and several for one pod",
    codes: &[Code::ReferencedResourceNotFound, Code::ConflictingTelemetryWorkloadSelectors],
    how: Run::Whole(run),
};

const PATH: &str = "spec.selector.matchLabels";

/// What a Telemetry selects; `None` for all of the namespace.
pub(super) fn labels(telemetry: &Telemetry) -> Option<&Labels> {
    telemetry.selector.as_ref().map(|selector| &selector.match_labels).filter(|labels| !labels.is_empty())
}

fn run(input: &Input) -> Vec<Message> {
    let (pods, others) = (Pods::of(input), Others::of(input));
    let mut messages = Vec::new();
    for telemetry in input.snapshot.telemetries.iter() {
        let Some(own) = labels(&telemetry.spec) else { continue };
        let namespace = telemetry.metadata.namespace.as_str();
        let place = (namespace != input.mesh.root_namespace).then_some(namespace);
        if nobody_has(input, &pods, &others, place, own) {
            messages.push(not_found(telemetry.as_ref(), "selector", &selector(own), first_label(PATH, own)));
        }
    }
    let all = Selecting::all(input.snapshot.telemetries.iter(), |telemetry| labels(telemetry).cloned());
    for (own, (group, namespace, pod)) in once(&several_for_a_pod(&all, &pods)) {
        let text = format!(
            "The Telemetries {} in namespace {namespace:?} select the same workload pod {pod:?}, which can lead to undefined behavior.",
            list(group.iter().map(|it| &it.object.metadata.name))
        );
        let path = first_label(PATH, own.labels.as_ref().unwrap_or(&Labels::new()));
        let code = Code::ConflictingTelemetryWorkloadSelectors;
        messages.push(Message::new(code, refer(own.object), text).at(path));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: 'n', labels: {app: web, version: v1}}\n---\n";

    fn telemetry(name: &str, label: &str) -> String {
        format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}, namespace: 'n'}}\nspec:\n  selector:\n    matchLabels:\n      {label}\n---\n"
        )
    }

    #[test]
    fn selectors_that_find_nothing_or_the_same() {
        assert_eq!(
            findings(&CHECK, &(POD.to_owned() + &telemetry("t", "app: bogus"))),
            ["IST0101 Telemetry n/t@11"]
        );
        let twice = POD.to_owned() + &telemetry("a", "app: web") + &telemetry("b", "version: v1");
        assert_eq!(findings(&CHECK, &twice), ["IST0159 Telemetry n/a@11", "IST0159 Telemetry n/b@19"]);
        assert_eq!(
            texts(&CHECK, &twice)[0],
            "The Telemetries [a b] in namespace \"n\" select the same workload pod \"p\", which can lead to undefined behavior."
        );
        assert!(findings(&CHECK, &(POD.to_owned() + &telemetry("a", "app: web"))).is_empty());
    }
}
