//! `check-inject`: which injection webhooks would take a pod, and the reason of each.

use clap::Args;
use sagene_manifest::render::is_deactivated;
use serde_json::{Map, Value};

use super::selector::unmet;
use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Objects, Resource, pods_named, server_failure, text};
use crate::output::{self, Table};
use crate::tag::injectors;

#[derive(Debug, Args)]
pub(super) struct CheckInject {
    /// Pod, or TYPE/NAME of what has pods; with .NAMESPACE behind it if it is another one
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]")]
    target: Option<String>,
    /// Labels of a pod that does not exist yet, as in app=x,version=v1
    #[arg(short, long, value_name = "LABELS", conflicts_with = "target")]
    labels: Option<String>,
}

impl CheckInject {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let (namespace, pod) = self.subject(context, &cluster).await?;
        let objects = Objects::new(cluster.client.clone());
        let object = objects.get(&Resource::namespaces(), None, &namespace).await.map_err(server_failure)?;
        let object = object.ok_or_else(|| Failure::new(format!("namespaces \"{namespace}\" not found")))?;
        let labels = labels_of(&object);
        let injectors = injectors(&cluster).await?;
        if injectors.is_empty() {
            output::line("ERROR: no Istio injection hooks present.");
            return Ok(Exit::Success);
        }
        let mut table = Table::new(["WEBHOOK", "REVISION", "INJECTED", "REASON"], 3);
        let mut injecting = 0;
        for injector in &injectors {
            let (injects, reason) = verdict(&injector.object, &labels, &pod);
            injecting += usize::from(injects);
            let sign = if injects { "✔" } else { "✘" };
            table.row([injector.name.as_str(), &injector.revision, sign, &reason]);
        }
        output::data(&table.render());
        if injecting > 1 {
            output::line("ERROR: multiple webhooks will inject, which can lead to errors");
        }
        Ok(Exit::Success)
    }

    /// Namespace and labels of the pod in question.
    async fn subject(
        &self,
        context: &Context,
        cluster: &Cluster,
    ) -> Result<(String, Map<String, Value>), Failure> {
        let namespace = context.namespace(cluster);
        if let Some(labels) = &self.labels {
            let pair = |pair: &str| -> Result<(String, Value), Failure> {
                let (key, value) = pair
                    .split_once('=')
                    .ok_or_else(|| Failure::new(format!("invalid label {pair:?}: write key=value")))?;
                Ok((key.to_owned(), Value::from(value)))
            };
            let labels = labels.split(',').map(pair).collect::<Result<_, _>>()?;
            return Ok((namespace, labels));
        }
        let target = self
            .target
            .as_deref()
            .ok_or_else(|| Failure::new("expecting pod name, a type and name, or --labels"))?;
        let named = pods_named(cluster, target, &namespace).await?;
        let named = named.first().ok_or_else(|| Failure::new(format!("no pods match \"{target}\"")))?;
        let objects = Objects::new(cluster.client.clone());
        let pod = objects.get(&Resource::pods(), Some(&named.namespace), &named.name).await;
        let pod = pod.map_err(server_failure)?.unwrap_or_default();
        Ok((named.namespace.clone(), labels_of(&pod)))
    }
}

fn labels_of(object: &Value) -> Map<String, Value> {
    object.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Whether any webhook of a configuration selects the pod, and istioctl's words for it.
fn verdict(
    configuration: &Value,
    namespace: &Map<String, Value>,
    pod: &Map<String, Value>,
) -> (bool, String) {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array);
    let webhooks: Vec<&Value> = webhooks.into_iter().flatten().collect();
    if webhooks.iter().any(|webhook| is_deactivated(webhook)) {
        return (false, "The injection webhook is deactivated, and will never match labels.".to_owned());
    }
    let mut prevented = None;
    for webhook in &webhooks {
        let of_namespace = unmet(&webhook["namespaceSelector"], namespace);
        let of_pod = unmet(&webhook["objectSelector"], pod);
        match (of_namespace, of_pod) {
            (None, None) => return (true, why(webhook)),
            (None, Some(_)) => prevented = prevented.or_else(|| opted_out("Pod", webhook, pod)),
            (Some(_), None) => prevented = prevented.or_else(|| opted_out("Namespace", webhook, namespace)),
            (Some(_), Some(_)) => {}
        }
    }
    (false, prevented.unwrap_or_else(|| none_matches(&webhooks)))
}

