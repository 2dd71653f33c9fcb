//! Reading a JSON tree into a typed shape, with the place of what does not fit.
//!
//! A [`Deserializer`] of its own instead of one wrapped around serde_json's: every shape is then compiled for one reader, and a mesh has
//! many shapes.

use std::cell::RefCell;
use std::fmt::Write;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

/// Reads `value`. The error comes with the path of the field it is about, such as `http[0].timeout`; empty for the value itself.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, (String, Error)> {
    let place = Place::default();
    T::deserialize(Reader { value, place: &place }).map_err(|error| (place.described(), error))
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

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> { self.number(visitor) })*
    };
}

struct Reader<'p> {
    value: Value,
    place: &'p Place,
}

/// Each shape is read from the one JSON type it is written in: less code for every shape, and a list where an object belongs is refused
/// as Kubernetes refuses it.
impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(_) => self.number(visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(value),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_string(text),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(items) => {
                visitor.visit_seq(Items { items: items.into_iter(), index: 0, place: self.place })
            }
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(fields) => {
                visitor.visit_map(Fields { fields: fields.into_iter(), next: None, place: self.place })
            }
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
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
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
        self.value.deserialize_enum(name, variants, visitor)
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

impl Reader<'_> {
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // The JSON form of protobuf takes numbers in quotes, and Istio's guides write ports so.
        let quoted = self.value.as_str().and_then(|text| text.parse::<serde_json::Number>().ok());
        let Some(number) = quoted.as_ref().or(match &self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }) else {
            return Err(mismatch(&self.value, &visitor));
        };
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => visitor.visit_u64(number),
            (_, Some(number), _) => visitor.visit_i64(number),
            (_, _, Some(number)) => visitor.visit_f64(number),
            _ => Err(Error::custom("a number out of range")),
        }
    }
}

#[inline(never)]
fn mismatch(value: &Value, expected: &dyn Expected) -> Error {
    let unexpected = match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (_, Some(number)) => Unexpected::Signed(number),
            _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    };
    Error::invalid_type(unexpected, expected)
}

struct Items<'p> {
    items: std::vec::IntoIter<Value>,
    index: usize,
    place: &'p Place,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let place = self.place;
        let element = place.noted(seed.deserialize(Reader { value, place }), || Step::Index(self.index))?;
        self.index += 1;
        Ok(Some(element))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'p> {
    fields: <Map<String, Value> as IntoIterator>::IntoIter,
    next: Option<(String, Value)>,
    place: &'p Place,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next = self.fields.next();
        let Some((key, _)) = &self.next else { return Ok(None) };
        self.place.noted(seed.deserialize(Name(key)), || Step::Key(key.clone())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) = self.next.take().ok_or_else(|| Error::custom("a value before its key"))?;
        let place = self.place;
        place.noted(seed.deserialize(Reader { value, place }), || Step::Key(key))
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
        assert_eq!(read::<Shape>(value.clone()).unwrap(), serde_json::from_value::<Shape>(value).unwrap());
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
