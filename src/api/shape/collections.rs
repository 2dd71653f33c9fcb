//! Shapes that hold others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::Unexpected;
use serde_json::{Map, Value, json};

use super::{Form, Mistake, Reader, Shape};
use crate::SortedMap;

/// Most elements that room is made for because a source announces them.
const MOST_ANNOUNCED: usize = 1024;

impl<T: Shape + Default> Shape for Option<T> {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = if reader.is_null() { None } else { Some(reader.read()?) };
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        self.as_ref().map_or(Form::Null, Shape::form)
    }

    fn is_blank(&self) -> bool {
        self.is_none()
    }

    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Shape> Shape for Box<T> {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        T::read(self, reader)
    }

    fn form(&self) -> Form<'_> {
        T::form(self)
    }

    fn is_blank(&self) -> bool {
        T::is_blank(self)
    }

    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Shape + Default> Shape for Vec<T> {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        let elements = reader.list()?;
        let mut list = Self::with_capacity(elements.size_hint().0.min(MOST_ANNOUNCED));
        for (index, reader) in elements.enumerate() {
            list.push(reader.read().map_err(|mistake| mistake.below_index(index))?);
        }
        *self = list;
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::List(self.iter().map(|element| element as &dyn Shape).collect())
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// What keys of mappings are: texts, or numbers as text, for JSON knows no others.
trait Key: Sized {
    fn read(text: Cow<'_, str>) -> Result<Self, Mistake>;
    fn text(&self) -> Cow<'_, str>;
}

impl Key for String {
    fn read(text: Cow<'_, str>) -> Result<Self, Mistake> {
        Ok(text.into_owned())
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl Key for u32 {
    fn read(text: Cow<'_, str>) -> Result<Self, Mistake> {
        let unfit = || Mistake::wrong_type(Unexpected::Str(&text), &"u32").below_key(text.to_string());
        text.parse().map_err(|_| unfit())
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

/// Puts each entry of a mapping into `insert`, with the place of what does not fit.
fn read_entries<K: Key, V: Shape + Default>(
    reader: Reader<'_>,
    mut insert: impl FnMut(K, V),
) -> Result<(), Mistake> {
    for (key, reader) in reader.map(&"a map")? {
        match reader.read() {
            Ok(value) => insert(K::read(key)?, value),
            Err(mistake) => return Err(mistake.below_key(key.into_owned())),
        }
    }
    Ok(())
}

fn form_of<'f, K: Key + 'f, V: Shape + 'f>(entries: impl Iterator<Item = (&'f K, &'f V)>) -> Form<'f> {
    Form::Map(entries.map(|(key, value)| (key.text(), value as &dyn Shape)).collect())
}

macro_rules! mappings {
    ($($type:ty, $key:ty, $value:ty, <$($generic:ident)?>;)*) => {$(
        impl$(<$generic: Shape + Default>)? Shape for $type {
            fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
                let mut map = Self::default();
                read_entries::<$key, $value>(reader, |key, value| drop(map.insert(key, value)))?;
                *self = map;
                Ok(())
            }

            fn form(&self) -> Form<'_> {
                form_of(self.iter())
            }

            fn is_blank(&self) -> bool {
                self.is_empty()
            }

            fn schema() -> Value {
                super::schema::map_of(<$value>::schema())
            }
        }
    )*};
}

mappings! {
    BTreeMap<String, V>, String, V, <V>;
    BTreeMap<u32, V>, u32, V, <V>;
    SortedMap<String, V>, String, V, <V>;
    Map<String, Value>, String, Value, <>;
}