const SELECTORS: [(&str, &str); 2] = [("namespaceSelector", "Namespace"), ("objectSelector", "Pod")];

/// The labels that a selector asks for, as `key=value`.
fn wanted(webhook: &Value, selector: &str) -> Vec<String> {
    let selector = &webhook[selector];
    let exact = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let exact = exact.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let positive = expressions.filter(|it| text(it, "/operator") == "In").map(|it| {
        let values = it.get("values").and_then(Value::as_array).into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        format!("{}={}", text(it, "/key"), values.join("|"))
    });
    exact.chain(positive).collect()
}

/// What selected the pod: labels of its namespace, its own, or both.
fn why(webhook: &Value) -> String {
    let words = |(selector, of): (&str, &str)| {
        let label = wanted(webhook, selector).into_iter().next()?;
        Some(format!("{of} label {label} matches"))
    };
    match SELECTORS.map(words) {
        [Some(namespace), Some(pod)] => format!("{namespace}, and {}", pod.replacen("Pod", "pod", 1)),
        [Some(one), None] | [None, Some(one)] => one,
        [None, None] => "Automatic injection is enabled in all namespaces".to_owned(),
    }
}

/// A label that a selector must not find, and does.
fn opted_out(of: &str, webhook: &Value, labels: &Map<String, Value>) -> Option<String> {
    let (selector, _) = SELECTORS.into_iter().find(|(_, name)| *name == of)?;
    let expressions = webhook[selector].get("matchExpressions").and_then(Value::as_array)?;
    expressions.iter().find_map(|expression| {
        let key = text(expression, "/key");
        let value = labels.get(key).and_then(Value::as_str)?;
        let values = expression.get("values").and_then(Value::as_array);
        let prevents = match text(expression, "/operator") {
            "DoesNotExist" => true,
            "NotIn" => values.is_some_and(|values| values.iter().any(|it| it == value)),
            _ => false,
        };
        // A webhook for other labels keeps away from those that opt in by name.
        (prevents && ["disabled", "false"].contains(&value))
            .then(|| format!("{of} has {key}={value} label, preventing injection"))
    })
}

fn none_matches(webhooks: &[&Value]) -> String {
    let [namespaces, pods] = SELECTORS.map(|(selector, _)| {
        let mut labels: Vec<String> = Vec::new();
        for label in webhooks.iter().flat_map(|webhook| wanted(webhook, selector)) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels.join(", ")
    });
    format!("No matching namespace labels ({namespaces}) or pod labels ({pods})")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_are_istioctls() {
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
        let webhook = |namespace: Vec<Value>, pod: Vec<Value>| json!({"namespaceSelector": {"matchExpressions": namespace}, "objectSelector": {"matchExpressions": pod}});
        let absent = |key: &str| expression(key, "DoesNotExist", &[]);
        let object = json!({"webhooks": [
            webhook(
                vec![expression("istio-injection", "In", &["enabled"])],
                vec![expression("sidecar.istio.io/inject", "NotIn", &["false"])],
            ),
            webhook(
                vec![absent("istio-injection"), absent("istio.io/rev")],
                vec![expression("sidecar.istio.io/inject", "In", &["true"])],
            ),
        ]});
        let said = |namespace: Value, pod: Value| {
            let labels = |value: Value| value.as_object().cloned().unwrap_or_default();
            verdict(&object, &labels(namespace), &labels(pod))
        };
        let (enabled, none) = (json!({"istio-injection": "enabled"}), json!({}));
        let says = |injected: bool, words: &str| (injected, words.to_owned());
        assert_eq!(
            said(enabled.clone(), none.clone()),
            says(true, "Namespace label istio-injection=enabled matches")
        );
        assert_eq!(
            said(enabled, json!({"sidecar.istio.io/inject": "false"})),
            says(false, "Pod has sidecar.istio.io/inject=false label, preventing injection")
        );
        let inject = json!({"sidecar.istio.io/inject": "true"});
        assert_eq!(
            said(none.clone(), inject.clone()),
            says(true, "Pod label sidecar.istio.io/inject=true matches")
        );
        assert_eq!(
            said(json!({"istio-injection": "disabled"}), inject),
            says(false, "Namespace has istio-injection=disabled label, preventing injection")
        );
        let words = "No matching namespace labels (istio-injection=enabled) or pod labels (sidecar.istio.io/inject=true)";
        assert_eq!(said(none.clone(), none), says(false, words));
    }
}
