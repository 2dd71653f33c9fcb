//! Which resources the server knows: the built-in kinds and the kinds of established CRDs.

pub(crate) mod builtin;
pub(crate) mod custom;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::schema::Schema;
use super::store::TableName;
use crate::api_client::ResourceRef;

/// One version of a resource.
#[derive(Clone, Debug)]
pub(crate) struct VersionDefinition {
    pub(crate) name: String,
    pub(crate) served: bool,
    pub(crate) schema: Arc<Schema>,
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    /// Columns of a CRD; built-in kinds have theirs in `table`.
    pub(crate) columns: Vec<PrinterColumn>,
    pub(crate) selectable_fields: Vec<String>,
    pub(crate) deprecation_warning: Option<String>,
}

/// Where the `scale` subresource finds its numbers, as dotted paths without the leading dot.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    /// Path of the selector; an object selector or its text form.
    pub(crate) selector: Option<String>,
}

/// `additionalPrinterColumns` of a CRD.
#[derive(Clone, Debug)]
pub(crate) struct PrinterColumn {
    pub(crate) name: String,
    pub(crate) column_type: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) json_path: String,
    pub(crate) priority: i64,
}

/// A resource as it is served.
#[derive(Clone, Debug)]
pub(crate) struct ResourceDefinition {
    /// With the storage version.
    pub(crate) reference: ResourceRef,
    pub(crate) table: TableName,
    pub(crate) singular: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) versions: Vec<VersionDefinition>,
    pub(crate) custom: bool,
    /// Only `create` exists: reviews and bindings.
    pub(crate) create_only: bool,
    /// Only reading exists, of what is measured; nothing is stored.
    pub(crate) measured: bool,
}

impl ResourceDefinition {
    pub(crate) fn version(&self, name: &str) -> Option<&VersionDefinition> {
        self.versions.iter().find(|version| version.name == name && version.served)
    }

    /// The definition of a version, or of the storage version when it does not exist.
    pub(crate) fn version_or_storage(&self, name: &str) -> &VersionDefinition {
        let storage = || self.versions.iter().find(|version| version.name == self.reference.version);
        self.versions
            .iter()
            .find(|version| version.name == name)
            .or_else(storage)
            .unwrap_or(&self.versions[0])
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.reference.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.reference.group)
        }
    }

    pub(crate) fn is(&self, resource: &ResourceRef) -> bool {
        self.reference.group == resource.group && self.reference.plural == resource.plural
    }
}

/// The resources at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    /// By group, then plural.
    groups: BTreeMap<String, BTreeMap<String, Arc<ResourceDefinition>>>,
    /// Groups in the order of discovery.
    pub(crate) revision: u64,
}

impl Resources {
    pub(crate) fn get(&self, group: &str, plural: &str) -> Option<&Arc<ResourceDefinition>> {
        self.groups.get(group)?.get(plural)
    }

    pub(crate) fn groups(
        &self,
    ) -> impl Iterator<Item = (&String, &BTreeMap<String, Arc<ResourceDefinition>>)> {
        self.groups.iter()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ResourceDefinition>> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    fn insert(&mut self, definition: Arc<ResourceDefinition>) {
        let group = self.groups.entry(definition.reference.group.to_string()).or_default();
        group.insert(definition.reference.plural.to_string(), definition);
    }

    fn remove(&mut self, group: &str, plural: &str) {
        if let Some(resources) = self.groups.get_mut(group) {
            resources.remove(plural);
            if resources.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// Served versions of a group, the preferred one first.
    pub(crate) fn versions_of(&self, group: &str) -> Vec<String> {
        let mut versions: Vec<String> = Vec::new();
        for definition in self.groups.get(group).into_iter().flat_map(BTreeMap::values) {
            for version in definition.versions.iter().filter(|version| version.served) {
                if !versions.contains(&version.name) {
                    versions.push(version.name.clone());
                }
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version_priority(version)));
        versions
    }
}

/// Kubernetes' order of versions: `v2 > v1 > v1beta2 > v1beta1 > v1alpha3 > others`.
fn version_priority(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let Ok(major) = digits.parse() else { return (0, 0, 0) };
    let tail = &rest[digits.len()..];
    let minor = |text: &str| text.parse().unwrap_or(0);
    match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
        (Some(beta), _) => (2, major, minor(beta)),
        (_, Some(alpha)) => (1, major, minor(alpha)),
        _ if tail.is_empty() => (3, major, 0),
        _ => (0, 0, 0),
    }
}

/// The resources, swapped as a whole when a CRD comes, changes or goes.
pub(crate) struct Registry {
    current: ArcSwap<Resources>,
}

impl Registry {
    /// The built-in kinds alone.
    pub(crate) fn new() -> Self {
        let mut resources = Resources::default();
        for definition in builtin::definitions() {
            resources.insert(Arc::new(definition));
        }
        Self { current: ArcSwap::from_pointee(resources) }
    }

    pub(crate) fn current(&self) -> Arc<Resources> {
        self.current.load_full()
    }

    /// Adds or replaces a kind of a CRD.
    pub(crate) fn establish(&self, definition: ResourceDefinition) {
        let definition = Arc::new(definition);
        self.change(|resources| resources.insert(definition.clone()));
    }

    /// Removes a kind of a CRD.
    pub(crate) fn withdraw(&self, group: &str, plural: &str) {
        self.change(|resources| {
            if resources.get(group, plural).is_some_and(|definition| definition.custom) {
                resources.remove(group, plural);
            }
        });
    }

    fn change(&self, change: impl Fn(&mut Resources)) {
        self.current.rcu(|resources| {
            let mut next = (**resources).clone();
            change(&mut next);
            next.revision += 1;
            next
        });
    }
}
