//! A JSON tree that borrows its texts and goes with its arena: objects are read from files without a copy of every key.

use bumpalo::Bump;
use serde_json::{Map, Number, Value};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree<'t> {
    /// `null`, or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(&'t str),
    /// A list.
    List(&'t [Tree<'t>]),
    /// A mapping, in the order it was written; no key is there twice.
    Map(&'t [(&'t str, Tree<'t>)]),
}

impl<'t> Tree<'t> {
    /// The same as `value`.
    pub fn of(value: &'t Value, arena: &'t Bump) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => {
                Self::List(arena.alloc_slice_fill_iter(items.iter().map(|item| Self::of(item, arena))))
            }
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (key.as_str(), Self::of(value, arena)));
                Self::Map(arena.alloc_slice_fill_iter(entries))
            }
        }
    }

    /// The same as JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String((*text).to_owned()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// The value of a key; `None` where there is no mapping, or no such key in it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The text of a key; empty where there is none.
    pub fn text(&self, key: &str) -> &'t str {
        self.get(key).and_then(Self::as_str).unwrap_or_default()
    }

    /// True for [`Tree::Null`].
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A string.
    pub const fn as_str(&self) -> Option<&'t str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The elements of a list.
    pub const fn as_list(&self) -> Option<&'t [Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The entries of a mapping.
    pub const fn as_map(&self) -> Option<&'t [(&'t str, Self)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_says_what_the_value_says() {
        let value = json!({"b": [null, true, 1.5, "x", {}], "a": {"c": "d"}});
        let arena = Bump::new();
        let tree = Tree::of(&value, &arena);
        assert_eq!(tree.to_value(), value);
        assert_eq!(tree.get("a").map(|a| (a.text("c"), a.text("e"))), Some(("d", "")));
        assert!(tree.get("b").and_then(|b| b.get("x")).is_none());
        assert_eq!(tree.get("b").and_then(Tree::as_list).map(<[_]>::len), Some(5));
    }
}
