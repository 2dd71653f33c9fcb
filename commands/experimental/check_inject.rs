//! `check-inject`: which injection webhooks would take a pod, and the reason of each.

use clap::Args;
use sagene_manifest::render::is_deactivated;
use serde_json::{Map, Value};

use super::selector::unmet;
use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Objects, Resource, pods_named, server_failure, text};
use crate::output::{self, Table};
use crate::tag::{Injector, injectors};

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
            let (injects, reason) = verdict(injector, &labels, &pod);
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

/// Whether any webhook of a configuration selects the pod, and the words for it.
fn verdict(injector: &Injector, namespace: &Map<String, Value>, pod: &Map<String, Value>) -> (bool, String) {
    let webhooks = injector.object.get("webhooks").and_then(Value::as_array);
    let mut reasons: Vec<String> = Vec::new();
    for webhook in webhooks.into_iter().flatten() {
        if is_deactivated(webhook) {
            return (false, "The injection webhook is deactivated, and will never match labels.".to_owned());
        }
        let of_namespace = unmet(&webhook["namespaceSelector"], namespace);
        let of_pod = unmet(&webhook["objectSelector"], pod);
        match (of_namespace, of_pod) {
            (None, None) => return (true, why(webhook)),
            (Some(requirement), _) => reasons.push(format!("namespace: {requirement}")),
            (None, Some(requirement)) => reasons.insert(0, format!("pod: {requirement}")),
        }
    }
    // A pod that opts out of a namespace that opts in says more than the webhooks for other labels.
    (false, reasons.into_iter().next().map(|reason| format!("not met: {reason}")).unwrap_or_default())
}

/// What selected the pod: labels of its namespace, or its own.
fn why(webhook: &Value) -> String {
    let words = |pointer: &str, of: &str| {
        let expressions = webhook.pointer(pointer).and_then(Value::as_array);
        let positive = expressions.into_iter().flatten().find(|it| text(it, "/operator") == "In")?;
        let values = positive.get("values").and_then(Value::as_array)?;
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        Some(format!("{of} label {}={}", text(positive, "/key"), values.join("|")))
    };
    words("/objectSelector/matchExpressions", "Pod")
        .or_else(|| words("/namespaceSelector/matchExpressions", "Namespace"))
        .unwrap_or_else(|| "Automatic injection in every namespace".to_owned())
}
