//! The objects of one cluster, as far as the chosen analyzers read them: one list a kind, in pages, several at once.
//!
//! Secrets and Nodes are asked for only where some object refers to them; ConfigMaps and CustomResourceDefinitions by name.

mod definitions;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use kube::{Client, Error};
use sagene_analysis::Input;
use sagene_analysis::checks::Check;
use sagene_analysis::needs::{self, Untyped};
use sagene_model::Kind;
use sagene_model::snapshot::Collected;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::kubernetes::{Objects, Resource, server_failure, text, with_query};

/// Lists in flight at once.
const PARALLEL: usize = 8;
/// Objects of a page.
const PAGE: &str = "500";
/// Secrets that hold no certificate: releases of Helm and tokens, which are many and large.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";
/// Where to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Namespace of the control plane.
    pub(super) istio_namespace: &'a str,
    /// The namespace whose findings are wanted; `None` for all. What may not be listed in all namespaces is listed here.
    pub(super) namespace: Option<&'a str>,
    /// Whether to read also what nothing refers to yet: changes will be followed.
    pub(super) follow: bool,
}

/// A kind that was listed, so that its changes can be followed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// What was listed.
    pub(super) resource: Resource,
    /// Where; `None` for all namespaces.
    pub(super) namespace: Option<String>,
    /// The state of the cluster that was seen.
    pub(super) version: String,
}

/// What a cluster would not show.
#[derive(Default)]
pub(super) struct Withheld {
    /// No permission to list them anywhere.
    forbidden: BTreeSet<Kind>,
    /// Permission to list them in one namespace.
    partly: BTreeSet<Kind>,
    /// The same for kinds that are read as they were written.
    forbidden_untyped: BTreeSet<&'static str>,
    /// Not known to the API server.
    unserved: BTreeSet<Kind>,
    /// What was listed.
    pub(super) listed: Vec<Listed>,
}

/// How to ask for a kind.
fn resource(kind: Kind) -> Option<Resource> {
    use sagene_api::istio::{extensions, networking, security, telemetry};
    use sagene_api::{gateway_api, kubernetes};
    fn of<S: Collected>() -> Resource {
        Resource::known(S::GROUP, S::VERSION, S::KIND, S::PLURAL, S::NAMESPACED)
    }
    Some(match kind {
        Kind::Service => of::<kubernetes::Service>(),
        Kind::Pod => of::<kubernetes::Pod>(),
        Kind::Namespace => of::<kubernetes::Namespace>(),
        Kind::Node => of::<kubernetes::Node>(),
        Kind::Secret => of::<kubernetes::Secret>(),
        Kind::Deployment => of::<kubernetes::Deployment>(),
        Kind::MutatingWebhookConfiguration => of::<kubernetes::MutatingWebhookConfiguration>(),
        Kind::VirtualService => of::<networking::VirtualService>(),
        Kind::DestinationRule => of::<networking::DestinationRule>(),
        Kind::Gateway => of::<networking::Gateway>(),
        Kind::ServiceEntry => of::<networking::ServiceEntry>(),
        Kind::WorkloadEntry => of::<networking::WorkloadEntry>(),
        Kind::WorkloadGroup => of::<networking::WorkloadGroup>(),
        Kind::Sidecar => of::<networking::Sidecar>(),
        Kind::EnvoyFilter => of::<networking::EnvoyFilter>(),
        Kind::ProxyConfig => of::<networking::ProxyConfig>(),
        Kind::PeerAuthentication => of::<security::PeerAuthentication>(),
        Kind::RequestAuthentication => of::<security::RequestAuthentication>(),
        Kind::AuthorizationPolicy => of::<security::AuthorizationPolicy>(),
        Kind::Telemetry => of::<telemetry::Telemetry>(),
        Kind::WasmPlugin => of::<extensions::WasmPlugin>(),
        Kind::KubernetesGateway => of::<gateway_api::KubernetesGateway>(),
        Kind::HttpRoute => of::<gateway_api::HttpRoute>(),
        Kind::GrpcRoute => of::<gateway_api::GrpcRoute>(),
        _ => return None,
    })
}

