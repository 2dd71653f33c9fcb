//! Whether a webhook wants to see a request: rules, namespace selector, object selector.

use sagene_cel::{Binding, Program};
use serde_json::Value;

use crate::apiserver::admission::Review;
use crate::apiserver::operations::Operations;
use crate::apiserver::registry::ResourceDefinition;
use crate::apiserver::selector::LabelSelector;

/// A match, and in which version the webhook wants the object.
pub(super) struct Match {
    pub(super) version: String,
}

pub(super) fn matches(
    operations: &Operations,
    webhook: &Value,
    review: &Review<'_>,
    object: &Value,
) -> Option<Match> {
    let target = review.target;
    let rules = || webhook["rules"].as_array().into_iter().flatten();
    let exact = rules().any(|rule| rule_matches(rule, review, &target.version));
    let version = if exact {
        target.version.clone()
    } else if webhook["matchPolicy"] == "Exact" {
        return None;
    } else {
        other_version(&target.definition, |version| rules().any(|rule| rule_matches(rule, review, version)))?
    };
    let labels = |value: &Value| value["metadata"]["labels"].clone();
    let selector = LabelSelector::from_object(&webhook["objectSelector"]);
    let object_matches = (object.is_object() && selector.matches(&labels(object)))
        || review.old.is_some_and(|old| selector.matches(&labels(old)));
    let namespace_matches = namespace_matches(operations, &webhook["namespaceSelector"], review, object);
    (object_matches && namespace_matches).then_some(Match { version })
}

/// Whether the webhook's `matchConditions` hold. An error where one cannot be evaluated and no other one is false.
pub(super) fn conditions_hold(webhook: &Value, request: &Value) -> Result<bool, String> {
    let mut failure = None;
    for condition in webhook["matchConditions"].as_array().into_iter().flatten() {
        let text = condition["expression"].as_str().unwrap_or_default();
        let bindings = [
            ("object", Binding::Value(&request["object"])),
            ("oldObject", Binding::Value(&request["oldObject"])),
            ("request", Binding::Value(request)),
        ];
        let outcome =
            compile(text).and_then(|program| program.is_true(&bindings).map_err(|error| error.to_string()));
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(reason) => failure = Some(format!("match condition {}: {reason}", condition["name"])),
        }
    }
    failure.map_or(Ok(true), Err)
}

/// Compiles a match condition.
pub(crate) fn compile(text: &str) -> Result<Program, String> {
    Program::compile(text, &["object", "oldObject", "request"]).map_err(|error| error.to_string())
}

fn other_version(definition: &ResourceDefinition, matches: impl Fn(&str) -> bool) -> Option<String> {
    definition
        .versions
        .iter()
        .filter(|version| version.served)
        .map(|version| &version.name)
        .find(|version| matches(version))
        .cloned()
}

fn rule_matches(rule: &Value, review: &Review<'_>, version: &str) -> bool {
    let reference = &review.target.definition.reference;
    let any = |field: &str, wanted: &str| {
        rule[field].as_array().into_iter().flatten().any(|one| one == "*" || one == wanted)
    };
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => reference.namespaced,
        Some("Cluster") => !reference.namespaced,
        _ => true,
    };
    let resource =
        rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str).any(|pattern| {
            let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
            let subresource_matches = match pattern {
                "*/*" => true,
                _ => subresource == review.target.subresource || (subresource == "*" && !pattern.is_empty()),
            };
            (resource == "*" || resource == reference.plural) && subresource_matches
        });
    scope
        && resource
        && any("operations", review.operation)
        && any("apiGroups", &reference.group)
        && any("apiVersions", version)
}

/// Labels of the namespace of the object; for a namespace its own; other cluster-scoped objects always match.
fn namespace_matches(operations: &Operations, selector: &Value, review: &Review<'_>, object: &Value) -> bool {
    let selector = LabelSelector::from_object(selector);
    let target = review.target;
    if target.definition.is(&crate::api_client::ResourceRef::NAMESPACES) {
        let shown = if object.is_object() { object } else { review.old.unwrap_or(object) };
        return selector.matches(&shown["metadata"]["labels"]);
    }
    if !target.definition.reference.namespaced {
        return true;
    }
    let namespace = operations.find("", "namespaces", "", &target.namespace);
    namespace.is_some_and(|namespace| selector.matches(&namespace["metadata"]["labels"]))
}
