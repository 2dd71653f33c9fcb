//! What shapes are read from: a JSON value that is used up, or a tree whose texts are copied.
//!
//! Each shape is read from the one JSON type it is written in: a list where an object belongs is refused as Kubernetes refuses it.

use std::borrow::Cow;

use serde::de::{Expected, Unexpected};
use serde_json::{Map, Number, Value};

use super::{Mistake, Shape};
use crate::tree::Tree;

/// Where a value comes from.
pub enum Source<'s> {
    /// A value.
    Value(Value),
    /// A tree, whose texts are copied.
    Tree(&'s Tree<'s>),
}

impl Source<'_> {
    /// True for `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Value(Value::Null) | Self::Tree(Tree::Null))
    }

    /// The same as JSON.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Tree(tree) => tree.to_value(),
        }
    }
}

/// What stands in a source.
enum Part<'s> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'s, str>),
    List(Elements<'s>),
    Map(Entries<'s>),
}

/// The elements of a list.
pub(crate) enum Elements<'s> {
    Values(std::vec::IntoIter<Value>),
    Trees(std::slice::Iter<'s, Tree<'s>>),
}

impl<'s> Iterator for Elements<'s> {
    type Item = Reader<'s>;

    fn next(&mut self) -> Option<Reader<'s>> {
        let source = match self {
            Self::Values(items) => items.next().map(Source::Value),
            Self::Trees(items) => items.next().map(Source::Tree),
        };
        source.map(Reader::new)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Values(items) => items.size_hint(),
            Self::Trees(items) => items.size_hint(),
        }
    }
}

/// The entries of a mapping.
pub(crate) enum Entries<'s> {
    Values(<Map<String, Value> as IntoIterator>::IntoIter),
    Trees(std::slice::Iter<'s, (&'s str, Tree<'s>)>),
}

impl<'s> Iterator for Entries<'s> {
    type Item = (Cow<'s, str>, Reader<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, source) = match self {
            Self::Values(entries) => {
                let (key, value) = entries.next()?;
                (Cow::Owned(key), Source::Value(value))
            }
            Self::Trees(entries) => {
                let (key, value) = entries.next()?;
                (Cow::Borrowed(*key), Source::Tree(value))
            }
        };
        Some((key, Reader::new(source)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Values(entries) => entries.size_hint(),
            Self::Trees(entries) => entries.size_hint(),
        }
    }
}

/// One value that a shape is read from.
pub struct Reader<'s> {
    source: Source<'s>,
}

impl<'s> Reader<'s> {
    pub(crate) const fn new(source: Source<'s>) -> Self {
        Self { source }
    }

    /// A shape of which nothing is known yet.
    pub(crate) fn read<T: Shape + Default>(self) -> Result<T, Mistake> {
        let mut shape = T::default();
        shape.read(self)?;
        Ok(shape)
    }

    /// True for `null`.
    pub(crate) const fn is_null(&self) -> bool {
        self.source.is_null()
    }

    /// Whatever stands there.
    pub(crate) fn into_value(self) -> Value {
        self.source.into_value()
    }

    /// A boolean.
    pub(crate) fn bool(self) -> Result<bool, Mistake> {
        match self.part() {
            Part::Bool(value) => Ok(value),
            other => Err(other.mismatch(&"a boolean")),
        }
    }

    /// A text.
    pub(crate) fn text(self, expected: &str) -> Result<Cow<'s, str>, Mistake> {
        match self.part() {
            Part::Text(text) => Ok(text),
            other => Err(other.mismatch(&expected)),
        }
    }

    /// A number. The JSON form of protobuf takes numbers in quotes, and Istio's guides write ports so.
    pub(crate) fn number(self, expected: &str) -> Result<Number, Mistake> {
        let part = self.part();
        let number = match &part {
            Part::Number(number) => Some(number.clone()),
            Part::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| part.mismatch(&expected))
    }

    /// One of a few names: its place among them.
    pub(crate) fn name(self, names: &'static [&'static str]) -> Result<usize, Mistake> {
        let text = self.text("a string")?;
        let place = names.iter().position(|name| *name == text);
        place.ok_or_else(|| Mistake::unknown_name(&text, names))
    }

    /// A list.
    pub(crate) fn list(self) -> Result<Elements<'s>, Mistake> {
        match self.part() {
            Part::List(items) => Ok(items),
            other => Err(other.mismatch(&"a sequence")),
        }
    }

    /// A mapping.
    pub(crate) fn map(self, expected: &dyn Expected) -> Result<Entries<'s>, Mistake> {
        match self.part() {
            Part::Map(entries) => Ok(entries),
            other => Err(other.mismatch(expected)),
        }
    }

    fn part(self) -> Part<'s> {
        match self.source {
            Source::Value(Value::Null) | Source::Tree(Tree::Null) => Part::Null,
            Source::Value(Value::Bool(value)) => Part::Bool(value),
            Source::Tree(Tree::Bool(value)) => Part::Bool(*value),
            Source::Value(Value::Number(number)) => Part::Number(number),
            Source::Tree(Tree::Number(number)) => Part::Number(number.clone()),
            Source::Value(Value::String(text)) => Part::Text(Cow::Owned(text)),
            Source::Tree(Tree::Text(text)) => Part::Text(Cow::Borrowed(text)),
            Source::Value(Value::Array(items)) => Part::List(Elements::Values(items.into_iter())),
            Source::Tree(Tree::List(items)) => Part::List(Elements::Trees(items.iter())),
            Source::Value(Value::Object(entries)) => Part::Map(Entries::Values(entries.into_iter())),
            Source::Tree(Tree::Map(entries)) => Part::Map(Entries::Trees(entries.iter())),
        }
    }
}

impl Part<'_> {
    fn mismatch(&self, expected: &dyn Expected) -> Mistake {
        Mistake::wrong_type(self.unexpected(), expected)
    }

    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Part::Null => Unexpected::Unit,
            Part::Bool(value) => Unexpected::Bool(*value),
            Part::Number(number) => unexpected_number(number),
            Part::Text(text) => Unexpected::Str(text),
            Part::List(_) => Unexpected::Seq,
            Part::Map(_) => Unexpected::Map,
        }
    }
}

/// A number, as a mistake names it.
pub(crate) fn unexpected_number(number: &Number) -> Unexpected<'static> {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => Unexpected::Unsigned(number),
        (_, Some(number)) => Unexpected::Signed(number),
        _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}
