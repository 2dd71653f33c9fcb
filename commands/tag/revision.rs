//! Revisions and tags as the cluster has them: the injection webhooks are their register.

use serde_json::Value;

use crate::context::Cluster;
use crate::exit::Failure;
use crate::kubernetes::{Objects, Resource, server_failure, text};

/// The type that holds them.
pub(crate) fn webhooks() -> Resource {
    let group = "admissionregistration.k8s.io";
    Resource::known(group, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false)
}

/// One injection webhook configuration, of a revision or of a tag.
#[derive(Debug, Clone)]
pub(crate) struct Injector {
    pub(crate) name: String,
    pub(crate) revision: String,
    /// Empty for the configuration of the revision itself.
    pub(crate) tag: String,
    pub(crate) object: Value,
}

/// All of them, sorted by name.
pub(crate) async fn injectors(cluster: &Cluster) -> Result<Vec<Injector>, Failure> {
    let objects = Objects::new(cluster.client.clone());
    let found = objects.list(&webhooks(), None, "app=sidecar-injector").await.map_err(server_failure)?;
    let mut injectors: Vec<Injector> = found
        .into_iter()
        .map(|object| Injector {
            name: text(&object, "/metadata/name").to_owned(),
            revision: text(&object, "/metadata/labels/istio.io~1rev").to_owned(),
            tag: text(&object, "/metadata/labels/istio.io~1tag").to_owned(),
            object,
        })
        .collect();
    injectors.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(injectors)
}

/// Names of the namespaces that follow a tag or revision by label.
pub(crate) fn followers(namespaces: &[Value], name: &str) -> Vec<String> {
    let label = |namespace: &Value, pointer: &str| text(namespace, pointer).to_owned();
    let follows = |namespace: &&Value| {
        let injection = label(namespace, "/metadata/labels/istio-injection");
        let revision = label(namespace, "/metadata/labels/istio.io~1rev");
        // A namespace with both labels follows `istio-injection`, as the webhooks' selectors have it.
        if injection.is_empty() { revision == name } else { name == "default" && injection == "enabled" }
    };
    namespaces.iter().filter(follows).map(|it| text(it, "/metadata/name").to_owned()).collect()
}

/// All namespaces.
pub(crate) async fn namespaces(cluster: &Cluster) -> Result<Vec<Value>, Failure> {
    let objects = Objects::new(cluster.client.clone());
    objects.list(&Resource::namespaces(), None, "").await.map_err(server_failure)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_follows_one_name_and_the_injection_label_wins() {
        let namespace = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let namespaces = [
            namespace("plain", json!({})),
            namespace("enabled", json!({"istio-injection": "enabled"})),
            namespace("canary", json!({"istio.io/rev": "canary"})),
            namespace("both", json!({"istio-injection": "enabled", "istio.io/rev": "canary"})),
            namespace("off", json!({"istio-injection": "disabled", "istio.io/rev": "canary"})),
        ];
        assert_eq!(followers(&namespaces, "default"), ["enabled", "both"]);
        assert_eq!(followers(&namespaces, "canary"), ["canary"]);
    }
}
