//! Which resource types a server has: one aggregated request per root, with the older per-group requests as fallback.

use kube::{Client, Error};
use serde_json::Value;

use super::request::Objects;
use super::resource::{Resource, text};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The types, preferred versions first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Discovery {
    pub(crate) resources: Vec<Resource>,
}

impl Discovery {
    /// Asks the server.
    pub(crate) async fn load(client: &Client) -> Result<Self, Error> {
        let objects = Objects::new(client.clone());
        let mut resources = Vec::new();
        for root in ["/api", "/apis"] {
            let answer = objects.get_path(root, Some(AGGREGATED)).await?;
            if text(&answer, "/kind") == "APIGroupDiscoveryList" {
                aggregated(&answer, &mut resources);
            } else {
                plain(&objects, root, &answer, &mut resources).await?;
            }
        }
        Ok(Self { resources })
    }

    /// The type of an object by `apiVersion` and `kind`.
    pub(crate) fn of(&self, object: &Value) -> Option<&Resource> {
        let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        self.resources.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    /// A type by any name kubectl takes: `pod`, `po`, `Pod`, `deployments.apps`, `virtualservices.v1.networking.istio.io`.
    pub(crate) fn named(&self, name: &str) -> Option<&Resource> {
        let lower = name.to_lowercase();
        let plain = |resource: &&Resource, name: &str| {
            resource.plural == name
                || resource.singular == name
                || resource.kind.to_lowercase() == name
                || resource.short_names.iter().any(|short| short == name)
        };
        if let Some(found) = self.resources.iter().find(|resource| plain(resource, &lower)) {
            return Some(found);
        }
        let (name, rest) = lower.split_once('.')?;
        self.resources.iter().find(|resource| {
            plain(resource, name)
                && (resource.group == rest
                    || resource.group.starts_with(rest)
                        && resource.group.as_bytes().get(rest.len()) == Some(&b'.')
                    || format!("{}.{}", resource.version, resource.group) == rest)
        })
    }

    /// All types of a category, such as `all`.
    pub(crate) fn category(&self, name: &str) -> Vec<&Resource> {
        self.resources
            .iter()
            .filter(|resource| resource.categories.iter().any(|category| category == name))
            .collect()
    }

    /// The nearest known name to a mistyped one.
    pub(crate) fn near(&self, name: &str) -> Option<&str> {
        let names =
            self.resources.iter().flat_map(|resource| [resource.plural.as_str(), resource.singular.as_str()]);
        let scored = names
            .filter(|known| !known.is_empty())
            .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
        scored
            .filter(|(score, _)| *score > 0.7)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, known)| known)
    }
}

fn aggregated(answer: &Value, resources: &mut Vec<Resource>) {
    for group in array(answer, "/items") {
        for version in array(group, "/versions") {
            for entry in array(version, "/resources") {
                resources.push(Resource {
                    group: text(group, "/metadata/name").into(),
                    version: text(version, "/version").into(),
                    kind: text(entry, "/responseKind/kind").into(),
                    plural: text(entry, "/resource").into(),
                    singular: text(entry, "/singularResource").into(),
                    short_names: strings(entry, "/shortNames"),
                    categories: strings(entry, "/categories"),
                    namespaced: text(entry, "/scope") == "Namespaced",
                    verbs: strings(entry, "/verbs"),
                    scalable: array(entry, "/subresources").any(|sub| text(sub, "/subresource") == "scale"),
                });
            }
        }
    }
}

/// One request per group version, for servers without aggregated discovery.
async fn plain(
    objects: &Objects,
    root: &str,
    answer: &Value,
    resources: &mut Vec<Resource>,
) -> Result<(), Error> {
    let mut versions: Vec<String> = Vec::new();
    if root == "/api" {
        versions.extend(strings(answer, "/versions"));
    }
    for group in array(answer, "/groups") {
        let preferred = text(group, "/preferredVersion/groupVersion").to_owned();
        let others = array(group, "/versions").map(|version| text(version, "/groupVersion").to_owned());
        let others: Vec<String> = others.filter(|version| *version != preferred).collect();
        versions.push(preferred);
        versions.extend(others);
    }
    for version in versions.iter().filter(|version| !version.is_empty()) {
        let list = objects.get_path(&format!("{root}/{version}"), None).await?;
        let (group, number) = version.split_once('/').unwrap_or(("", version));
        let entries: Vec<&Value> = array(&list, "/resources").collect();
        let has_scale =
            |plural: &str| entries.iter().any(|entry| text(entry, "/name") == format!("{plural}/scale"));
        for entry in entries.iter().filter(|entry| !text(entry, "/name").contains('/')) {
            let plural = text(entry, "/name");
            resources.push(Resource {
                group: group.into(),
                version: number.into(),
                kind: text(entry, "/kind").into(),
                plural: plural.into(),
                singular: text(entry, "/singularName").into(),
                short_names: strings(entry, "/shortNames"),
                categories: strings(entry, "/categories"),
                namespaced: entry.get("namespaced").and_then(Value::as_bool).unwrap_or_default(),
                verbs: strings(entry, "/verbs"),
                scalable: has_scale(plural),
            });
        }
    }
    Ok(())
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    array(value, pointer).filter_map(Value::as_str).map(str::to_owned).collect()
}
