//! Applies components by server-side apply, waits for them, and removes what an earlier installation left.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use sagene_manifest::profile::Installation;
use sagene_manifest::render::{self, COMPONENT_LABEL, OWNER_LABEL, RenderedComponent};
use serde_json::{Value, json};

use super::progress::{Progress, Step};
use super::{difference, readiness};
use crate::context::Cluster;
use crate::exit::Failure;
use crate::kubernetes::{ApplyOptions, Discovery, Objects, Resource, server_failure, text};
use crate::output;

/// Field manager of an installation, the one istioctl uses: an installation made by either can be changed by the other.
const MANAGER: &str = "istio-operator";
/// Requests in flight at once.
const PARALLEL: usize = 16;

/// Types an installation consists of.
pub(crate) const INSTALLED_TYPES: [(&str, &str); 14] = [
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apps", "Deployment"),
    ("apps", "DaemonSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("policy", "PodDisruptionBudget"),
    ("", "Service"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "Role"),
    ("", "ServiceAccount"),
];

/// Writes to one cluster.
pub(crate) struct Applier<'a> {
    cluster: &'a Cluster,
    installation: &'a Installation,
    objects: Objects,
    discovery: Discovery,
    dry_run: bool,
}

impl<'a> Applier<'a> {
    pub(crate) async fn new(
        cluster: &'a Cluster,
        installation: &'a Installation,
        dry_run: bool,
    ) -> Result<Self, Failure> {
        let discovery = Discovery::load(&cluster.client).await.map_err(|error| {
            server_failure(error).context(format!("cannot reach {}", cluster.description))
        })?;
        let objects = Objects::new(cluster.client.clone());
        Ok(Self { cluster, installation, objects, discovery, dry_run })
    }

    /// Makes the namespace of the control plane.
    pub(crate) async fn namespace(&self) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        let mut metadata = json!({"name": self.installation.namespace});
        let network =
            self.installation.values.pointer("/global/network").and_then(Value::as_str).unwrap_or_default();
        if !network.is_empty() {
            metadata["labels"] = json!({"topology.istio.io/network": network});
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        self.apply(&namespace).await
    }

    /// Applies one component, in the order of its kinds, and waits until it is ready.
    pub(crate) async fn component(
        &self,
        component: &RenderedComponent,
        timeout: Duration,
        step: &Step,
    ) -> Result<(), Failure> {
        for group in component.objects.chunk_by(|left, right| text(left, "/kind") == text(right, "/kind")) {
            stream::iter(group.iter().map(|object| self.apply(object)))
                .buffer_unordered(PARALLEL)
                .try_collect::<Vec<()>>()
                .await?;
        }
        if self.dry_run {
            return Ok(());
        }
        readiness::wait(&self.cluster.client, &component.objects, timeout, step).await
    }

    async fn apply(&self, object: &Value) -> Result<(), Failure> {
        let name = format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"));
        let resource = self.discovery.of(object).ok_or_else(|| {
            Failure::new(format!(
                "{name}: the cluster has no {} {}",
                text(object, "/apiVersion"),
                text(object, "/kind")
            ))
        })?;
        let options =
            ApplyOptions { manager: MANAGER, force: true, dry_run: self.dry_run, validation: "Ignore" };
        match self.objects.apply(resource, object, options).await {
            Ok(answer) if self.dry_run => self.show(resource, object, &answer).await,
            Ok(_) => Ok(()),
            // The namespace is not made in a dry run, so what goes into it cannot be checked: it is shown as it would be sent.
            Err(kube::Error::Api(status)) if self.dry_run && status.code == 404 => {
                self.show(resource, object, object).await
            }
            Err(error) => Err(server_failure(error).context(name)),
        }
    }

    /// Prints what an apply would change.
    async fn show(&self, resource: &Resource, object: &Value, answer: &Value) -> Result<(), Failure> {
        let namespace = Some(text(object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        let current = self.objects.get(resource, namespace, text(object, "/metadata/name")).await;
        if let Some(text) = difference::between(current.map_err(server_failure)?.as_ref(), answer)? {
            output::data(&text);
        }
        Ok(())
    }

    /// Deletes objects that an earlier installation of this name and revision made and this one does not have. Never CRDs.
    pub(crate) async fn prune(&self, kept: &[Value], progress: &Progress) -> Result<(), Failure> {
        let key = |kind: &str, object: &Value| {
            (
                kind.to_owned(),
                text(object, "/metadata/namespace").to_owned(),
                text(object, "/metadata/name").to_owned(),
            )
        };
        let kept: BTreeSet<_> = kept.iter().map(|object| key(text(object, "/kind"), object)).collect();
        let labels = format!("{OWNER_LABEL}={},{COMPONENT_LABEL}", render::owner(self.installation));
        let listed: Vec<(&Resource, Vec<Value>)> = stream::iter(self.types())
            .map(|resource| (resource, labels.clone()))
            .map(|(resource, labels)| async move {
                let list = self.objects.list(resource, None, &labels).await;
                list.map(|items| (resource, items)).map_err(server_failure)
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        let mut announced = false;
        for (resource, items) in listed {
            for item in items.iter().filter(|item| !kept.contains(&key(&resource.kind, item))) {
                if text(item, "/metadata/labels/install.operator.istio.io~1owning-resource-not-pruned")
                    == "true"
                {
                    continue;
                }
                if self.dry_run {
                    output::data(&difference::removal(item)?);
                    continue;
                }
                if !announced {
                    progress.say("  Pruning removed resources");
                    announced = true;
                }
                let (namespace, name) = (text(item, "/metadata/namespace"), text(item, "/metadata/name"));
                let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
                self.objects.delete(resource, namespace, name, &json!({})).await.map_err(server_failure)?;
                progress.say(&format!("    Removed {} {name}", resource.kind));
            }
        }
        Ok(())
    }

    fn types(&self) -> Vec<&Resource> {
        installed_types(&self.discovery)
    }
}

/// The types of [`INSTALLED_TYPES`] that the server has, in the order to delete them.
pub(crate) fn installed_types(discovery: &Discovery) -> Vec<&Resource> {
    let find = |(group, kind): &(&str, &str)| {
        discovery.resources.iter().find(|resource| resource.group == *group && resource.kind == *kind)
    };
    INSTALLED_TYPES.iter().filter_map(find).collect()
}
