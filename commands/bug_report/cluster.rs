//! What to ask the API server for: objects, events, its version.

use super::settings::Settings;
use super::step::{Source, Step};
use crate::context::Cluster;
use crate::exit::Failure;
use crate::kubernetes::{Discovery, Resource, server_failure};

/// Types whose objects are in files of their own, or are no objects.
const APART: [&str; 3] = ["secrets", "events", "componentstatuses"];

/// One file for each sort of objects.
pub(super) async fn steps(cluster: &Cluster, settings: &Settings) -> Result<Vec<Step>, Failure> {
    let discovery = Discovery::load(&cluster.client).await.map_err(server_failure)?;
    let all = listable(&discovery);
    let of = |wanted: &dyn Fn(&Resource) -> bool| -> Vec<Resource> {
        all.iter().filter(|resource| wanted(resource)).map(|resource| (*resource).clone()).collect()
    };
    let apart = |resource: &Resource| APART.contains(&resource.plural.as_str());
    let objects = |file: &str, resources: Vec<Resource>| Step {
        file: format!("cluster/{file}"),
        source: Source::Objects { resources, full_secrets: settings.full_secrets },
    };
    let namespaced =
        of(&|resource| !is_mesh(resource) && !is_custom(resource) && resource.namespaced && !apart(resource));
    let clusterwide = of(&|resource| {
        !is_mesh(resource) && !is_custom(resource) && !resource.namespaced && !apart(resource)
    });
    let table = |file: &str, resource: Resource| Step {
        file: format!("cluster/{file}"),
        source: Source::Table { resource },
    };
    let text =
        |file: &str, text: String| Step { file: format!("cluster/{file}"), source: Source::Text(text) };
    Ok(vec![
        objects("k8s-resources", namespaced),
        objects("k8s-cluster-resources", clusterwide),
        objects("crs", of(&is_mesh)),
        objects("nodes", vec![Resource::known("", "v1", "Node", "nodes", false)]),
        objects("secrets", vec![Resource::known("", "v1", "Secret", "secrets", true)]),
        table("events", Resource::known("", "v1", "Event", "events", true)),
        table("pods", Resource::pods()),
        text("cluster-context", format!("{}\n", cluster.description)),
        Step {
            file: "cluster/kubectl-version".to_owned(),
            source: Source::Document { path: "/version".to_owned() },
        },
    ])
}

/// Each type once, in its preferred version.
fn listable(discovery: &Discovery) -> Vec<&Resource> {
    let mut all: Vec<&Resource> = Vec::new();
    for resource in
        discovery.resources.iter().filter(|resource| resource.verbs.iter().any(|verb| verb == "list"))
    {
        let same = |known: &&Resource| known.group == resource.group && known.kind == resource.kind;
        // Events are in two groups.
        if !all.iter().any(same) && resource.group != "events.k8s.io" {
            all.push(resource);
        }
    }
    all
}

/// Istio's types and the Gateway API's.
fn is_mesh(resource: &Resource) -> bool {
    resource.group.ends_with("istio.io") || resource.group.starts_with("gateway.networking.")
}

/// Whether a type is nobody's but its owner's: objects of other operators are not a mesh's business.
fn is_custom(resource: &Resource) -> bool {
    resource.group.contains('.') && !resource.group.ends_with(".k8s.io")
}
