//! CustomResourceDefinitions whose version matters, or whose kind Istio has removed: by name, because all of them together are large.

use kube::Error;
use sagene_analysis::checks::Check;
use sagene_analysis::{Input, needs};
use serde_json::Value;

use super::Withheld;
use crate::kubernetes::{Objects, Resource};

/// Kind of the definitions.
pub(super) const KIND: &str = "CustomResourceDefinition";
/// The definitions of the Gateway API whose version matters.
const VERSIONED: &[&str] = &[
    "grpcroutes.gateway.networking.k8s.io",
    "backendtlspolicies.gateway.networking.k8s.io",
    "tlsroutes.gateway.networking.k8s.io",
    "tcproutes.gateway.networking.k8s.io",
];
/// Reads versions.
const BY_VERSION: &str = "k8sgateway.CRDVersionAnalyzer";
/// Reads removed kinds.
const BY_GROUP: &str = "deprecation.DeprecationAnalyzer";

/// True for an analyzer that reads definitions.
pub(super) fn are_read_by(check: &Check) -> bool {
    [BY_VERSION, BY_GROUP].contains(&check.name)
}

/// Reads what the analyzers need.
pub(super) async fn read(objects: &Objects, checks: &[&Check], input: &mut Input, withheld: &mut Withheld) {
    let wanted = |name: &str| checks.iter().any(|check| check.name == name);
    let mut names: Vec<String> = Vec::new();
    if wanted(BY_VERSION) {
        names.extend(VERSIONED.iter().map(|name| (*name).to_owned()));
    }
    if wanted(BY_GROUP) {
        names.extend(removed(objects).await);
    }
    let resource = Resource::known("apiextensions.k8s.io", "v1", KIND, "customresourcedefinitions", false);
    for name in names {
        match objects.get(&resource, None, &name).await {
            Ok(Some(mut definition)) => {
                // Its schema is large, and nobody reads it.
                definition["spec"]["versions"] = Value::Null;
                input.insert_live(definition);
            }
            Err(Error::Api(status)) if status.code == 403 => {
                withheld.forbidden_untyped.insert(KIND);
                return;
            }
            _ => {}
        }
    }
}

/// The definitions of groups that Istio has removed, as far as the API server still serves them.
async fn removed(objects: &Objects) -> Vec<String> {
    let mut names = Vec::new();
    // Whoever may talk to the API server may see what it serves; where not, there is nothing to tell.
    let Ok(served) = objects.get_path("/apis", None).await else { return names };
    for group in served["groups"].as_array().into_iter().flatten() {
        let name = group["name"].as_str().unwrap_or_default();
        let version = group.pointer("/preferredVersion/groupVersion").and_then(Value::as_str);
        let Some(version) = version.filter(|_| needs::REMOVED_GROUPS.contains(&name)) else { continue };
        let Ok(resources) = objects.get_path(&format!("/apis/{version}"), None).await else { continue };
        let plurals = resources["resources"].as_array().into_iter().flatten();
        let plurals = plurals.filter_map(|resource| resource["name"].as_str());
        names.extend(plurals.filter(|it| !it.contains('/')).map(|plural| format!("{plural}.{name}")));
    }
    names
}
