//! A finding: what, about which object, at which field.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use crate::code::{Code, Level};
use crate::input::Document;
use crate::path::FieldPath;

/// The object a message is about. Cheap to clone: the messages of an object share its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef(Arc<ObjectName>);

/// What identifies an object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Kind. Those of the kinds that have a type here are not copied for every object.
    pub kind: Cow<'static, str>,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// A reference of its parts.
    pub fn new(kind: impl Into<Cow<'static, str>>, namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self(Arc::new(ObjectName { kind: kind.into(), namespace, name }))
    }
}

impl ObjectRef {
    /// Compares by the order of output: kind, name, namespace.
    fn compare(&self, other: &Self) -> Ordering {
        // Messages of one object share its name, and mostly stand side by side; kinds with a shape share their text.
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let is_same_text = std::ptr::eq::<str>(&*self.kind, &*other.kind);
        let kinds = if is_same_text { Ordering::Equal } else { self.kind.cmp(&other.kind) };
        kinds.then_with(|| (&self.name, &self.namespace).cmp(&(&other.name, &other.namespace)))
    }
}

impl Deref for ObjectRef {
    type Target = ObjectName;

    fn deref(&self) -> &ObjectName {
        &self.0
    }
}

impl ObjectName {
    /// `Kind namespace/name`, or `Kind name` for cluster-scoped kinds: what output shows and suppressions match.
    pub fn origin(&self) -> String {
        self.origin_parts().concat()
    }

    /// The words and signs of [`ObjectName::origin`], for whoever writes many.
    pub fn origin_parts(&self) -> [&str; 5] {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        [&self.kind, " ", &self.namespace, slash, &self.name]
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// Which.
    pub code: Code,
    /// About what.
    pub object: ObjectRef,
    /// At which field; empty for the object as a whole.
    pub path: FieldPath,
    /// In words.
    pub text: String,
    /// The cluster it was found in, where several were looked at.
    pub cluster: Option<Arc<str>>,
    /// The document it is about; without one, that in which the object was read last.
    pub document: Option<Arc<Document>>,
}

impl Message {
    /// A finding about a whole object.
    pub fn new(code: Code, object: ObjectRef, mut text: String) -> Self {
        // Formatting leaves room that nothing will fill, in a large mesh megabytes of it.
        text.shrink_to_fit();
        Self { code, object, path: FieldPath::default(), text, cluster: None, document: None }
    }

    /// The same, at a field.
    #[must_use]
    pub fn at(mut self, path: FieldPath) -> Self {
        self.path = path;
        self
    }

    /// The same, about what this document says of the object, whatever others say.
    #[must_use]
    pub(crate) fn in_document(mut self, document: &Arc<Document>) -> Self {
        self.document = Some(document.clone());
        self
    }

    /// How bad it is.
    pub fn level(&self) -> Level {
        self.code.level()
    }

    /// Compares by the order of output: cluster, level, code, object, text.
    pub fn compare(&self, other: &Self) -> Ordering {
        // The catalogue is in the order of its codes.
        let key = |message: &Self| (message.level(), message.code);
        self.cluster
            .cmp(&other.cluster)
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.object.compare(&other.object))
            .then_with(|| self.text.cmp(&other.text))
            .then_with(|| self.path.cmp(&other.path))
            .then_with(|| self.document.cmp(&other.document))
    }
}
