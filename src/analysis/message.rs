//! A finding: what, about which object, at which field.

use std::cmp::Ordering;

use crate::code::{Code, Level};
use crate::path::FieldPath;

/// The object a message is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// A reference of its parts.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `Kind namespace/name`, or `Kind name` for cluster-scoped kinds: what output shows and suppressions match.
    pub fn origin(&self) -> String {
        if self.namespace.is_empty() {
            format!("{} {}", self.kind, self.name)
        } else {
            format!("{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which.
    pub code: Code,
    /// About what.
    pub object: ObjectRef,
    /// At which field; empty for the object as a whole.
    pub path: FieldPath,
    /// In words.
    pub text: String,
}

impl Message {
    /// A finding about a whole object.
    pub fn new(code: Code, object: ObjectRef, text: String) -> Self {
        Self { code, object, path: FieldPath::default(), text }
    }

    /// The same, at a field.
    #[must_use]
    pub fn at(mut self, path: FieldPath) -> Self {
        self.path = path;
        self
    }

    /// How bad it is.
    pub fn level(&self) -> Level {
        self.code.level()
    }

    /// Key of the order of output.
    pub(crate) fn order(&self) -> impl Ord {
        let object = &self.object;
        (
            self.level(),
            self.code.id(),
            object.kind.clone(),
            object.name.clone(),
            object.namespace.clone(),
            self.text.clone(),
            self.path.clone(),
        )
    }

    /// Compares by the order of output.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}
