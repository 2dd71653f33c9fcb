//! Values out of the events of a YAML parser, with plain scalars as YAML 1.1 has them.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::scalar;

/// Most values that aliases may stand for, all in all.
const MOST_COPIES: usize = 1 << 20;

/// The documents of a text; `None` where the parser does not take it, or aliases stand for too much.
pub(super) fn documents(text: &str) -> Option<Vec<Value>> {
    let mut reader = Reader::default();
    for next in Parser::new_from_str(text) {
        reader.take(next.ok()?.0)?;
    }
    Some(reader.documents)
}

/// A collection that is not closed yet.
enum Open {
    List { items: Vec<Value>, anchor: usize },
    Map { entries: Map<String, Value>, merged: Vec<Value>, key: Option<Key>, anchor: usize },
}

enum Key {
    Name(String),
    Merge,
}

/// Something that was read: plain `<<` merges where it is a key.
struct Read {
    value: Value,
    is_merge: bool,
    /// Its text where it is a scalar: what a key is called that is no text.
    name: Option<String>,
}

#[derive(Default)]
struct Reader {
    documents: Vec<Value>,
    root: Value,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    copies: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Option<()> {
        match event {
            Event::DocumentStart(..) => {
                self.root = Value::Null;
                self.anchors.clear();
            }
            Event::DocumentEnd => self.documents.push(std::mem::take(&mut self.root)),
            Event::Scalar(text, style, anchor, tag) => {
                let value = meaning(&text, style, tag.as_deref());
                let is_merge = text == "<<" && style == ScalarStyle::Plain;
                self.remember(anchor, &value);
                self.put(Read { value, is_merge, name: Some(text.into_owned()) })?;
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor)?.clone();
                self.copies += size(&value);
                if self.copies > MOST_COPIES {
                    return None;
                }
                self.put(Read { value, is_merge: false, name: None })?;
            }
            Event::UnresolvedAlias(_) => return None,
            Event::SequenceStart(_, anchor, _) => self.open.push(Open::List { items: Vec::new(), anchor }),
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Open::Map { entries: Map::new(), merged: Vec::new(), key: None, anchor });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (value, anchor) = match self.open.pop()? {
                    Open::List { items, anchor } => (Value::Array(items), anchor),
                    Open::Map { mut entries, merged, anchor, .. } => {
                        merged.into_iter().for_each(|source| fill(&mut entries, source));
                        (Value::Object(entries), anchor)
                    }
                };
                self.remember(anchor, &value);
                self.put(Read { value, is_merge: false, name: None })?;
            }
            _ => {}
        }
        Some(())
    }

    fn remember(&mut self, anchor: usize, value: &Value) {
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
    }

    /// `None` for a key that no object has.
    fn put(&mut self, read: Read) -> Option<()> {
        match self.open.last_mut() {
            None => self.root = read.value,
            Some(Open::List { items, .. }) => items.push(read.value),
            Some(Open::Map { entries, merged, key, .. }) => match key.take() {
                None => *key = Some(if read.is_merge { Key::Merge } else { Key::Name(name(read)?) }),
                Some(Key::Merge) => merged.push(read.value),
                Some(Key::Name(name)) => {
                    entries.insert(name, read.value);
                }
            },
        }
        Some(())
    }
}

/// How a key is called: numbers and booleans as they are written in JSON.
fn name(read: Read) -> Option<String> {
    match read.value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) => Some(read.value.to_string()),
        Value::Null => read.name,
        _ => None,
    }
}

/// What the mapping does not say itself is taken from those it merges, of which the first counts most.
fn fill(entries: &mut Map<String, Value>, source: Value) {
    match source {
        Value::Array(sources) => sources.into_iter().for_each(|source| fill(entries, source)),
        Value::Object(source) => source.into_iter().for_each(|(key, value)| {
            entries.entry(key).or_insert(value);
        }),
        _ => {}
    }
}

fn meaning(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_plain = match tag {
        None => style == ScalarStyle::Plain,
        // What says that it is a number or a boolean is read as one, in quotes too.
        Some(tag) => matches!(tag.suffix(), "bool" | "int" | "float" | "null"),
    };
    if !is_plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.starts_with('.') => fraction(text).unwrap_or_else(|| text.into()),
        _ => scalar::resolve(text).unwrap_or_else(|| text.into()),
    }
}

/// `.5`; infinity has no place in JSON.
fn fraction(text: &str) -> Option<Value> {
    let digits = text.as_bytes().get(1)?.is_ascii_digit();
    let number = text.parse::<f64>().ok().filter(|_| digits)?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}
