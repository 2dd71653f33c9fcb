//! `metrics.k8s.io`: what pods and nodes use, asked of the node agent with every request, in the words of metrics-server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::operations::{Operations, Target};
use crate::pod_runtime::{NodeUsage, PodUsage, Usage};

impl Operations {
    /// The objects of a measured kind in a namespace (`""` for everywhere), in the order of their names. None before the node agent has
    /// measured anything.
    pub(super) fn measured(&self, target: &Target) -> Vec<Arc<Value>> {
        let Some(measured) = self.pod_runtime.get().and_then(|agent| agent.usage()) else {
            return Vec::new();
        };
        let api_version = target.api_version();
        let documents: Vec<Value> = match target.definition.reference.plural.as_ref() {
            "nodes" => self.node_metrics(&measured).into_iter().collect(),
            _ => {
                let within =
                    |pod: &&PodUsage| target.namespace.is_empty() || pod.namespace == target.namespace;
                measured
                    .pods
                    .iter()
                    .filter(within)
                    .filter_map(|pod| self.pod_metrics(pod, &measured))
                    .collect()
            }
        };
        let typed = documents.into_iter().map(|mut document| {
            document["kind"] = json!(target.definition.reference.kind);
            document["apiVersion"] = json!(api_version);
            Arc::new(document)
        });
        typed.collect()
    }

    fn node_metrics(&self, measured: &NodeUsage) -> Option<Value> {
        let node = self.find("", "nodes", "", &measured.node)?;
        let mut document = when(&node, measured);
        document["usage"] = quantities(&measured.usage);
        Some(document)
    }

    /// A pod that has gone meanwhile has none.
    fn pod_metrics(&self, pod: &PodUsage, measured: &NodeUsage) -> Option<Value> {
        let object = self.find("", "pods", &pod.namespace, &pod.name)?;
        let mut document = when(&object, measured);
        document["metadata"]["namespace"] = json!(pod.namespace);
        let containers = pod.containers.iter();
        document["containers"] = containers
            .map(|container| json!({"name": container.name, "usage": quantities(&container.usage)}))
            .collect();
        Some(document)
    }
}

/// What is measured, with its labels, and of which time.
fn when(object: &Value, measured: &NodeUsage) -> Value {
    let time = format!("{:.0}", measured.measured_at);
    let mut metadata = json!({"name": object["metadata"]["name"], "creationTimestamp": time});
    if object["metadata"]["labels"].is_object() {
        metadata["labels"] = object["metadata"]["labels"].clone();
    }
    let window = format!("{}s", (measured.window.as_secs_f64() * 1000.0).round() / 1000.0);
    json!({"metadata": metadata, "timestamp": time, "window": window})
}

fn quantities(usage: &Usage) -> Value {
    json!({"cpu": format!("{:.0}n", usage.cores * 1e9), "memory": format!("{}Ki", usage.bytes / 1024)})
}
