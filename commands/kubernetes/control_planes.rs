//! The pods of the control plane that can be asked something.

use serde_json::Value;

use super::error::server_failure;
use super::request::Objects;
use super::resource::{Resource, text};
use crate::context::{Cluster, Context};
use crate::exit::Failure;

/// The istiods of a revision (all revisions when it is empty), sorted by name: ready ones, or where none is ready, those that run.
/// One that is on its way out is asked nothing: it may be gone before it answers.
pub(crate) async fn control_planes(
    context: &Context,
    cluster: &Cluster,
    revision: &str,
) -> Result<Vec<String>, Failure> {
    let mut labels = "app=istiod".to_owned();
    if !revision.is_empty() {
        labels.push_str(&format!(",istio.io/rev={revision}"));
    }
    let namespace = &context.globals.istio_namespace;
    let objects = Objects::new(cluster.client.clone());
    let pods = objects.list(&Resource::pods(), Some(namespace), &labels).await.map_err(server_failure)?;
    let mut names = chosen(&pods);
    names.sort();
    if names.is_empty() {
        return Err(Failure::new(format!("no running Istio pods in namespace \"{namespace}\""))
            .hint("sagene install installs the control plane; -i names its namespace"));
    }
    Ok(names)
}

fn chosen(pods: &[Value]) -> Vec<String> {
    let running = |pod: &&Value| {
        text(pod, "/status/phase") == "Running" && text(pod, "/metadata/deletionTimestamp").is_empty()
    };
    let name = |pod: &Value| text(pod, "/metadata/name").to_owned();
    let ready: Vec<String> = pods.iter().filter(running).filter(|pod| is_ready(pod)).map(name).collect();
    if ready.is_empty() { pods.iter().filter(running).map(name).collect() } else { ready }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: &str, deleted: bool) -> Value {
        let mut pod = json!({
            "metadata": { "name": name },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] },
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        pod
    }

    #[test]
    fn ready_ones_are_asked_and_those_that_leave_are_not() {
        let pods = [pod("leaving", "True", true), pod("new", "True", false), pod("starting", "False", false)];
        assert_eq!(chosen(&pods), ["new"]);
        assert_eq!(chosen(&pods[2..]), ["starting"]);
        assert!(chosen(&pods[..1]).is_empty());
    }
}
