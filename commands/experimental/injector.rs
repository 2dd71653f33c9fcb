//! `injector list`: namespaces with the revision that injects them and the revisions their pods have; then the webhooks.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use sagene_manifest::render::is_deactivated;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::kubernetes::{Objects, Resource, server_failure, text};
use crate::output::{self, Table};
use crate::tag::{Injector, followers, injectors, namespaces};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct InjectorCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// List namespaces and injection webhooks
    List,
}

const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

impl InjectorCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Subcommands::List = self.command;
        let cluster = context.cluster().await?;
        let objects = Objects::new(cluster.client.clone());
        let pods = objects.list(&Resource::pods(), None, "").await.map_err(server_failure)?;
        let maps = Resource::known("", "v1", "ConfigMap", "configmaps", true);
        let istio = Some(context.globals.istio_namespace.as_str());
        let maps = objects.list(&maps, istio, "istio.io/rev").await.map_err(server_failure)?;
        let injectors = injectors(&cluster).await?;
        let namespaces = namespaces(&cluster).await?;
        let only = context.globals.namespace.as_deref().filter(|name| !name.is_empty());
        let mut table = Table::new(["NAMESPACE", "ISTIO-REVISION", "POD-REVISIONS"], 1);
        for namespace in &namespaces {
            let name = text(namespace, "/metadata/name");
            if SYSTEM.contains(&name) || Some(name) == istio || only.is_some_and(|only| only != name) {
                continue;
            }
            let revision = revision_of(namespace, &injectors);
            let here: Vec<&Value> =
                pods.iter().filter(|pod| text(pod, "/metadata/namespace") == name).collect();
            table.row([
                name,
                &revision.clone().unwrap_or_default(),
                &pod_revisions(&here, revision.as_deref()),
            ]);
        }
        output::data(&table.render());
        output::line("");
        let mut table = Table::new(["NAMESPACES", "INJECTOR-HOOK", "ISTIO-REVISION", "SIDECAR-IMAGE"], 1);
        for injector in &injectors {
            let name = if injector.tag.is_empty() { &injector.revision } else { &injector.tag };
            let mut follow = followers(&namespaces, name);
            if is_deactivated(&injector.object["webhooks"][0]) {
                follow.clear();
            }
            let follow = if follow.is_empty() { "DOES NOT AUTOINJECT".to_owned() } else { follow.join(",") };
            table.row([
                follow,
                injector.name.clone(),
                injector.revision.clone(),
                image(&maps, &injector.revision),
            ]);
        }
        output::data(&table.render());
        Ok(Exit::Success)
    }
}

/// The revision that injects a namespace; `MISSING/<name>` when it names one that is not installed.
fn revision_of(namespace: &Value, injectors: &[Injector]) -> Option<String> {
    let injection = text(namespace, "/metadata/labels/istio-injection");
    let label = text(namespace, "/metadata/labels/istio.io~1rev");
    let wanted = match (injection, label) {
        ("enabled", _) => "default",
        ("", "") => return None,
        ("", label) => label,
        _ => return None,
    };
    let found = injectors
        .iter()
        .find(|it| it.tag == wanted)
        .or_else(|| injectors.iter().find(|it| it.tag.is_empty() && it.revision == wanted));
    Some(found.map_or_else(|| format!("MISSING/{wanted}"), |it| it.revision.clone()))
}

/// `rev: N` for each revision of running proxies, and how many pods would get another after a restart.
fn pod_revisions(pods: &[&Value], wanted: Option<&str>) -> String {
    if pods.is_empty() {
        return "<no pods>".to_owned();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut disabled, mut restart) = (0usize, 0usize);
    for pod in pods {
        let status: Value = serde_json::from_str(text(pod, "/metadata/annotations/sidecar.istio.io~1status"))
            .unwrap_or_default();
        let revision = text(&status, "/revision").to_owned();
        let off = text(pod, "/metadata/labels/sidecar.istio.io~1inject") == "false"
            || text(pod, "/metadata/annotations/sidecar.istio.io~1inject") == "false";
        disabled += usize::from(off);
        restart += usize::from(!off && wanted.is_some_and(|wanted| wanted != revision));
        let revision = if revision.is_empty() { "<non-Istio>".to_owned() } else { revision };
        *counts.entry(revision).or_default() += 1;
    }
    let mut words: Vec<String> =
        counts.iter().map(|(revision, count)| format!("{revision}: {count}")).collect();
    if disabled > 0 {
        words.push(format!("(injection disabled: {disabled})"));
    }
    if restart > 0 {
        words.push(format!("NEEDS RESTART: {restart}"));
    }
    words.join(" ")
}

/// The image that a revision's injector gives to pods.
fn image(maps: &[Value], revision: &str) -> String {
    let of = |map: &&Value| {
        text(map, "/metadata/name").starts_with("istio-sidecar-injector")
            && text(map, "/metadata/labels/istio.io~1rev") == revision
    };
    let Some(map) = maps.iter().find(of) else { return "<unknown>".to_owned() };
    let values: Value = serde_json::from_str(text(map, "/data/values")).unwrap_or_default();
    let (hub, tag) = (text(&values, "/global/hub"), text(&values, "/global/tag"));
    let name = text(&values, "/global/proxy/image");
    if name.contains('/') { name.to_owned() } else { format!("{hub}/{name}:{tag}") }
}