/// Reads what `checks` need into `input`. A kind that may not be read is noted there, so that nobody draws conclusions from its absence.
pub(super) async fn read(
    client: &Client,
    scope: Scope<'_>,
    checks: &[&Check],
    input: &mut Input,
) -> Result<Withheld, Failure> {
    let objects = Objects::new(client.clone());
    let mut withheld = Withheld::default();
    let mut kinds = needs::of_all(checks);
    kinds.insert(Kind::Namespace);
    // Of ConfigMaps only those of the control plane are asked for, by name.
    kinds.remove(&Kind::ConfigMap);
    let later = [Kind::Secret, Kind::Node];
    let first: Vec<Kind> = kinds.iter().copied().filter(|kind| !later.contains(kind)).collect();
    lists(&objects, scope, first, input, &mut withheld).await?;
    let referred = later
        .into_iter()
        .filter(|kind| kinds.contains(kind) && (scope.follow || is_referred_to(*kind, input)))
        .collect();
    lists(&objects, scope, referred, input, &mut withheld).await?;
    maps(&objects, scope.istio_namespace, input, &mut withheld).await?;
    let untyped: BTreeSet<Untyped> =
        checks.iter().flat_map(|check| needs::untyped_of(check)).copied().collect();
    for kind in untyped {
        untyped_list(&objects, kind, input, &mut withheld).await?;
    }
    definitions::read(&objects, checks, input, &mut withheld).await;
    input.unknown_kinds.extend(withheld.forbidden.iter().chain(&withheld.partly).copied());
    Ok(withheld)
}

/// Whether some object names Secrets, or selects by where pods run.
fn is_referred_to(kind: Kind, input: &Input) -> bool {
    match kind {
        Kind::Secret => {
            let servers = input.snapshot.gateways.iter().flat_map(|gateway| &gateway.spec.servers);
            let mut settings = servers.filter_map(|server| server.tls.as_ref());
            settings.any(|tls| !tls.credential_name.is_empty() || !tls.credential_names.is_empty())
                || input.mesh_networks.is_some()
        }
        Kind::Node => {
            let mut subsets = input.snapshot.destination_rules.iter().flat_map(|rule| &rule.spec.subsets);
            subsets.any(|subset| subset.labels.keys().any(|label| label.starts_with("topology.")))
        }
        _ => true,
    }
}

async fn lists(
    objects: &Objects,
    scope: Scope<'_>,
    kinds: Vec<Kind>,
    input: &mut Input,
    withheld: &mut Withheld,
) -> Result<(), Failure> {
    let wanted = kinds.into_iter().filter_map(|kind| Some((kind, resource(kind)?)));
    let mut answers = stream::iter(wanted)
        .map(|(kind, resource)| async move { (kind, list_allowed(objects, scope, &resource).await) })
        .buffer_unordered(PARALLEL);
    while let Some((kind, answer)) = answers.next().await {
        match answer {
            Ok((items, listed)) => {
                items.into_iter().for_each(|item| input.insert_live(item));
                if listed.namespace.is_some() {
                    withheld.partly.insert(kind);
                }
                withheld.listed.push(listed);
            }
            Err(Error::Api(status)) if status.code == 403 => {
                withheld.forbidden.insert(kind);
            }
            Err(Error::Api(status)) if status.code == 404 => {
                withheld.unserved.insert(kind);
            }
            Err(error) => return Err(server_failure(error).context(format!("cannot list {}", kind.name()))),
        }
    }
    Ok(())
}

/// All objects of a kind or, where only that is allowed, those of the namespace in question.
async fn list_allowed(
    objects: &Objects,
    scope: Scope<'_>,
    resource: &Resource,
) -> Result<(Vec<Value>, Listed), Error> {
    let refused = match list(objects, resource, None).await {
        Err(Error::Api(status)) if status.code == 403 => Error::Api(status),
        answer => return answer,
    };
    match scope.namespace {
        Some(namespace) if resource.namespaced => list(objects, resource, Some(namespace)).await,
        _ => Err(refused),
    }
}

/// All objects of a kind, a page at a time. Where the continuation has expired meanwhile, the list is asked for at once.
pub(super) async fn list(
    objects: &Objects,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<(Vec<Value>, Listed), Error> {
    let mut items = Vec::new();
    let (mut next, mut version) = (String::new(), String::new());
    let mut limit = PAGE;
    loop {
        let query = [("limit", limit), ("continue", &next), ("fieldSelector", fields(resource))];
        let mut page = match objects.get_path(&with_query(resource.collection(namespace), &query), None).await
        {
            Err(Error::Api(status)) if status.code == 410 && !limit.is_empty() => {
                items.clear();
                next.clear();
                limit = "";
                continue;
            }
            answer => answer?,
        };
        if let Value::Array(found) = page["items"].take() {
            items.extend(found);
        }
        text(&page, "/metadata/resourceVersion").clone_into(&mut version);
        match text(&page, "/metadata/continue") {
            "" => break,
            token => token.clone_into(&mut next),
        }
    }
    items.iter_mut().for_each(|item| name_type(item, resource));
    let namespace = namespace.map(str::to_owned);
    Ok((items, Listed { resource: resource.clone(), namespace, version }))
}

/// What of a kind is not asked for.
pub(super) fn fields(resource: &Resource) -> &'static str {
    if resource.kind == "Secret" { SECRETS } else { "" }
}

