//! The envelope every Kubernetes object shares, generic over its spec. Reading accepts any served version of the kind,
//! because all versions of a kind here have one shape; writing uses the storage version.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use crate::SortedMap;
use crate::shape::{self, Form, Mistake, Shape, Source, record};
use crate::tree::Tree;

/// A kind of the Kubernetes API, as the type of its spec.
pub trait Resource: Clone + fmt::Debug + Default + PartialEq + Shape + Send + Sync + 'static {
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// The version written and stored.
    const VERSION: &'static str;
    /// Every served version, storage version first.
    const VERSIONS: &'static [&'static str];
    /// Kind, such as `VirtualService`.
    const KIND: &'static str;
    /// Plural resource name, such as `virtualservices`.
    const PLURAL: &'static str;
    /// Whether objects live in a namespace.
    const NAMESPACED: bool;
    /// Whether the body stands beside `metadata` (ConfigMap, Secret, EndpointSlice …) instead of under `spec`.
    const FLAT: bool = false;
    /// The shape of `status`.
    type Status: Clone + fmt::Debug + Default + PartialEq + Shape + Send + Sync + 'static;

    /// `group/version`, or the version alone for the core group.
    fn api_version() -> String {
        if Self::GROUP.is_empty() {
            Self::VERSION.to_owned()
        } else {
            format!("{}/{}", Self::GROUP, Self::VERSION)
        }
    }
}

shape! {
    /// What an object is called and how it came to be.
    pub struct ObjectMeta {
        /// Name, unique per kind and namespace.
        pub name: String,
        /// Prefix from which the API server makes a name where `name` is empty.
        pub generate_name: String,
        /// Namespace; empty for cluster-scoped kinds.
        pub namespace: String,
        /// Labels, which selectors match.
        pub labels: SortedMap<String, String>,
        /// Annotations.
        pub annotations: SortedMap<String, String>,
        /// Identity of this very object, never used again after it is deleted.
        pub uid: String,
        /// Opaque version of the object in the store.
        pub resource_version: String,
        /// Counts changes of the spec.
        pub generation: i64,
        /// When the object was created (RFC 3339, UTC).
        #[shape(like = String)]
        pub creation_timestamp: Option<jiff::Timestamp>,
        /// When deletion was asked for; the object stays until its finalizers are gone.
        #[shape(like = String)]
        pub deletion_timestamp: Option<jiff::Timestamp>,
        /// Who must act before the object may go.
        pub finalizers: Vec<String>,
        /// Objects this one belongs to.
        pub owner_references: Vec<OwnerReference>,
    }

    /// A pointer to the object that owns another, in the same namespace.
    pub struct OwnerReference {
        /// `group/version` of the owner.
        pub api_version: String,
        /// Kind of the owner.
        pub kind: String,
        /// Name of the owner.
        pub name: String,
        /// Uid of the owner.
        pub uid: String,
        /// Whether this is the managing controller.
        pub controller: bool,
        /// Whether foreground deletion of the owner waits for this object.
        pub block_owner_deletion: bool,
    }
}

/// One object of kind `S`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<S: Resource> {
    /// Name, labels and the like.
    pub metadata: ObjectMeta,
    /// What is wanted; for kinds without a spec, the body.
    pub spec: S,
    /// What was observed, where the kind has a status.
    pub status: Option<S::Status>,
}

/// A value that is no object of the wanted kind.
#[derive(Debug, Error)]
pub enum ParseError {
    /// The envelope is missing or of another kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// Group and kind that were asked for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A field has the wrong shape.
    #[error("{path}: {message}")]
    Field {
        /// Where, such as `spec.http[0].timeout`.
        path: String,
        /// What is wrong, and what is accepted.
        message: String,
    },
}

impl<S: Resource> Object<S> {
    /// A new object with a name and namespace (empty for cluster-scoped kinds).
    pub fn new(namespace: &str, name: &str, spec: S) -> Self {
        let metadata =
            ObjectMeta { name: name.to_owned(), namespace: namespace.to_owned(), ..ObjectMeta::default() };
        Self { metadata, spec, status: None }
    }

    /// Reads an object; a missing `apiVersion` or `kind` (list items carry none) is taken on trust.
    pub fn from_value(value: Value) -> Result<Self, ParseError> {
        Parts::of_value(value, &Wanted::of::<S>())?.read()
    }

    /// The same from a tree.
    pub fn from_tree(tree: &Tree<'_>) -> Result<Self, ParseError> {
        Parts::of_tree(tree, &Wanted::of::<S>())?.read()
    }

    /// The object as JSON, with `apiVersion` and `kind`.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// `namespace/name`, or the name alone for cluster-scoped objects.
    pub fn key(&self) -> String {
        match self.metadata.namespace.as_str() {
            "" => self.metadata.name.clone(),
            namespace => format!("{namespace}/{}", self.metadata.name),
        }
    }
}

/// The kind of object that is wanted.
struct Wanted {
    group: &'static str,
    api_version: fn() -> String,
    kind: &'static str,
    is_flat: bool,
}

impl Wanted {
    const fn of<S: Resource>() -> Self {
        Self { group: S::GROUP, api_version: S::api_version, kind: S::KIND, is_flat: S::FLAT }
    }

