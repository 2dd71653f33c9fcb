//! IST0139: webhooks of injection that overlap, so that pods would be injected twice, and such that lead to a Service that is not there.
//!
//! Selectors are compared by trying the labels they can tell apart: of the namespace and of the pod, on injection and revision.

use std::collections::{BTreeMap, BTreeSet};

use sagene_api::Object;
use sagene_api::kubernetes::admission::MutatingWebhook;
use sagene_api::kubernetes::{LabelSelector, MutatingWebhookConfiguration, Service};
use sagene_model::labels::Labels;

use super::injection_image_auto::{INJECTING, selects};
use super::support::mesh::{INJECT, INJECTION_LABEL, REVISION_LABEL};
use super::support::words::{list, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "webhook.Analyzer",
    description: "Webhooks of injection that overlap, or lead to a Service that is not there",
    codes: &[Code::InvalidWebhook],
    how: Run::Whole(run),
};

/// Most combinations of labels that are tried.
const MOST_COMBINATIONS: usize = 20_000;

/// A webhook, its configuration, and its place there.
type Hook<'i> = (&'i Object<MutatingWebhookConfiguration>, usize, &'i MutatingWebhook);

fn run(input: &Input) -> Vec<Message> {
    let hooks: Vec<Hook<'_>> = input
        .snapshot
        .mutating_webhook_configurations
        .iter()
        .flat_map(|object| {
            object.spec.webhooks.iter().enumerate().map(move |(index, hook)| (object.as_ref(), index, hook))
        })
        .filter(|(_, _, hook)| hook.name.ends_with(INJECTING) && !is_deactivated(hook))
        .collect();
    let mut messages = overlaps(&hooks);
    messages.extend(hooks.iter().filter_map(|hook| without_service(input, hook)));
    messages
}

/// What an installation leaves of the injector of the default revision, once the tag `default` has taken its place.
fn is_deactivated(hook: &MutatingWebhook) -> bool {
    let never = |selector: &LabelSelector| {
        selector.match_labels.get("istio.io/deactivated").is_some_and(|value| value == "never-match")
    };
    never(&hook.namespace_selector) || never(&hook.object_selector)
}

fn without_service(input: &Input, (object, index, hook): &Hook<'_>) -> Option<Message> {
    let service = hook.client_config.service.as_ref()?;
    if !input.knows::<Service>() || input.snapshot.get::<Service>(&service.namespace, &service.name).is_some()
    {
        return None;
    }
    let text = format!(
        "Injector refers to a control plane service that does not exist: {}/{}.",
        service.namespace, service.name
    );
    let path = at(&format!("webhooks[{index}].clientConfig.service.name"));
    Some(Message::new(Code::InvalidWebhook, refer(*object), text).at(path))
}

fn overlaps(hooks: &[Hook<'_>]) -> Vec<Message> {
    let namespaces = combinations(hooks, |hook| &hook.namespace_selector);
    let pods = combinations(hooks, |hook| &hook.object_selector);
    let mut rivals: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for of_namespace in &namespaces {
        for of_pod in pods.iter().take(MOST_COMBINATIONS / namespaces.len().max(1)) {
            let matched: Vec<usize> = hooks
                .iter()
                .enumerate()
                .filter(|(_, (_, _, hook))| selects(hook, of_namespace, of_pod))
                .map(|(index, _)| index)
                .collect();
            for own in matched.iter().filter(|_| matched.len() > 1) {
                rivals.entry(*own).or_default().extend(matched.iter().filter(|other| *other != own));
            }
        }
    }
    let message = |(own, others): (usize, BTreeSet<usize>)| {
        let (object, index, _) = hooks[own];
        let names = others
            .into_iter()
            .map(|other| format!("{}/{}", hooks[other].0.metadata.name, hooks[other].2.name));
        let text = format!(
            "Webhook overlaps with others: {}. This may cause injection to occur twice.",
            list(names)
        );
        Message::new(Code::InvalidWebhook, refer(object), text).at(at(&format!("webhooks[{index}].name")))
    };
    rivals.into_iter().map(message).collect()
}

/// Labels in every combination that selectors can tell apart: each value that one names, some other value, and none.
fn combinations<'i>(
    hooks: &[Hook<'i>],
    selector: impl Fn(&'i MutatingWebhook) -> &'i LabelSelector,
) -> Vec<Labels> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, _, hook) in hooks {
        let selector = selector(hook);
        for (key, value) in &selector.match_labels {
            values.entry(key).or_default().insert(value);
        }
        for requirement in &selector.match_expressions {
            values.entry(&requirement.key).or_default().extend(requirement.values.iter().map(String::as_str));
        }
    }
    for key in [INJECTION_LABEL, REVISION_LABEL, INJECT] {
        if let Some(values) = values.get_mut(key) {
            values.insert("some-other-value");
        }
    }
    let mut all = vec![Labels::new()];
    for (key, values) in values {
        let mut next = all.clone();
        for labels in &all {
            for value in &values {
                let mut labels = labels.clone();
                labels.insert(key.to_owned(), (*value).to_owned());
                next.push(labels);
            }
        }
        next.truncate(MOST_COMBINATIONS);
        all = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn hook(name: &str, namespace: &str, object: &str) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: {name}}}\nwebhooks:\n- name: sidecar-injector.istio.io\n  namespaceSelector: {namespace}\n  objectSelector: {object}\n  clientConfig: {{service: {{name: istiod, namespace: istio-system}}}}\n---\n"
        )
    }

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: {name: istiod, namespace: istio-system}\nspec: {}\n";

    #[test]
    fn a_deactivated_webhook_takes_nothing() {
        let never = "{matchLabels: {istio.io/deactivated: never-match}}";
        let input = hook("a", never, never) + &hook("b", "{}", "{}") + &hook("c", never, never) + SERVICE;
        assert!(findings(&CHECK, &input).is_empty());
    }

    #[test]
    fn pods_that_two_webhooks_take() {
        let enabled = "{matchLabels: {istio-injection: enabled}}";
        let rev = "{matchExpressions: [{key: istio.io/rev, operator: In, values: [canary]}]}";
        let rev_alone = "{matchExpressions: [{key: istio.io/rev, operator: In, values: [canary]}, {key: istio-injection, operator: DoesNotExist}]}";
        let twice = hook("a", enabled, "{}") + &hook("b", rev, "{}") + SERVICE;
        assert_eq!(
            findings(&CHECK, &twice),
            ["IST0139 MutatingWebhookConfiguration a@5", "IST0139 MutatingWebhookConfiguration b@14"]
        );
        assert_eq!(
            texts(&CHECK, &twice)[0],
            "Webhook overlaps with others: [b/sidecar-injector.istio.io]. This may cause injection to occur twice."
        );
        assert!(
            findings(&CHECK, &(hook("a", enabled, "{}") + &hook("b", rev_alone, "{}") + SERVICE)).is_empty()
        );
    }

    #[test]
    fn a_service_that_is_not_there() {
        assert_eq!(
            texts(&CHECK, &hook("a", "{}", "{}")),
            ["Injector refers to a control plane service that does not exist: istio-system/istiod."]
        );
    }
}
