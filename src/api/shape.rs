//! The JSON form of shapes, by tables: a struct says what fields it has, in which order and of which shapes (`#[derive(Record)]`), and the
//! functions here read, write and describe every struct by its table. Code that serde would write for each struct and each format is there
//! once.
//!
//! Habits of proto3 JSON: absent and `null` mean the default, what is not said is not written, numbers may stand in quotes. Knows no shape
//! in particular.

mod collections;
mod mistake;
mod reader;
pub(crate) mod record;
mod scalars;
pub(crate) mod schema;
mod serde_forms;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

pub use mistake::Mistake;
pub use reader::{Reader, Source};
pub use record::Record;
pub use serde_forms::deserialize;

/// A value with a JSON form.
pub trait Shape {
    /// Takes what `reader` holds. Fields of structs that are not there stay as they are, and so does what could not be read.
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake>;

    /// What is written.
    fn form(&self) -> Form<'_>;

    /// Whether this is what an absent field means, and so need not be written.
    fn is_blank(&self) -> bool;

    /// The structural schema, as Kubernetes wants it: nothing but inlined objects, and no `null`.
    fn schema() -> Value
    where
        Self: Sized;
}

/// What a shape is written as.
pub enum Form<'f> {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'f, str>),
    /// A list.
    List(Vec<&'f dyn Shape>),
    /// A mapping, in order.
    Map(Vec<(Cow<'f, str>, &'f dyn Shape)>),
    /// A struct.
    Record(&'f dyn Record),
    /// JSON as it is.
    Value(&'f Value),
}

impl Form<'_> {
    /// Whether this is no value, an empty list or an empty mapping.
    fn holds_nothing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }
}

/// The fields of a struct.
pub struct Table {
    /// Name of the struct.
    pub name: &'static str,
    /// What it is.
    pub docs: &'static str,
    /// Whether fields have defaults other than zero, so that every scalar is written: readers need not know them.
    pub with_defaults: bool,
    /// Completes its schema.
    pub complete: Option<fn(&mut Map<String, Value>)>,
    /// Its fields, as they are declared.
    pub fields: &'static [Field],
}

/// A field of a struct.
pub struct Field {
    /// Name in JSON.
    pub name: &'static str,
    /// What it is.
    pub docs: &'static str,
    /// The schema of its type.
    pub schema: fn() -> Value,
    /// Completes that schema.
    pub complete: Option<fn(&mut Map<String, Value>)>,
}

/// Reads `value`. The mistake says where below the value it is.
pub fn read<T: Shape + Default>(source: Source<'_>) -> Result<T, Mistake> {
    Reader::new(source).read()
}

/// The JSON of `shape`.
pub fn to_value(shape: &dyn Shape) -> Value {
    serde_json::to_value(shape).unwrap_or_default()
}
