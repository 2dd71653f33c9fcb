//! The objects of a cluster, as far as checks read them.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use sagene_analysis::{Code, Input, Message, ObjectRef};
use sagene_api::Object;
use sagene_model::Mesh;
use sagene_model::snapshot::Collected;
use serde_json::Value;

use crate::context::Cluster;
use crate::exit::Failure;
use crate::kubernetes::{Objects, Resource, server_failure, text};

/// Lists in flight at once.
const PARALLEL: usize = 8;

/// A kind to list and how to take its objects in.
type Kind = (Resource, fn(&mut Input, Value), sagene_model::Kind);

fn kind<S: Collected>() -> Kind {
    let resource = Resource::known(S::GROUP, S::VERSION, S::KIND, S::PLURAL, S::NAMESPACED);
    (resource, insert::<S>, S::COLLECTED)
}

fn kinds() -> Vec<Kind> {
    use sagene_api::istio::{networking, security};
    use sagene_api::kubernetes;
    vec![
        kind::<kubernetes::Namespace>(),
        kind::<kubernetes::Service>(),
        kind::<kubernetes::Pod>(),
        kind::<kubernetes::Deployment>(),
        kind::<kubernetes::Node>(),
        kind::<kubernetes::Secret>(),
        kind::<kubernetes::MutatingWebhookConfiguration>(),
        kind::<networking::VirtualService>(),
        kind::<networking::DestinationRule>(),
        kind::<networking::Gateway>(),
        kind::<networking::ServiceEntry>(),
        kind::<networking::WorkloadEntry>(),
        kind::<networking::WorkloadGroup>(),
        kind::<networking::Sidecar>(),
        kind::<networking::EnvoyFilter>(),
        kind::<networking::ProxyConfig>(),
        kind::<security::PeerAuthentication>(),
        kind::<security::RequestAuthentication>(),
        kind::<security::AuthorizationPolicy>(),
    ]
}

/// Reads everything into `input`. A kind that may not be read is noted there, so that no check draws conclusions from its absence.
pub(super) async fn read(cluster: &Cluster, istio_namespace: &str, input: &mut Input) -> Result<(), Failure> {
    let objects = Objects::new(cluster.client.clone());
    let lists: Vec<_> = stream::iter(kinds())
        .map(|(resource, insert, collected)| {
            let objects = objects.clone();
            async move { (objects.list(&resource, None, "").await, insert, collected) }
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    for (list, insert, collected) in lists {
        match list {
            Ok(items) => items.into_iter().for_each(|item| insert(input, item)),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                input.unknown_kinds.insert(collected);
            }
            Err(error) => {
                return Err(server_failure(error).context(format!("cannot read {}", cluster.description)));
            }
        }
    }
    let maps = Resource::known("", "v1", "ConfigMap", "configmaps", true);
    if let Ok(Some(map)) = objects.get(&maps, Some(istio_namespace), "istio").await {
        input.mesh = mesh(text(&map, "/data/mesh"))?;
    }
    Ok(())
}

fn insert<S: Collected>(input: &mut Input, value: Value) {
    let reference =
        ObjectRef::new(S::KIND, text(&value, "/metadata/namespace"), text(&value, "/metadata/name"));
    match Object::<S>::from_value(value) {
        Ok(object) => {
            input.snapshot.insert(Arc::new(object));
        }
        Err(error) => {
            let words = format!("Schema validation error: {error}");
            input.problems.push(Message::new(Code::SchemaValidationError, reference, words));
        }
    }
}

/// What the checks read of a mesh configuration.
pub(super) fn mesh(yaml: &str) -> Result<Mesh, Failure> {
    let config: Value = serde_yaml::from_str(yaml)
        .map_err(|error| Failure::from(error).context("the mesh configuration is not valid YAML"))?;
    let mut mesh = Mesh::default();
    let strings = |key: &str| -> Vec<String> {
        let list = config.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if let Some(domain) = config.get("trustDomain").and_then(Value::as_str) {
        domain.clone_into(&mut mesh.trust_domain);
    }
    if let Some(namespace) = config.get("rootNamespace").and_then(Value::as_str) {
        namespace.clone_into(&mut mesh.root_namespace);
    }
    if let Some(auto) = config.get("enableAutoMtls").and_then(Value::as_bool) {
        mesh.auto_mtls = auto;
    }
    mesh.trust_domain_aliases = strings("trustDomainAliases");
    mesh.default_service_export_to = strings("defaultServiceExportTo");
    mesh.default_virtual_service_export_to = strings("defaultVirtualServiceExportTo");
    mesh.default_destination_rule_export_to = strings("defaultDestinationRuleExportTo");
    Ok(mesh)
}
