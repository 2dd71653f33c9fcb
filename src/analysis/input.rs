//! What is analysed: a snapshot, and where each object of it was read.

mod document;
mod load;
mod position;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::{Object, Resource};
use sagene_model::snapshot::Collected;
use sagene_model::{Mesh, Snapshot};

use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;

pub use document::{Document, SourceFile};
pub use load::{LoadError, load};
pub use position::{Location, locate};

/// What is analysed.
#[derive(Debug, Default)]
pub struct Input {
    /// All objects.
    pub snapshot: Snapshot,
    /// Mesh-wide settings.
    pub mesh: Mesh,
    /// Where objects were read; objects of a cluster have no place.
    pub sources: BTreeMap<ObjectRef, Document>,
    /// Findings of reading itself: objects that break the shape of their kind.
    pub problems: Vec<Message>,
    /// Kinds that were asked for but could not be read (no permission, not served): checks that need them stay silent.
    pub unknown_kinds: BTreeSet<sagene_model::Kind>,
    /// Objects read, by kind; kinds that no check reads count too.
    pub counts: BTreeMap<String, usize>,
}

impl Input {
    /// Where a message points to: the field, or the nearest thing that holds it.
    pub fn location(&self, message: &Message) -> Option<Location> {
        self.sources.get(&message.object).map(|document| locate(document, &message.path))
    }

    /// True where all of a kind is known.
    pub fn knows<S: Collected>(&self) -> bool {
        !self.unknown_kinds.contains(&S::COLLECTED)
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
