//! Namespaces: what each has from the start, and its orderly end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, set_condition, text};
use crate::api_client::{ApiError, PatchKind, ResourceRef};

/// Name of the config map with the cluster's CA.
const ROOT_CA: &str = "kube-root-ca.crt";
/// How soon a namespace that is leaving is looked at again: kinds of CRDs are not watched.
const LEAVING_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn reconcile(context: &Context, name: &str) -> Reconciled {
    let Some(namespace) = context.get(&ResourceRef::NAMESPACES, "", name).await? else { return Ok(None) };
    if namespace["metadata"]["deletionTimestamp"].is_string() {
        return end(context, &namespace, name).await;
    }
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default", "namespace": name } });
    create_missing(context, &ResourceRef::SERVICE_ACCOUNTS, name, "default", account).await?;
    let authority = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": ROOT_CA,
            "namespace": name,
            "annotations": { "kubernetes.io/description": "Certificate authority of this cluster's API server." },
        },
        "data": { "ca.crt": context.ca_certificate },
    });
    match context.get(&ResourceRef::CONFIG_MAPS, name, ROOT_CA).await? {
        Some(known) if known["data"] == authority["data"] => {}
        Some(_) => {
            let patch = json!({ "data": authority["data"] });
            context.api.merge_patch(&ResourceRef::CONFIG_MAPS, name, ROOT_CA, "", patch).await?;
        }
        None => create_missing(context, &ResourceRef::CONFIG_MAPS, name, ROOT_CA, authority).await?,
    }
    Ok(None)
}

async fn create_missing(
    context: &Context,
    resource: &ResourceRef,
    namespace: &str,
    name: &str,
    object: Value,
) -> Result<(), ApiError> {
    if context.get(resource, namespace, name).await?.is_some() {
        return Ok(());
    }
    match context.api.create(resource, namespace, object).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}

/// Deletes everything in the namespace; once it is empty, lets it go.
async fn end(context: &Context, namespace: &Value, name: &str) -> Reconciled {
    let mut left = Remains::default();
    for resource in namespaced_kinds(context).await? {
        for object in context.list(&resource, name).await? {
            left.add(&resource, &object);
            if !object["metadata"]["deletionTimestamp"].is_string() {
                context.delete(&resource, &object).await?;
            }
        }
    }
    if !left.resources.is_empty() {
        let mut status = namespace["status"].clone();
        status["conditions"] = json!(left.conditions(&namespace["status"]["conditions"]));
        context.write_status(&ResourceRef::NAMESPACES, namespace, status).await?;
        return Ok(Some(LEAVING_PAUSE));
    }
    let finalizers = namespace["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
    let others: Vec<Value> = finalizers.into_iter().filter(|finalizer| finalizer != "kubernetes").collect();
    let patch = json!({ "spec": { "finalizers": others } });
    context.api.patch(&ResourceRef::NAMESPACES, "", name, "finalize", PatchKind::Merge, patch).await?;
    Ok(None)
}

/// What may fail where kinds are served by other servers.
const NO_FAILURES: [(&str, &str, &str); 3] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
];

/// What a namespace that is leaving still holds.
#[derive(Default)]
struct Remains {
    /// How many objects of each resource, `configmaps.` or `gateways.networking.istio.io`.
    resources: BTreeMap<String, usize>,
    /// In how many objects each finalizer stands.
    finalizers: BTreeMap<String, usize>,
}

impl Remains {
    fn add(&mut self, resource: &ResourceRef, object: &Value) {
        *self.resources.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
        for finalizer in object["metadata"]["finalizers"].as_array().into_iter().flatten() {
            *self.finalizers.entry(finalizer.as_str().unwrap_or("").to_owned()).or_default() += 1;
        }
    }

    /// Why the namespace is still there, in Kubernetes' words.
    fn conditions(&self, before: &Value) -> Vec<Value> {
        let mut conditions = before.as_array().cloned().unwrap_or_default();
        for (kind, reason, message) in NO_FAILURES {
            set_condition(&mut conditions, kind, "False", reason, message);
        }
        let told = |counts: &BTreeMap<String, usize>, verb: &str| -> String {
            let each = counts.iter().map(|(what, count)| format!("{what} {verb} {count} resource instances"));
            each.collect::<Vec<_>>().join(", ")
        };
        let remain = format!("Some resources are remaining: {}", told(&self.resources, "has"));
        set_condition(&mut conditions, "NamespaceContentRemaining", "True", "SomeResourcesRemain", &remain);
        let (status, reason, message) = if self.finalizers.is_empty() {
            ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned())
        } else {
            let waits = told(&self.finalizers, "in");
            (
                "True",
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {waits}"),
            )
        };
        set_condition(&mut conditions, "NamespaceFinalizersRemaining", status, reason, &message);
        conditions
    }
}

/// All kinds that live in namespaces, those of CRDs included.
pub(super) async fn namespaced_kinds(context: &Context) -> Result<Vec<ResourceRef>, ApiError> {
    let mut kinds: Vec<ResourceRef> = ResourceRef::ALL
        .iter()
        .filter(|resource| resource.namespaced)
        .map(|resource| (*resource).clone())
        .collect();
    for (plural, kind) in [("roles", "Role"), ("rolebindings", "RoleBinding")] {
        kinds.push(ResourceRef::new("rbac.authorization.k8s.io", "v1", plural, kind, true));
    }
    for definition in context.list(&ResourceRef::CUSTOM_RESOURCE_DEFINITIONS, "").await? {
        if text(&definition, "/spec/scope") != "Namespaced" {
            continue;
        }
        let versions = definition["spec"]["versions"].as_array().cloned().unwrap_or_default();
        let Some(version) = versions.iter().find(|version| version["storage"] == true) else { continue };
        kinds.push(ResourceRef::new(
            text(&definition, "/spec/group"),
            text(version, "/name"),
            text(&definition, "/spec/names/plural"),
            text(&definition, "/spec/names/kind"),
            true,
        ));
    }
    Ok(kinds)
}
