//! What is analysed: a snapshot, and where each object of it was read.

mod document;
mod forget;
mod kinds;
mod list;
mod load;
mod mesh;
mod overlaid;
mod parse;
mod position;
mod repeats;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::istio::mesh_config::{MeshConfig, MeshNetworks};
use sagene_api::kubernetes::ConfigMap;
use sagene_api::{Object, Resource};
use sagene_model::snapshot::Collected;
use sagene_model::{Mesh, Snapshot};
use serde_json::Value;

use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;

pub use document::{Document, SourceFile};
pub use load::{LoadError, load, load_bytes};
pub use mesh::MeshError;
pub use overlaid::Overlaid;
pub use position::{Location, locate};

/// What is analysed.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// All objects.
    pub snapshot: Snapshot,
    /// Name of the cluster whose objects these are; empty for files, and where there is only one.
    pub cluster: String,
    /// The other clusters of the mesh, by name.
    pub remotes: BTreeMap<String, Snapshot>,
    /// Objects of kinds that [`Snapshot`] does not hold, as they were written: CustomResourceDefinitions and the like.
    pub untyped: BTreeMap<ObjectRef, Arc<Value>>,
    /// What meaning depends on, out of [`Input::mesh_config`].
    pub mesh: Mesh,
    /// The MeshConfig in force: what was written over the defaults.
    pub mesh_config: MeshConfig,
    /// The MeshConfig as it was written; `None` where none was read.
    pub mesh_config_written: Option<Value>,
    /// The file that gives it; `None` where the ConfigMap does.
    pub mesh_config_file: Option<Arc<Document>>,
    /// Networks of the mesh; `None` where none were read.
    pub mesh_networks: Option<MeshNetworks>,
    /// Where objects were read; objects of a cluster have no place.
    pub sources: BTreeMap<ObjectRef, Document>,
    /// Findings of reading itself: objects that break the shape of their kind.
    pub problems: Vec<Message>,
    /// Kinds that were asked for but could not be read (no permission, not served): checks that need them stay silent.
    pub unknown_kinds: BTreeSet<sagene_model::Kind>,
    /// Only objects of this revision, and those of none, are in the input; `None` for all.
    pub revision: Option<String>,
    /// Only files were read: of Kubernetes' own kinds there is what was written down, and checks that need all of a kind stay silent where
    /// the files hold none of it.
    pub files_alone: bool,
    /// Objects that a later document told otherwise, until they are judged.
    pub overlaid: Vec<Overlaid>,
    /// Objects read, by kind; kinds that no check reads count too.
    pub counts: BTreeMap<String, usize>,
}

impl Input {
    /// Where a message points to: the field, or the nearest thing that holds it.
    pub fn location(&self, message: &Message) -> Option<Location> {
        self.document(message).map(|document| locate(document, &message.path))
    }

    /// The document that a message is about.
    pub(crate) fn document<'i>(&'i self, message: &'i Message) -> Option<&'i Document> {
        message.document.as_deref().or_else(|| self.sources.get(&message.object))
    }

    /// Where each of many messages points to. Every document is read once, and large inputs on several threads.
    pub fn locations(&self, messages: &[&Message]) -> Vec<Option<Location>> {
        position::locations(self, messages)
    }

    /// All objects of this cluster, and those of the other clusters of the mesh.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        std::iter::once(&self.snapshot).chain(self.remotes.values())
    }

    /// True where there may be objects of a kind that could not be read: nothing follows from their absence.
    pub fn is_withheld<S: Collected>(&self) -> bool {
        self.unknown_kinds.contains(&S::COLLECTED)
    }

    /// True where the mesh has settings that could not be read.
    pub fn settings_are_withheld(&self) -> bool {
        self.mesh_config_written.is_none() && self.is_withheld::<ConfigMap>()
    }

    /// True where all of a kind is known, as far as that can be: files that hold some objects of a kind are taken to hold those that
    /// matter.
    pub fn knows<S: Collected>(&self) -> bool {
        let is_unknown = self.unknown_kinds.contains(&S::COLLECTED);
        !is_unknown && (!self.files_alone || !S::collection(&self.snapshot).is_empty())
    }
}

/// How messages name an object.
pub fn reference<S: Resource>(object: &Arc<Object<S>>) -> ObjectRef {
    ObjectRef::new(S::KIND, &object.metadata.namespace, &object.metadata.name)
}

/// A path as text, for the checks.
pub(crate) fn at(text: &str) -> FieldPath {
    FieldPath::parse(text)
}

#[cfg(test)]
mod tests;
