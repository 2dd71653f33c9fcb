//! `uninstall`: removes a revision, or with `--purge` everything; on the embedded cluster `--purge` removes the cluster too.

use std::collections::BTreeSet;

use clap::Args;
use sagene_cluster::launcher;
use sagene_manifest::profile::{self, Installation};
use sagene_manifest::render::{self, COMPONENT_LABEL, OWNER_LABEL};
use serde_json::{Value, json};

use crate::context::{Cluster, Context, Source};
use crate::exit::{Exit, Failure, Outcome};
use crate::install::installed_types;
use crate::install::settings::Overlays;
use crate::kubernetes::{Discovery, Objects, Resource, http_get, server_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct UninstallCommand {
    #[command(flatten)]
    overlays: Overlays,
    /// Remove everything of every revision, and on the embedded cluster the cluster itself
    #[arg(long)]
    purge: bool,
    /// Do not ask before acting
    #[arg(short = 'y', long)]
    skip_confirmation: bool,
    /// Print what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print every removed object
    #[arg(short, long)]
    verbose: bool,
}

/// An object to remove.
struct Doomed {
    resource: Resource,
    object: Value,
}

impl UninstallCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let request = self.overlays.request()?;
        let named = request.revision.is_some()
            || !request.files.is_empty()
            || request.sets.iter().any(|set| set.starts_with("revision="));
        if !self.purge && !named {
            return Err(Failure::new("at least one of the --revision (or --set revision=<revision>), --filename or --purge flags must be set")
                .hint("sagene uninstall --purge   removes everything"));
        }
        let chosen = if self.purge { None } else { Some(profile::resolve(&request)?) };
        crate::runtime::block_on(async {
            match Source::find(&context.globals)? {
                Some(source) if self.purge && source.is_embedded() => {
                    self.purge_embedded(context, &source).await
                }
                Some(source) => {
                    let cluster = context.connect(&source).await?;
                    self.remove_from(context, &cluster, chosen.as_ref()).await
                }
                // A half-made state directory counts as something to remove; nothing at all is what was asked for.
                None if self.purge => purge_state(),
                None => context.cluster().await.map(|_| Exit::Success),
            }
        })
    }

    /// The cluster exists for the mesh: all of it goes.
    async fn purge_embedded(&self, context: &Context, source: &Source) -> Outcome {
        output::progress(
            "This removes the embedded cluster of this machine: its control plane, every pod in it and everything it keeps.",
        );
        if self.dry_run {
            output::progress("Nothing was changed (--dry-run)");
            return Ok(Exit::Success);
        }
        if let Ok(cluster) = context.connect(source).await {
            warn_about_proxies(&cluster, &context.globals.istio_namespace, None).await;
        }
        if !self.skip_confirmation && !output::confirm("Proceed?")? {
            output::progress("Cancelled.");
            return Ok(Exit::Failure);
        }
        purge_state()
    }

    async fn remove_from(
        &self,
        context: &Context,
        cluster: &Cluster,
        chosen: Option<&Installation>,
    ) -> Outcome {
        output::progress(&format!("Uninstalling from {}", cluster.description));
        let mut doomed = find(cluster, &chosen.map_or_else(|| COMPONENT_LABEL.to_owned(), selector)).await?;
        if self.purge {
            // What `tag set` made: the webhook of a tag would keep the pods of its namespaces from starting.
            let tags = find(cluster, &format!("istio.io/tag,!{COMPONENT_LABEL}")).await?;
            let made =
                |tag: &Doomed| matches!(&*tag.resource.kind, "MutatingWebhookConfiguration" | "Service");
            doomed.extend(tags.into_iter().filter(made));
        }
        if doomed.is_empty() {
            let what = chosen.map(|it| match it.name.as_str() {
                "" => format!(" of revision {:?}", it.revision_label()),
                name => format!(" of IstioOperator {name:?}, revision {:?},", it.revision_label()),
            });
            let what = what.unwrap_or_default();
            return Err(Failure::new(format!("nothing{what} is installed in {}", cluster.description)));
        }
        for revision in &control_planes(&doomed) {
            warn_about_proxies(cluster, &context.globals.istio_namespace, Some(revision)).await;
            warn_about_tags(cluster, revision, &doomed).await?;
        }
        if self.dry_run {
            doomed.iter().for_each(|doomed| output::line(&format!("  Would remove {}.", described(doomed))));
            return Ok(Exit::Success);
        }
        let question =
            format!("{} objects will be removed from {}. Proceed?", doomed.len(), cluster.description);
        if !self.skip_confirmation && !output::confirm(&question)? {
            output::progress("Cancelled.");
            return Ok(Exit::Failure);
        }
        let objects = Objects::new(cluster.client.clone());
        for doomed in &doomed {
            let namespace = Some(text(&doomed.object, "/metadata/namespace")).filter(|it| !it.is_empty());
            let name = text(&doomed.object, "/metadata/name");
            let options = json!({"propagationPolicy": "Background"});
            objects.delete(&doomed.resource, namespace, name, &options).await.map_err(server_failure)?;
            output::line(&format!("  Removed {}.", described(doomed)));
        }
        if self.purge {
            remove_namespace(&objects, &context.globals.istio_namespace).await?;
        }
        output::progress("✔ Uninstall complete");
        Ok(Exit::Success)
    }
}

