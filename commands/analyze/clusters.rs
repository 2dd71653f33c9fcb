//! The clusters of a mesh: the one the command talks to, and those that contexts or remote secrets name.

use sagene_analysis::Input;
use sagene_analysis::checks::Check;
use serde_json::Value;

use super::live::{Listed, Scope};
use super::{AnalyzeCommand, Subject, live};
use crate::context::{Cluster, Context, Source, kubeconfig, server_is};
use crate::exit::{Failure, chain};
use crate::kubernetes::{Objects, Resource, text};

/// Label of the Secrets that hold the kubeconfigs of other clusters.
const REMOTE_SECRETS: &str = "istio/multiCluster=true";
/// Name of the cluster the command talks to, where nothing else is said.
const OWN_NAME: &str = "Kubernetes";
/// Most of a Secret's clusters; a bound against mistakes.
const MOST_CLUSTERS: usize = 64;

/// Reads all clusters into `subject`. Answers what was listed of the first, so that its changes can be followed.
pub(super) async fn read(
    context: &Context,
    cluster: &Cluster,
    command: &AnalyzeCommand,
    checks: &[&Check],
    subject: &mut Subject,
) -> Result<Vec<Listed>, Failure> {
    let istio_namespace = &context.globals.istio_namespace;
    let own = context.namespace(cluster);
    let namespace = (!command.all_namespaces).then_some(own.as_str());
    let scope = Scope { istio_namespace, namespace, follow: command.watch };
    let withheld = live::read(&cluster.client, scope, checks, &mut subject.input).await?;
    // Files are worth a look even where the cluster shows nothing; nobody asked for anything else than the cluster.
    if withheld.is_everything() && command.files.is_empty() {
        return Err(withheld.refusal(&cluster.description));
    }
    subject.is_partial |= withheld.is_something();
    subject.notes.extend(withheld.notes(checks, &cluster.description, command.verbose));
    if command.revision.is_none() {
        let revision = default_revision(&subject.input);
        subject.input.retain_revision(&revision);
    }
    let remotes = if command.watch {
        Vec::new()
    } else if command.remote_contexts.is_empty() {
        of_secrets(context, cluster, subject).await?
    } else {
        of_contexts(context, &command.remote_contexts).await?
    };
    for (name, remote) in remotes {
        if subject.input.remotes.contains_key(&name) {
            subject.notes.push(format!("Cluster {name} is named more than once; the first counts."));
            continue;
        }
        let mut input = Input { cluster: name.clone(), ..Input::default() };
        match live::read(&remote.client, scope, checks, &mut input).await {
            Ok(withheld) if withheld.is_everything() && !command.remote_contexts.is_empty() => {
                return Err(withheld.refusal(&format!("cluster {name}")));
            }
            Ok(withheld) => {
                subject.is_partial |= withheld.is_something();
                subject.notes.extend(withheld.notes(checks, &format!("cluster {name}"), command.verbose));
            }
            Err(failure) if command.remote_contexts.is_empty() => {
                subject.notes.push(format!("Cluster {name} was left out: {}.", chain(&failure.error)));
                continue;
            }
            Err(failure) => {
                let failure = failure.context(format!("cannot read cluster {name}"));
                return Err(failure.hint(server_is(&remote.description)));
            }
        }
        command.mesh(&mut input, istio_namespace)?;
        let revision = command.revision.clone().unwrap_or_else(|| default_revision(&input));
        input.retain_revision(&revision);
        subject.input.remotes.insert(name, input.snapshot.clone());
        subject.others.push(input);
    }
    if !subject.others.is_empty() {
        OWN_NAME.clone_into(&mut subject.input.cluster);
    }
    introduce(subject);
    Ok(withheld.listed)
}

/// Services and workloads are those of the whole mesh: each cluster gets to know all the others.
fn introduce(subject: &mut Subject) {
    let own = (subject.input.cluster.clone(), subject.input.snapshot.clone());
    let all = subject.input.remotes.clone().into_iter().chain([own]);
    let all: Vec<_> = all.collect();
    for other in &mut subject.others {
        let rest = all.iter().filter(|(name, _)| *name != other.cluster).cloned();
        other.remotes.extend(rest);
    }
}

/// The revision that the tag `default` stands for.
fn default_revision(input: &Input) -> String {
    let webhooks = &input.snapshot.mutating_webhook_configurations;
    let tag = webhooks.iter().find(|webhook| webhook.metadata.name.starts_with("istio-revision-tag-default"));
    let revision = tag.and_then(|tag| tag.metadata.labels.get("istio.io/rev"));
    revision.cloned().unwrap_or_else(|| "default".to_owned())
}

async fn of_contexts(context: &Context, names: &[String]) -> Result<Vec<(String, Cluster)>, Failure> {
    let mut clusters = Vec::new();
    for name in names.iter().flat_map(|names| names.split(',')).map(str::trim) {
        let mut globals = context.globals.clone();
        globals.context = Some(name.to_owned());
        globals.embedded = false;
        clusters.push((name.to_owned(), Context::new(globals).cluster().await?));
    }
    Ok(clusters)
}

/// The clusters whose kubeconfigs stand in Secrets of the control plane's namespace. Without the permission there are none.
async fn of_secrets(
    context: &Context,
    cluster: &Cluster,
    subject: &mut Subject,
) -> Result<Vec<(String, Cluster)>, Failure> {
    let objects = Objects::new(cluster.client.clone());
    let secrets = Resource::known("", "v1", "Secret", "secrets", true);
    let namespace = Some(context.globals.istio_namespace.as_str());
    // Asked for only by those who may: the analysis of one cluster needs no Secret.
    let Ok(found) = objects.list(&secrets, namespace, REMOTE_SECRETS).await else { return Ok(Vec::new()) };
    let mut clusters = Vec::new();
    for secret in &found {
        let data = secret.get("data").and_then(Value::as_object).into_iter().flatten();
        for (name, encoded) in data.take(MOST_CLUSTERS) {
            match connect(context, name, encoded.as_str().unwrap_or_default()).await {
                Ok(cluster) => clusters.push((name.clone(), cluster)),
                Err(failure) => subject.notes.push(format!(
                    "Cluster {name} of Secret {} was left out: {}.",
                    text(secret, "/metadata/name"),
                    chain(&failure.error)
                )),
            }
        }
    }
    Ok(clusters)
}

async fn connect(context: &Context, name: &str, encoded: &str) -> Result<Cluster, Failure> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded)?;
    let kubeconfig = kubeconfig::of_secret(&bytes)?;
    let source = Source::Kubeconfig(Box::new(kubeconfig), format!("the remote secret of {name}"));
    context.connect(&source).await
}
