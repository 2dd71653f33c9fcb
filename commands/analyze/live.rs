//! The objects of one cluster, as far as the chosen analyzers read them: one list a kind, in pages, several at once.
//!
//! Secrets and Nodes are asked for only where some object refers to them; ConfigMaps and CustomResourceDefinitions by name.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use kube::{Client, Error};
use sagene_analysis::Input;
use sagene_analysis::checks::Check;
use sagene_analysis::needs;
use sagene_model::Kind;
use sagene_model::snapshot::Collected;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::kubernetes::{Objects, Resource, server_failure, with_query};

/// Lists in flight at once.
const PARALLEL: usize = 8;
/// Objects of a page.
const PAGE: &str = "500";
/// Secrets that hold no certificate: releases of Helm and tokens, which are many and large.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";
/// The CustomResourceDefinitions whose version matters.
const DEFINITIONS: &[&str] = &[
    "grpcroutes.gateway.networking.k8s.io",
    "backendtlspolicies.gateway.networking.k8s.io",
    "tlsroutes.gateway.networking.k8s.io",
    "tcproutes.gateway.networking.k8s.io",
];

/// What a cluster would not show.
#[derive(Default)]
pub(super) struct Withheld {
    /// No permission to list them.
    forbidden: BTreeSet<Kind>,
    /// Not known to the API server.
    unserved: BTreeSet<Kind>,
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
    istio_namespace: &str,
    checks: &[&Check],
    input: &mut Input,
) -> Result<Withheld, Failure> {
    let objects = Objects::new(client.clone());
    let mut withheld = Withheld::default();
    let mut kinds = needs::of_all(checks);
    kinds.insert(Kind::Namespace);
    let later = [Kind::Secret, Kind::Node];
    let first: Vec<Kind> = kinds.iter().copied().filter(|kind| !later.contains(kind)).collect();
    lists(&objects, first, input, &mut withheld).await?;
    let referred =
        later.into_iter().filter(|kind| kinds.contains(kind) && is_referred_to(*kind, input)).collect();
    lists(&objects, referred, input, &mut withheld).await?;
    if kinds.contains(&Kind::ConfigMap) || !checks.is_empty() {
        maps(&objects, istio_namespace, input).await?;
    }
    if checks.iter().any(|check| check.name == "k8sgateway.CRDVersionAnalyzer") {
        definitions(&objects, input).await;
    }
    input.unknown_kinds.extend(withheld.forbidden.iter().copied());
    Ok(withheld)
}

/// Whether some object names Secrets, or selects by where pods run.
fn is_referred_to(kind: Kind, input: &Input) -> bool {
    match kind {
        Kind::Secret => {
            let servers = input.snapshot.gateways.iter().flat_map(|gateway| &gateway.spec.servers);
            let mut settings = servers.filter_map(|server| server.tls.as_ref());
            settings.any(|tls| !tls.credential_name.is_empty()) || input.mesh_networks.is_some()
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
    kinds: Vec<Kind>,
    input: &mut Input,
    withheld: &mut Withheld,
) -> Result<(), Failure> {
    let wanted = kinds.into_iter().filter_map(|kind| Some((kind, resource(kind)?)));
    let mut answers = stream::iter(wanted)
        .map(|(kind, resource)| async move { (kind, list(objects, &resource).await) })
        .buffer_unordered(PARALLEL);
    while let Some((kind, answer)) = answers.next().await {
        match answer {
            Ok(items) => items.into_iter().for_each(|item| input.insert_live(item)),
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

/// All objects of a kind, a page at a time. Where the continuation has expired meanwhile, the list is asked for at once.
async fn list(objects: &Objects, resource: &Resource) -> Result<Vec<Value>, Error> {
    let fields = if resource.kind == "Secret" { SECRETS } else { "" };
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let limit = if next == "expired" { "" } else { PAGE };
        let token = if limit.is_empty() { "" } else { &next };
        let query = [("limit", limit), ("continue", token), ("fieldSelector", fields)];
        let mut page = match objects.get_path(&with_query(resource.collection(None), &query), None).await {
            Err(Error::Api(status)) if status.code == 410 && !limit.is_empty() => {
                items.clear();
                "expired".clone_into(&mut next);
                continue;
            }
            answer => answer?,
        };
        if let Value::Array(found) = page["items"].take() {
            items.extend(found);
        }
        match page.pointer("/metadata/continue").and_then(Value::as_str) {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => break,
        }
    }
    for item in &mut items {
        // Lists leave out what every item has in common.
        item["apiVersion"] = json!(resource.api_version());
        item["kind"] = json!(resource.kind);
    }
    Ok(items)
}

/// The mesh's settings and the injector's, by name.
async fn maps(objects: &Objects, istio_namespace: &str, input: &mut Input) -> Result<(), Failure> {
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
                    input.unknown_kinds.insert(Kind::ConfigMap);
                }
                Err(error) => {
                    return Err(server_failure(error).context(format!("cannot read ConfigMap {name}")));
                }
            }
        }
    }
    Ok(())
}

/// The definitions whose version matters; what may not be read is left out.
async fn definitions(objects: &Objects, input: &mut Input) {
    let resource = Resource::known(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
    );
    for name in DEFINITIONS {
        if let Ok(Some(mut definition)) = objects.get(&resource, None, name).await {
            // Its schema is large, and nobody reads it.
            definition["spec"]["versions"] = Value::Null;
            input.insert_live(definition);
        }
    }
}

impl Withheld {
    /// What could not be looked for, in sentences.
    pub(super) fn notes(&self, checks: &[&Check], cluster: &str, verbose: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for check in checks {
            for kind in needs::of(check).iter().filter(|kind| self.forbidden.contains(kind)) {
                let codes = check.codes.iter().map(|code| code.id());
                lacking.entry(kind.name()).or_default().extend(codes);
            }
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
