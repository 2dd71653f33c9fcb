//! IST0126: networks whose endpoints are said to come from a cluster that is not known.

use std::collections::BTreeSet;
use std::sync::Arc;

use sagene_api::kubernetes::Secret;

use super::{Check, Run};
use crate::code::Code;
use crate::input::{Document, Input, at, reference};
use crate::message::{Message, ObjectRef};

pub(super) const CHECK: Check = Check {
    name: "meshnetworks.MeshNetworksAnalyzer",
    description: "Networks of clusters that are not known",
    codes: &[Code::UnknownMeshNetworksServiceRegistry],
    how: Run::Whole(run),
};

/// Label of Secrets that hold the access to other clusters.
const MULTI_CLUSTER: &str = "istio/multiCluster";
/// Registries that every control plane has.
const BUILT_IN: [&str; 3] = ["Kubernetes", "External", "Mock"];

/// Key of the ConfigMap `istio` that holds the networks.
const KEY: &str = "meshNetworks";

fn run(input: &Input) -> Vec<Message> {
    let Some(networks) = &input.mesh_networks else { return Vec::new() };
    if !input.knows::<Secret>() {
        return Vec::new();
    }
    let secrets = input
        .snapshot
        .secrets
        .iter()
        .filter(|secret| secret.metadata.labels.get(MULTI_CLUSTER).is_some_and(|value| value == "true"));
    let mut known: BTreeSet<&str> = secrets
        .flat_map(|secret| secret.spec.data.keys().chain(secret.spec.string_data.keys()))
        .map(String::as_str)
        .collect();
    known.extend(BUILT_IN);
    known.extend(input.remotes.keys().map(String::as_str));
    known.extend([input.cluster.as_str(), &input.mesh.cluster_id]);
    let document = document(input);
    let mut messages = Vec::new();
    for (name, network) in &networks.networks {
        for (index, endpoints) in network.endpoints.iter().enumerate() {
            let Some(registry) = endpoints.from_registry.as_deref().filter(|it| !known.contains(it)) else {
                continue;
            };
            let text = format!("Unknown service registry {registry} in network {name}");
            let object = ObjectRef::new("MeshNetworks", &input.mesh.root_namespace, "meshnetworks");
            let path = at("networks").key(name).key("endpoints").index(index).key("fromRegistry");
            let message = Message::new(Code::UnknownMeshNetworksServiceRegistry, object, text);
            messages.push(match &document {
                Some(document) => message.at(path.below(&at("data").key(KEY))).in_document(document),
                None => message.at(path),
            });
        }
    }
    messages
}

/// Where a file writes the networks.
fn document(input: &Input) -> Option<Arc<Document>> {
    let maps = input.snapshot.config_maps.in_namespace(&input.mesh.root_namespace);
    let mut writing = maps.filter(|map| map.spec.data.contains_key(KEY)).map(reference);
    writing.find_map(|map| input.sources.get(&map).cloned()).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::load;

    fn found(networks: &str) -> Vec<String> {
        let mut input = Input::default();
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: istio-system, labels: {istio/multiCluster: 'true'}}\nstringData: {c1: x}\n";
        load(&mut input, "s.yaml", secret.to_owned(), "default");
        input.set_mesh_networks(networks).expect("networks");
        CHECK.run(&input).into_iter().map(|message| message.text).collect()
    }

    #[test]
    fn the_line_of_the_file_is_named() {
        let mut input = Input::default();
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  meshNetworks: |\n    networks:\n      n1:\n        endpoints:\n        - fromRegistry: c2\n";
        assert!(load(&mut input, "m.yaml", text.to_owned(), "default").is_empty());
        input.set_mesh_networks("networks: {n1: {endpoints: [{fromRegistry: c2}]}}").expect("networks");
        let found = CHECK.run(&input);
        let place = input.location(&found[0]).expect("a place");
        assert_eq!((place.line, place.column), (13, 25));
    }

    #[test]
    fn clusters_by_their_secrets() {
        assert_eq!(
            found("networks: {n1: {endpoints: [{fromRegistry: c2}]}}"),
            ["Unknown service registry c2 in network n1"]
        );
        assert!(found("networks: {n1: {endpoints: [{fromRegistry: c1}, {fromRegistry: Kubernetes}, {fromCidr: 10.0.0.0/8}]}}").is_empty());
    }
}
