//! The shape of objects: one tree for built-in kinds (from the generated table) and for CRDs (from their structural schemas).
//!
//! Field validation, pruning, defaulting, strategic merge, server-side apply and OpenAPI all walk this tree.

mod builtin;
mod check;
mod openapi;
mod structural;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub(crate) use builtin::{builtin, named};
pub(crate) use check::check_fields;
pub(crate) use openapi::{component_name, named_types, to_openapi};
pub(crate) use structural::{apply_defaults, from_crd, validate};

/// One node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    pub(crate) kind: SchemaKind,
    pub(crate) description: String,
    pub(crate) nullable: bool,
    /// `x-kubernetes-map-type: atomic`: the object is owned as a whole.
    pub(crate) atomic: bool,
    /// Names of the fields that must be there.
    pub(crate) required: Vec<String>,
    pub(crate) default: Option<Value>,
    /// What only CRDs have.
    pub(crate) rules: Option<Box<Rules>>,
}

/// The type of a node.
#[derive(Clone, Debug, Default)]
pub(crate) enum SchemaKind {
    /// Any JSON; owned as a whole.
    #[default]
    Any,
    /// Known fields; with `preserve` also unknown ones.
    Object {
        fields: BTreeMap<String, Schema>,
        preserve: bool,
    },
    /// Any keys, one value type.
    Map(Box<Schema>),
    List {
        item: Box<Schema>,
        merge: ListMerge,
    },
    /// A built-in type by name, resolved when walked (types may be recursive).
    Reference(&'static str),
    Text,
    /// Base64.
    Bytes,
    /// RFC 3339.
    Time,
    Integer {
        bits: u8,
    },
    Number,
    Boolean,
    IntOrString,
    Quantity,
}

/// How a list is merged and owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListMerge {
    #[default]
    Atomic,
    Set,
    /// By these keys.
    Map(Vec<String>),
}

/// Value rules of a structural schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) format: String,
    pub(crate) enumeration: Vec<Value>,
    pub(crate) pattern: Option<Arc<regex::Regex>>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    pub(crate) unique_items: bool,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
    pub(crate) embedded_resource: bool,
    /// `x-kubernetes-validations`.
    pub(crate) expressions: Vec<structural::ExpressionRule>,
}

impl Schema {
    pub(crate) fn of(kind: SchemaKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// The node itself, or the built-in type it names.
    pub(crate) fn resolved(&self) -> &Schema {
        match &self.kind {
            SchemaKind::Reference(name) => builtin::by_name(name),
            _ => self,
        }
    }

    /// The node of a field of an object or of a map's values; `None` for unknown fields.
    pub(crate) fn field(&self, name: &str) -> Option<&Schema> {
        match &self.resolved().kind {
            SchemaKind::Object { fields, .. } => fields.get(name),
            SchemaKind::Map(value) => Some(value),
            _ => None,
        }
    }

    /// The node of a list's items and how the list merges.
    pub(crate) fn list(&self) -> Option<(&Schema, &ListMerge)> {
        match &self.resolved().kind {
            SchemaKind::List { item, merge } => Some((item, merge)),
            _ => None,
        }
    }
}
