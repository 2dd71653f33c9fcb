//! Resources as they were received, kept for `config_dump` and for recompilation.

use std::collections::BTreeMap;
use std::time::SystemTime;

use envoy_types::pb::google::protobuf::Any;

/// Where a resource came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The bootstrap file; `config_dump` shows it under `static_*`.
    Static,
    /// Discovery; `config_dump` shows it under `dynamic_*`.
    Dynamic,
}

/// Whether a resource is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceState {
    /// Carries traffic.
    Active,
    /// Accepted, but waits for a route configuration it names.
    Warming,
}

/// One accepted resource and, when its latest version was refused, that refusal.
#[derive(Debug, Clone)]
pub struct RawResource {
    /// Name of the resource.
    pub name: String,
    /// Version as the sender called it; empty for static resources.
    pub version: String,
    /// When this version was accepted.
    pub last_updated: SystemTime,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it is in use.
    pub state: ResourceState,
    /// The resource, undecoded. `None` when no version was ever accepted and only `error` is known.
    pub resource: Option<Any>,
    /// The latest refused version: its version, when, and why. Cleared by the next accepted one.
    pub error: Option<RefusedVersion>,
}

/// A version of a resource that was refused.
#[derive(Debug, Clone)]
pub struct RefusedVersion {
    /// Version as the sender called it.
    pub version: String,
    /// When it was refused.
    pub at: SystemTime,
    /// Field path and reason.
    pub details: String,
    /// The refused resource.
    pub resource: Any,
}

/// All resources of all types, by type URL and name.
#[derive(Debug, Default)]
pub(crate) struct RawResources {
    by_type: BTreeMap<String, BTreeMap<String, RawResource>>,
}

impl RawResources {
    pub(crate) fn of_type(&self, type_url: &str) -> Vec<RawResource> {
        self.by_type.get(type_url).map(|map| map.values().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn accept(&mut self, type_url: &str, resource: RawResource) {
        self.by_type.entry(type_url.to_owned()).or_default().insert(resource.name.clone(), resource);
    }

    pub(crate) fn refuse(&mut self, type_url: &str, name: &str, refused: RefusedVersion) {
        let map = self.by_type.entry(type_url.to_owned()).or_default();
        let entry = map.entry(name.to_owned()).or_insert_with(|| RawResource {
            name: name.to_owned(),
            version: String::new(),
            last_updated: refused.at,
            origin: Origin::Dynamic,
            state: ResourceState::Warming,
            resource: None,
            error: None,
        });
        entry.error = Some(refused);
    }

    pub(crate) fn remove(&mut self, type_url: &str, name: &str) {
        if let Some(map) = self.by_type.get_mut(type_url) {
            map.remove(name);
        }
    }

    pub(crate) fn set_state(&mut self, type_url: &str, name: &str, state: ResourceState) {
        if let Some(resource) = self.by_type.get_mut(type_url).and_then(|map| map.get_mut(name)) {
            resource.state = state;
        }
    }
}