/// What goes without `--purge`: of a file that names itself what was made from it, else everything of the revision. The base and the
/// CRDs stay, other revisions need them.
fn selector(chosen: &Installation) -> String {
    let parts = format!("{COMPONENT_LABEL},{COMPONENT_LABEL}!=Base");
    if chosen.name.is_empty() {
        format!("{parts},{OWNER_LABEL},istio.io/rev={}", chosen.revision_label())
    } else {
        format!("{parts},{OWNER_LABEL}={}", render::owner(chosen))
    }
}

/// Everything with the labels. Definitions are part of the base.
async fn find(cluster: &Cluster, labels: &str) -> Result<Vec<Doomed>, Failure> {
    let discovery = Discovery::load(&cluster.client).await.map_err(server_failure)?;
    let objects = Objects::new(cluster.client.clone());
    let mut types: Vec<Resource> = installed_types(&discovery).into_iter().cloned().collect();
    let group = "apiextensions.k8s.io";
    types.push(Resource::known(group, "v1", "CustomResourceDefinition", "customresourcedefinitions", false));
    let mut doomed = Vec::new();
    for resource in types {
        for object in objects.list(&resource, None, labels).await.map_err(server_failure)? {
            doomed.push(Doomed { resource: resource.clone(), object });
        }
    }
    Ok(doomed)
}

/// Stops the cluster and removes its state; nothing there is fine.
fn purge_state() -> Outcome {
    if launcher::purge(None)? {
        output::progress("✔ Uninstall complete: the embedded cluster and everything it kept are gone");
    } else {
        output::progress("✔ Nothing is installed");
    }
    Ok(Exit::Success)
}

fn described(doomed: &Doomed) -> String {
    let namespace = text(&doomed.object, "/metadata/namespace");
    let name = text(&doomed.object, "/metadata/name");
    format!("{}:{}/{name}.{namespace}", doomed.resource.api_version(), doomed.resource.kind)
}

/// The control plane leaves secrets, leases and certificates behind that it made itself: with the last of it the namespace goes.
async fn remove_namespace(objects: &Objects, namespace: &str) -> Result<(), Failure> {
    let pods = objects
        .list(&Resource::known("apps", "v1", "Deployment", "deployments", true), Some(namespace), "")
        .await;
    if !pods.map_err(server_failure)?.is_empty() {
        output::progress(&format!("  Namespace {namespace} is kept: it holds workloads of others"));
        return Ok(());
    }
    let certificates = Resource::known("", "v1", "ConfigMap", "configmaps", true);
    for map in objects.list(&certificates, None, "istio.io/config=true").await.map_err(server_failure)? {
        if text(&map, "/metadata/name") == "istio-ca-root-cert" {
            let of = Some(text(&map, "/metadata/namespace"));
            objects
                .delete(&certificates, of, "istio-ca-root-cert", &json!({}))
                .await
                .map_err(server_failure)?;
        }
    }
    objects.delete(&Resource::namespaces(), None, namespace, &json!({})).await.map_err(server_failure)?;
    wait_until_gone(objects, namespace).await?;
    output::line(&format!("  Removed v1:Namespace/{namespace}."));
    Ok(())
}

