//! Istio's way of naming pods: `pod`, `pod.namespace`, `type/name`, `type/name.namespace`.

use serde_json::Value;

use super::discovery::Discovery;
use super::error::server_failure;
use super::request::Objects;
use super::resource::{Resource, selector_of, text};
use crate::context::Cluster;
use crate::exit::Failure;

/// A pod that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodName {
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// Finds the pods behind a name; the text after the last dot is a namespace and wins over `namespace`.
pub(crate) async fn pods_named(
    cluster: &Cluster,
    target: &str,
    namespace: &str,
) -> Result<Vec<PodName>, Failure> {
    let (kind, rest) = match target.split_once('/') {
        Some((kind, rest)) => (Some(kind), rest),
        None => (None, target),
    };
    let (name, namespace) = match rest.rsplit_once('.') {
        Some((name, namespace)) => (name, namespace),
        None => (rest, namespace),
    };
    let objects = Objects::new(cluster.client.clone());
    match kind {
        None | Some("pod" | "pods" | "po") => one(&objects, name, namespace).await.map(|pod| vec![pod]),
        Some(kind) => {
            let discovery = Discovery::load(&cluster.client).await.map_err(server_failure)?;
            let resource = discovery
                .named(kind)
                .ok_or_else(|| Failure::new(format!("the server doesn't have a resource type \"{kind}\"")))?;
            let owner = objects
                .get_path(&resource.object(Some(namespace), name), None)
                .await
                .map_err(server_failure)?;
            let selector =
                selector_of(&owner).ok_or_else(|| Failure::new(format!("{target} selects no pods")))?;
            selected(&objects, namespace, &selector, target).await
        }
    }
}

/// Pods of a label selector.
pub(crate) async fn pods_selected(
    cluster: &Cluster,
    selector: &str,
    namespace: &str,
) -> Result<Vec<PodName>, Failure> {
    selected(&Objects::new(cluster.client.clone()), namespace, selector, selector).await
}

async fn one(objects: &Objects, name: &str, namespace: &str) -> Result<PodName, Failure> {
    match objects.get(&Resource::pods(), Some(namespace), name).await.map_err(server_failure)? {
        Some(_) => Ok(PodName { name: name.to_owned(), namespace: namespace.to_owned() }),
        None => Err(missing(objects, name, namespace).await),
    }
}

/// Says where a pod of that name is, or which one is meant by the beginning of its name.
async fn missing(objects: &Objects, name: &str, namespace: &str) -> Failure {
    let failure = Failure::new(format!("pods \"{name}\" not found in namespace \"{namespace}\""));
    let Ok(pods) = objects.list(&Resource::pods(), None, "").await else { return failure };
    let near = pods.iter().find(|pod| text(pod, "/metadata/name").starts_with(name));
    match near {
        Some(pod) => failure.hint(format!(
            "did you mean {}.{}?",
            text(pod, "/metadata/name"),
            text(pod, "/metadata/namespace")
        )),
        None => failure.hint(format!("a workload is named by its type, as in deploy/{name}")),
    }
}

async fn selected(
    objects: &Objects,
    namespace: &str,
    selector: &str,
    target: &str,
) -> Result<Vec<PodName>, Failure> {
    let mut pods =
        objects.list(&Resource::pods(), Some(namespace), selector).await.map_err(server_failure)?;
    pods.retain(|pod| text(pod, "/metadata/deletionTimestamp").is_empty());
    pods.sort_by_cached_key(|pod| {
        (text(pod, "/status/phase") != "Running", text(pod, "/metadata/creationTimestamp").to_owned())
    });
    if pods.is_empty() {
        return Err(Failure::new(format!("no pods match \"{target}\"")));
    }
    Ok(pods.iter().map(name_of).collect())
}

fn name_of(pod: &Value) -> PodName {
    PodName {
        name: text(pod, "/metadata/name").to_owned(),
        namespace: text(pod, "/metadata/namespace").to_owned(),
    }
}