/// Lists leave out what every item has in common.
pub(super) fn name_type(item: &mut Value, resource: &Resource) {
    item["apiVersion"] = json!(resource.api_version());
    item["kind"] = json!(resource.kind);
}

/// The mesh's settings and the injector's, by name.
async fn maps(
    objects: &Objects,
    istio_namespace: &str,
    input: &mut Input,
    withheld: &mut Withheld,
) -> Result<(), Failure> {
    let resource = Resource::known("", "v1", "ConfigMap", "configmaps", true);
    let mut revisions: BTreeSet<String> = BTreeSet::from([String::new()]);
    let webhooks = input.snapshot.mutating_webhook_configurations.iter();
    let labels = webhooks.filter_map(|webhook| webhook.metadata.labels.get("istio.io/rev"));
    revisions.extend(labels.filter(|revision| *revision != "default").map(|revision| format!("-{revision}")));
    for revision in revisions {
        for name in [format!("istio{revision}"), format!("istio-sidecar-injector{revision}")] {
            match objects.get(&resource, Some(istio_namespace), &name).await {
                Ok(Some(map)) => input.insert_live(map),
                Ok(None) => {}
                Err(Error::Api(status)) if status.code == 403 => {
                    withheld.forbidden.insert(Kind::ConfigMap);
                }
                Err(error) => {
                    return Err(server_failure(error).context(format!("cannot read ConfigMap {name}")));
                }
            }
        }
    }
    Ok(())
}

/// Objects of a kind that are read as they were written. A kind that is not served has none.
async fn untyped_list(
    objects: &Objects,
    kind: Untyped,
    input: &mut Input,
    withheld: &mut Withheld,
) -> Result<(), Failure> {
    let resource = Resource::known(kind.group, kind.version, kind.kind, kind.plural, kind.namespaced);
    match list(objects, &resource, None).await {
        Ok((items, _)) => items.into_iter().for_each(|item| input.insert_live(item)),
        Err(Error::Api(status)) if status.code == 403 => {
            withheld.forbidden_untyped.insert(kind.kind);
        }
        Err(Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(server_failure(error).context(format!("cannot list {}", kind.kind))),
    }
    Ok(())
}

impl Withheld {
    /// True where the credentials allow to list nothing at all: whatever is found then says nothing of the cluster.
    pub(super) fn is_everything(&self) -> bool {
        self.listed.is_empty() && !self.forbidden.is_empty()
    }

    /// True where something that the analyzers read could not be listed, or only in part.
    pub(super) fn is_something(&self) -> bool {
        !(self.forbidden.is_empty() && self.partly.is_empty() && self.forbidden_untyped.is_empty())
    }

    /// The error for credentials that allow nothing.
    pub(super) fn refusal(&self, cluster: &str) -> Failure {
        let kinds: BTreeSet<&str> = self.forbidden.iter().map(|kind| kind.name()).collect();
        Failure::new(format!(
            "nothing of {cluster} could be looked at: no permission to list {}",
            kinds.into_iter().collect::<Vec<_>>().join(", ")
        ))
        .hint("kubectl auth can-i --list shows what the credentials allow; analyze needs get and list")
    }

    /// What could not be looked for, in sentences.
    pub(super) fn notes(&self, checks: &[&Check], cluster: &str, verbose: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for check in checks {
            let codes = || check.codes.iter().map(|code| code.id());
            for kind in needs::of(check).iter().filter(|kind| self.forbidden.contains(kind)) {
                lacking.entry(kind.name()).or_default().extend(codes());
            }
            let untyped = needs::untyped_of(check).iter().map(|untyped| untyped.kind);
            let definitions = definitions::are_read_by(check).then_some(definitions::KIND);
            for kind in untyped.chain(definitions).filter(|kind| self.forbidden_untyped.contains(kind)) {
                lacking.entry(kind).or_default().extend(codes());
            }
        }
        if !self.partly.is_empty() {
            let kinds: Vec<&str> = self.partly.iter().map(|kind| kind.name()).collect();
            notes.push(format!(
                "No permission to list {} in all namespaces of {cluster}: only those of one were read, and nothing was concluded from the \
                 absence of others.",
                kinds.join(", ")
            ));
        }
        for (kind, codes) in lacking {
            let codes: Vec<&str> = codes.into_iter().collect();
            notes.push(format!(
                "No permission to list {kind} in {cluster}: what needs it was left out or may be incomplete ({}).",
                codes.join(", ")
            ));
        }
        let is_istio =
            |kind: &Kind| resource(*kind).is_some_and(|resource| resource.group.ends_with("istio.io"));
        let unserved: Vec<&str> =
            self.unserved.iter().filter(|kind| verbose || is_istio(kind)).map(|kind| kind.name()).collect();
        if !unserved.is_empty() {
            notes.push(format!("{cluster} does not serve {}: there are none.", unserved.join(", ")));
        }
        notes
    }
}