/// A namespace goes when its last pod has gone. What is installed right after would be refused by one that is still going.
async fn wait_until_gone(objects: &Objects, namespace: &str) -> Result<(), Failure> {
    for attempt in 0..240 {
        let Some(object) =
            objects.get(&Resource::namespaces(), None, namespace).await.map_err(server_failure)?
        else {
            return Ok(());
        };
        if attempt == 40 {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            let held =
                conditions.into_iter().flatten().filter(|condition| text(condition, "/status") == "True");
            output::progress(&format!("  Waiting for namespace {namespace} to go"));
            held.for_each(|condition| output::progress(&format!("    {}", text(condition, "/message"))));
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Err(Failure::new(format!("namespace {namespace} is still terminating after 60 s"))
        .hint(format!("sagene kubectl get pods -n {namespace}   shows what is left")))
}

/// The revisions whose control planes go.
fn control_planes(doomed: &[Doomed]) -> BTreeSet<String> {
    let istiod = doomed.iter().filter(|doomed| {
        doomed.resource.kind == "Deployment" && text(&doomed.object, "/metadata/labels/app") == "istiod"
    });
    istiod.map(|doomed| text(&doomed.object, "/metadata/labels/istio.io~1rev").to_owned()).collect()
}

/// Names the tags that will lead nowhere: the webhook of a tag that stays asks a control plane that is not there, and no pod starts.
async fn warn_about_tags(cluster: &Cluster, revision: &str, doomed: &[Doomed]) -> Result<(), Failure> {
    let group = "admissionregistration.k8s.io";
    let kind = "MutatingWebhookConfiguration";
    let webhooks = Resource::known(group, "v1", kind, "mutatingwebhookconfigurations", false);
    let selector = format!("istio.io/tag,istio.io/rev={revision}");
    let tags = Objects::new(cluster.client.clone()).list(&webhooks, None, &selector).await;
    for tag in tags.map_err(server_failure)? {
        let goes = |doomed: &Doomed| {
            doomed.resource.kind == kind && doomed.object["metadata"]["name"] == tag["metadata"]["name"]
        };
        if doomed.iter().any(goes) {
            continue;
        }
        let name = text(&tag, "/metadata/labels/istio.io~1tag");
        output::progress(&format!(
            "Revision tag {name} still points to revision {revision}: without it, no pod starts in the namespaces of the tag\n  \
             hint: sagene tag set {name} --revision <REVISION> --overwrite moves it, sagene tag remove {name} removes it"
        ));
    }
    Ok(())
}

/// Names the proxies that will lose their control plane, that of one revision or every one. Who cannot be asked is not counted.
async fn warn_about_proxies(cluster: &Cluster, namespace: &str, revision: Option<&str>) {
    let objects = Objects::new(cluster.client.clone());
    let of_revision = revision.map(|revision| format!(",istio.io/rev={revision}")).unwrap_or_default();
    let selector = format!("app=istiod{of_revision}");
    let pods = objects.list(&Resource::pods(), Some(namespace), &selector).await.unwrap_or_default();
    let mut proxies = Vec::new();
    for pod in pods.iter().filter(|pod| text(pod, "/status/phase") == "Running") {
        let answer =
            http_get(&cluster.client, namespace, text(pod, "/metadata/name"), 15014, "/debug/syncz").await;
        let entries: Vec<Value> =
            answer.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        proxies.extend(entries.iter().map(|entry| text(entry, "/proxy").to_owned()));
    }
    if proxies.is_empty() {
        return;
    }
    let listed = if proxies.len() <= 30 { format!(": {}", proxies.join(", ")) } else { String::new() };
    let which = revision.map(|revision| format!(" revision {revision}")).unwrap_or_default();
    output::progress(&format!(
        "There are still {} proxies pointing to the control plane{which}{listed}",
        proxies.len()
    ));
}
