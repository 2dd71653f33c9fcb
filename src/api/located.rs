//! Reading JSON into a typed shape, with the place of what does not fit.
//!
//! A [`Deserializer`] of its own instead of one wrapped around serde_json's: every shape is then compiled for one reader, and a mesh has
//! many shapes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Number, Value};

use crate::tree::Tree;

/// Reads `source`. The error comes with the path of the field it is about, such as `http[0].timeout`; empty for the value itself.
pub(crate) fn read<T: DeserializeOwned>(source: Source<'_>) -> Result<T, (String, Error)> {
    let place = Place::default();
    T::deserialize(Reader { source, place: &place }).map_err(|error| (place.described(), error))
}

enum Step {
    Key(String),
    Index(usize),
}

/// Where something did not fit, from the innermost step outwards: noted on the way back, because nearly everything fits.
#[derive(Default)]
struct Place {
    failed: RefCell<Vec<Step>>,
}

impl Place {
    /// What was read at a step: where it did not fit, one step further out is noted; where it did, no step below counts.
    fn noted<T>(&self, result: Result<T, Error>, step: impl FnOnce() -> Step) -> Result<T, Error> {
        match &result {
            Ok(_) => self.forget(),
            Err(_) => self.failed.borrow_mut().push(step()),
        }
        result
    }

    /// A mistake that a shape made good is none.
    fn forget(&self) {
        let mut failed = self.failed.borrow_mut();
        if !failed.is_empty() {
            failed.clear();
        }
    }

    fn described(&self) -> String {
        let mut text = String::new();
        for step in self.failed.borrow().iter().rev() {
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Index(index) => write!(text, "[{index}]"),
                Step::Key(key) if text.is_empty() => write!(text, "{key}"),
                Step::Key(key) => write!(text, ".{key}"),
            };
        }
        text
    }
}

/// What a shape is read from: a value that is used up, or a tree.
pub(crate) enum Source<'s> {
    /// A value.
    Value(Value),
    /// A tree, whose texts are copied.
    Tree(&'s Tree<'s>),
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

enum Elements<'s> {
    Values(std::vec::IntoIter<Value>),
    Trees(std::slice::Iter<'s, Tree<'s>>),
}

impl<'s> Iterator for Elements<'s> {
    type Item = Source<'s>;

    fn next(&mut self) -> Option<Source<'s>> {
        match self {
            Self::Values(items) => items.next().map(Source::Value),
            Self::Trees(items) => items.next().map(Source::Tree),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Values(items) => items.size_hint(),
            Self::Trees(items) => items.size_hint(),
        }
    }
}

enum Entries<'s> {
    Values(<Map<String, Value> as IntoIterator>::IntoIter),
    Trees(std::slice::Iter<'s, (&'s str, Tree<'s>)>),
}

impl<'s> Iterator for Entries<'s> {
    type Item = (Cow<'s, str>, Source<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Values(entries) => {
                entries.next().map(|(key, value)| (Cow::Owned(key), Source::Value(value)))
            }
            Self::Trees(entries) => {
                entries.next().map(|(key, value)| (Cow::Borrowed(*key), Source::Tree(value)))
            }
        }
    }
}

impl<'s> Source<'s> {
    fn part(self) -> Part<'s> {
        match self {
            Self::Value(Value::Null) | Self::Tree(Tree::Null) => Part::Null,
            Self::Value(Value::Bool(value)) => Part::Bool(value),
            Self::Tree(Tree::Bool(value)) => Part::Bool(*value),
            Self::Value(Value::Number(number)) => Part::Number(number),
            Self::Tree(Tree::Number(number)) => Part::Number(number.clone()),
            Self::Value(Value::String(text)) => Part::Text(Cow::Owned(text)),
            Self::Tree(Tree::Text(text)) => Part::Text(Cow::Borrowed(text)),
            Self::Value(Value::Array(items)) => Part::List(Elements::Values(items.into_iter())),
            Self::Tree(Tree::List(items)) => Part::List(Elements::Trees(items.iter())),
            Self::Value(Value::Object(map)) => Part::Map(Entries::Values(map.into_iter())),
            Self::Tree(Tree::Map(entries)) => Part::Map(Entries::Trees(entries.iter())),
        }
    }

    /// True for nothing.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Value(Value::Null) | Self::Tree(Tree::Null))
    }

    fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Tree(tree) => tree.to_value(),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            number(self.source.part(), visitor)
        })*
    };
}

struct Reader<'p> {
    source: Source<'p>,
    place: &'p Place,
}