    fn check(&self, api_version: &str, kind: &str) -> Result<(), ParseError> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        if (kind.is_empty() || kind == self.kind) && (api_version.is_empty() || group == self.group) {
            return Ok(());
        }
        Err(self.instead_of(format!("{kind} ({api_version})")))
    }

    fn instead_of(&self, found: String) -> ParseError {
        ParseError::Kind { expected: format!("{} ({})", self.kind, (self.api_version)()), found }
    }
}

/// What an object consists of, not yet read into the shapes of its kind.
struct Parts<'s> {
    metadata: ObjectMeta,
    spec: Option<Source<'s>>,
    /// Where the body stands: `spec`, or nowhere in particular.
    spec_path: &'static str,
    status: Option<Source<'s>>,
}

impl<'s> Parts<'s> {
    fn of_value(value: Value, wanted: &Wanted) -> Result<Self, ParseError> {
        let Value::Object(mut body) = value else {
            return Err(wanted.instead_of(json_type(&value).to_owned()));
        };
        let text = |key| body.get(key).and_then(Value::as_str).unwrap_or_default();
        wanted.check(text("apiVersion"), text("kind"))?;
        body.remove("apiVersion");
        body.remove("kind");
        body.get_mut("metadata").into_iter().for_each(fill_labels);
        let template = body.get_mut("spec").and_then(|spec| spec.get_mut("template"));
        template.and_then(|template| template.get_mut("metadata")).into_iter().for_each(fill_labels);
        let metadata = read_field(body.remove("metadata").map(Source::Value), "metadata")?;
        let status = body.remove("status").map(Source::Value);
        let (spec, spec_path) =
            if wanted.is_flat { (Some(Value::Object(body)), "") } else { (body.remove("spec"), "spec") };
        Ok(Self { metadata: metadata.unwrap_or_default(), spec: spec.map(Source::Value), spec_path, status })
    }

    fn of_tree(tree: &'s Tree<'s>, wanted: &Wanted) -> Result<Self, ParseError> {
        // What is not read field by field, or is put right first, is rare where there is much to read.
        if wanted.is_flat
            || tree.as_map().is_none()
            || tree.get("spec").is_some_and(|spec| spec.get("template").is_some())
            || lacks_values(tree.get("metadata"))
        {
            return Self::of_value(tree.to_value(), wanted);
        }
        wanted.check(tree.text("apiVersion"), tree.text("kind"))?;
        let field = |name| tree.get(name).map(Source::Tree);
        let metadata = read_field(field("metadata"), "metadata")?.unwrap_or_default();
        Ok(Self { metadata, spec: field("spec"), spec_path: "spec", status: field("status") })
    }

    fn read<S: Resource>(self) -> Result<Object<S>, ParseError> {
        let status = read_field(self.status, "status")?;
        let spec = read_field(self.spec, self.spec_path)?.unwrap_or_default();
        Ok(Object { metadata: self.metadata, spec, status })
    }
}

/// `null` as a label or annotation, which templates leave where they have no value, means the empty text: so Kubernetes reads it.
fn fill_labels(metadata: &mut Value) {
    for field in ["labels", "annotations"] {
        let Some(Value::Object(entries)) = metadata.get_mut(field) else { continue };
        for value in entries.values_mut().filter(|value| value.is_null()) {
            *value = Value::String(String::new());
        }
    }
}

/// Whether [`fill_labels`] has something to fill.
fn lacks_values(metadata: Option<&Tree<'_>>) -> bool {
    let maps = ["labels", "annotations"].into_iter().filter_map(|field| metadata?.get(field)?.as_map());
    maps.flatten().any(|(_, value)| value.is_null())
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn read_field<T: Shape + Default>(source: Option<Source<'_>>, path: &str) -> Result<Option<T>, ParseError> {
    match source.filter(|source| !source.is_null()) {
        None => Ok(None),
        Some(source) => shape::read(source).map(Some).map_err(|mistake| below(path, &mistake)),
    }
}

/// Reads `value`, naming the failing field below `prefix`.
pub fn read_at<T: Shape + Default>(value: Value, prefix: &str) -> Result<T, ParseError> {
    shape::read(Source::Value(value)).map_err(|mistake| below(prefix, &mistake))
}

fn below(prefix: &str, mistake: &Mistake) -> ParseError {
    let path = match (prefix, mistake.place()) {
        (prefix, inner) if inner.is_empty() => prefix.to_owned(),
        ("", inner) => inner,
        (prefix, inner) if inner.starts_with('[') => format!("{prefix}{inner}"),
        (prefix, inner) => format!("{prefix}.{inner}"),
    };
    ParseError::Field { path, message: mistake.words() }
}

impl<S: Resource> Serialize for Object<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", &S::api_version())?;
        map.serialize_entry("kind", S::KIND)?;
        map.serialize_entry("metadata", &self.metadata)?;
        match self.spec.form() {
            Form::Record(body) if S::FLAT => {
                for (name, field) in record::written(body) {
                    map.serialize_entry(name, field)?;
                }
            }
            _ => map.serialize_entry("spec", &self.spec as &dyn Shape)?,
        }
        if let Some(status) = &self.status {
            map.serialize_entry("status", status as &dyn Shape)?;
        }
        map.end()
    }
}

impl<'de, S: Resource> Deserialize<'de> for Object<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
