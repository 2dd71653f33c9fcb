//! From what was named to pods: `pod`, `pod/x`, `deploy/x`, `svc/x`, or a selector.

use serde_json::Value;

use super::session::{Session, error};
use crate::exit::Failure;
use crate::kubernetes::{Resource, kubectl_failure, selector_of, text};

/// The pods a name stands for, the ones that run longest first.
pub(super) async fn named(session: &Session, name: &str) -> Result<Vec<Value>, Failure> {
    let Some((kind, object)) = name.split_once('/') else {
        return pod(session, name).await;
    };
    let resource = session.resource(kind).await?;
    if resource.kind == "Pod" {
        return pod(session, object).await;
    }
    let path = resource.object(session.namespace_for(&resource), object);
    let owner = session.objects.get_path(&path, None).await.map_err(kubectl_failure)?;
    let selector = selector_of(&owner).ok_or_else(|| error(format!("{name} selects no pods")))?;
    selected(session, &selector).await
}

async fn pod(session: &Session, name: &str) -> Result<Vec<Value>, Failure> {
    let path = Resource::pods().object(Some(&session.namespace), name);
    Ok(vec![session.objects.get_path(&path, None).await.map_err(kubectl_failure)?])
}

/// Pods by label selector.
pub(super) async fn selected(session: &Session, selector: &str) -> Result<Vec<Value>, Failure> {
    let list = session.objects.list(&Resource::pods(), Some(&session.namespace), selector).await;
    let mut pods = list.map_err(kubectl_failure)?;
    sort(&mut pods);
    Ok(pods)
}

/// As kubectl chooses: running before pending, ready before not, older before younger. Pods that are going come last: after a rollout its old
/// pods run on for a while, and what is asked for then is the new ones.
fn sort(pods: &mut [Value]) {
    pods.sort_by_cached_key(|pod| {
        let ready = pod.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|conditions| {
            conditions.iter().any(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")
        });
        let going = !text(pod, "/metadata/deletionTimestamp").is_empty();
        let created = text(pod, "/metadata/creationTimestamp").to_owned();
        (going, text(pod, "/status/phase") != "Running", !ready, created)
    });
}

/// One pod of many, or kubectl's error.
pub(super) fn first(pods: &[Value], name: &str) -> Result<Value, Failure> {
    pods.first().cloned().ok_or_else(|| error(format!("no pods match \"{name}\"")))
}

/// The container to act on: the named one, else the pod's default, else the first, with a note when there are several.
pub(super) fn container(pod: &Value, wanted: Option<&str>) -> Result<String, Failure> {
    let names: Vec<&str> = ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .filter_map(|list| pod.pointer(list).and_then(Value::as_array))
        .flatten()
        .map(|container| text(container, "/name"))
        .collect();
    let pod_name = text(pod, "/metadata/name");
    if let Some(wanted) = wanted {
        return match names.contains(&wanted) {
            true => Ok(wanted.to_owned()),
            false => Err(error(format!("container {wanted} is not valid for pod {pod_name}"))
                .hint(format!("its containers: {}", names.join(", ")))),
        };
    }
    let default = text(pod, "/metadata/annotations/kubectl.kubernetes.io~1default-container");
    if names.contains(&default) {
        return Ok(default.to_owned());
    }
    let first = names.first().ok_or_else(|| error(format!("pod {pod_name} has no containers")))?;
    let several =
        pod.pointer("/spec/containers").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
    if several {
        crate::output::progress(&format!("Defaulted container \"{first}\" out of: {}", names.join(", ")));
    }
    Ok((*first).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_are_going_are_the_last_to_be_chosen() {
        let pod = |name: &str, phase: &str, created: &str, going: bool| {
            let mut pod = json!({
                "metadata": {"name": name, "creationTimestamp": created},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if phase == "Running" { "True" } else { "False" }}]},
            });
            if going {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z".into();
            }
            pod
        };
        let mut pods = vec![
            pod("old", "Running", "2026-01-01T00:00:00Z", true),
            pod("starting", "Pending", "2026-01-01T00:00:00Z", false),
            pod("young", "Running", "2026-01-01T00:00:40Z", false),
            pod("elder", "Running", "2026-01-01T00:00:20Z", false),
        ];
        sort(&mut pods);
        let names: Vec<&str> = pods.iter().map(|pod| text(pod, "/metadata/name")).collect();
        assert_eq!(names, ["elder", "young", "starting", "old"]);
    }
}