/// Each shape is read from the one JSON type it is written in: less code for every shape, and a list where an object belongs is refused
/// as Kubernetes refuses it.
impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = self.place;
        match self.source.part() {
            Part::Null => visitor.visit_unit(),
            Part::Bool(value) => visitor.visit_bool(value),
            part @ Part::Number(_) => number(part, visitor),
            Part::Text(text) => visit_text(text, visitor),
            Part::List(items) => visitor.visit_seq(Items { items, index: 0, place }),
            Part::Map(fields) => visitor.visit_map(Fields { fields, next: None, place }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.source.part() {
            Part::Bool(value) => visitor.visit_bool(value),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.source.part() {
            Part::Text(text) => visit_text(text, visitor),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = self.place;
        match self.source.part() {
            Part::List(items) => visitor.visit_seq(Items { items, index: 0, place }),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = self.place;
        match self.source.part() {
            Part::Map(fields) => visitor.visit_map(Fields { fields, next: None, place }),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.source.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.source.into_value().deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! { char bytes byte_buf unit unit_struct tuple tuple_struct identifier }
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'_, str>, visitor: V) -> Result<V::Value, Error> {
    match text {
        Cow::Owned(text) => visitor.visit_string(text),
        Cow::Borrowed(text) => visitor.visit_str(text),
    }
}

fn number<'de, V: Visitor<'de>>(part: Part<'_>, visitor: V) -> Result<V::Value, Error> {
    // The JSON form of protobuf takes numbers in quotes, and Istio's guides write ports so.
    let number = match &part {
        Part::Number(number) => Some(number.clone()),
        Part::Text(text) => text.parse::<Number>().ok(),
        _ => None,
    };
    let Some(number) = number else { return Err(mismatch(&part, &visitor)) };
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(number), _, _) => visitor.visit_u64(number),
        (_, Some(number), _) => visitor.visit_i64(number),
        (_, _, Some(number)) => visitor.visit_f64(number),
        _ => Err(Error::custom("a number out of range")),
    }
}

#[inline(never)]
fn mismatch(part: &Part<'_>, expected: &dyn Expected) -> Error {
    let unexpected = match part {
        Part::Null => Unexpected::Unit,
        Part::Bool(value) => Unexpected::Bool(*value),
        Part::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (_, Some(number)) => Unexpected::Signed(number),
            _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Part::Text(text) => Unexpected::Str(text),
        Part::List(_) => Unexpected::Seq,
        Part::Map(_) => Unexpected::Map,
    };
    Error::invalid_type(unexpected, expected)
}

struct Items<'p> {
    items: Elements<'p>,
    index: usize,
    place: &'p Place,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(source) = self.items.next() else { return Ok(None) };
        let place = self.place;
        let element = place.noted(seed.deserialize(Reader { source, place }), || Step::Index(self.index))?;
        self.index += 1;
        Ok(Some(element))
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.size_hint().1
    }
}

struct Fields<'p> {
    fields: Entries<'p>,
    next: Option<(Cow<'p, str>, Source<'p>)>,
    place: &'p Place,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next = self.fields.next();
        let Some((key, _)) = &self.next else { return Ok(None) };
        self.place.noted(seed.deserialize(Name(key)), || Step::Key(key.to_string())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, source) = self.next.take().ok_or_else(|| Error::custom("a value before its key"))?;
        let place = self.place;
        place.noted(seed.deserialize(Reader { source, place }), || Step::Key(key.into_owned()))
    }
}

/// The name of a field. Where a map has numbers for keys, its text is the number: JSON knows no others.
struct Name<'k>(&'k str);

macro_rules! numeric_names {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match (self.0.parse::<u64>(), self.0.parse::<i64>()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => Err(Error::invalid_type(Unexpected::Str(self.0), &visitor)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let read: StrDeserializer<'_, Error> = self.0.into_deserializer();
        read.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let read: StrDeserializer<'_, Error> = self.0.into_deserializer();
        read.deserialize_enum(name, variants, visitor)
    }

    numeric_names! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn read<T: DeserializeOwned>(value: Value) -> Result<T, (String, Error)> {
        super::read(Source::Value(value))
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Shape {
        name: String,
        #[serde(default)]
        routes: Vec<Route>,
        #[serde(default)]
        weights: BTreeMap<String, i32>,
        mode: Option<Mode>,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Route {
        weight: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Mode {
        Strict,
    }

    #[test]
    fn shapes_are_read_as_serde_json_reads_them() {
        let value = json!({"name": "a", "routes": [{"weight": 7}], "weights": {"b": -1}, "mode": "Strict", "c": [null, 1.5, true]});
        let arena = bumpalo::Bump::new();
        let tree = Tree::of(&value, &arena);
        let expected = serde_json::from_value::<Shape>(value.clone()).unwrap();
        assert_eq!(super::read::<Shape>(Source::Tree(&tree)).unwrap(), expected);
        assert_eq!(read::<Shape>(value).unwrap(), expected);
    }

    #[test]
    fn numbers_may_stand_in_quotes() {
        assert_eq!(read::<Route>(json!({"weight": "7"})).unwrap(), Route { weight: 7 });
        assert!(read::<Route>(json!({"weight": "700"})).is_err());
    }

    #[test]
    fn names_that_are_numbers_are_read_as_numbers() {
        type Ports = BTreeMap<u16, bool>;
        assert_eq!(read::<Ports>(json!({"80": true})).unwrap(), Ports::from([(80, true)]));
        let (path, error) = read::<Ports>(json!({"http": true})).unwrap_err();
        assert_eq!(path, "http");
        assert!(error.to_string().contains("invalid type: string \"http\", expected u16"), "{error}");
        assert!(read::<Ports>(json!({"65536": true})).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        #[derive(Debug, Deserialize)]
        struct Outer {
            #[expect(dead_code, reason = "only its reading matters")]
            routes: Vec<Route>,
        }
        let (path, error) = read::<Outer>(json!({"routes": [{"weight": 1}, {"weight": "x"}]})).unwrap_err();
        assert_eq!(path, "routes[1].weight");
        assert!(error.to_string().contains("invalid type: string \"x\", expected u8"), "{error}");
        let (path, error) = read::<Outer>(json!({"routes": [{}]})).unwrap_err();
        assert_eq!((path.as_str(), error.to_string().as_str()), ("routes[0]", "missing field `weight`"));
        let (path, error) = read::<Outer>(json!({"routes": [[1]]})).unwrap_err();
        assert_eq!(path, "routes[0]");
        assert!(error.to_string().starts_with("invalid type: sequence, expected struct Route"), "{error}");
        assert_eq!(read::<Outer>(json!(7)).unwrap_err().0, "");
    }
}
