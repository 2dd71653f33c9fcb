//! Nodes with their places.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use bumpalo::collections::Vec as ArenaVec;
use sagene_api::Tree;
use serde_json::Value;

use super::{Arena, scalar};
use crate::path::{FieldPath, Step};

/// A value and where it stands.
#[derive(Debug, PartialEq)]
pub(crate) struct Node<'t> {
    /// Bytes from the first to behind the last of it.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) content: Content<'t>,
}

/// What a node holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Content<'t> {
    /// Nothing was written.
    Nothing,
    /// A plain scalar: text, or a number, a boolean, null.
    Plain(&'t str),
    /// A quoted or block scalar, and whatever else is not looked into.
    Text(&'t str),
    /// A mapping.
    Map(&'t [Entry<'t>]),
    /// A list.
    List(&'t [Node<'t>]),
}

/// A key and its value.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry<'t> {
    /// The key.
    pub(crate) key: &'t str,
    /// Where the key stands.
    pub(crate) place: Range<usize>,
    /// Its value.
    pub(crate) value: Node<'t>,
}

/// What a path led to.
pub(crate) struct Found<'n, 't> {
    /// The deepest node on the way.
    pub(crate) node: &'n Node<'t>,
    /// Where its key stands, if it is the value of one.
    pub(crate) key: Option<Range<usize>>,
    /// Whether the whole path was found.
    pub(crate) exact: bool,
}

impl<'t> Node<'t> {
    /// Follows a path as far as it goes.
    pub(crate) fn find(&self, path: &FieldPath) -> Found<'_, 't> {
        let mut found = Found { node: self, key: None, exact: true };
        for step in path.steps() {
            match (step, &found.node.content) {
                (Step::Key(key), Content::Map(entries)) => {
                    // Of equal keys the last counts, as it does for the value.
                    match entries.iter().rev().find(|entry| entry.key == key) {
                        Some(entry) => {
                            found = Found { node: &entry.value, key: Some(entry.place.clone()), exact: true };
                        }
                        None => return Found { exact: false, ..found },
                    }
                }
                (Step::Index(index), Content::List(items)) if index < items.len() => {
                    found = Found { node: &items[index], key: None, exact: true };
                }
                _ => return Found { exact: false, ..found },
            }
        }
        found
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().rev().find(|entry| entry.key == key).map(|it| &it.value),
            _ => None,
        }
    }

    /// A scalar's text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) => Some(text),
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as JSON; `None` where a plain scalar is one of those whose meaning is better left to a YAML library. Of equal keys the
    /// last counts.
    pub(crate) fn to_value(&self) -> Option<Value> {
        Some(self.to_tree(&Arena::new(), &mut false)?.to_value())
    }

    /// The same without a copy of its texts; `is_repeated` becomes true where a mapping has equal keys.
    pub(crate) fn to_tree<'a>(&self, arena: &'a Arena, is_repeated: &mut bool) -> Option<Tree<'a>>
    where
        't: 'a,
    {
        Some(match self.content {
            Content::Nothing => Tree::Null,
            Content::Plain(text) => scalar::resolve(text)?,
            Content::Text(text) => Tree::Text(text),
            Content::List(items) => {
                let mut list = ArenaVec::with_capacity_in(items.len(), arena);
                for item in items {
                    list.push(item.to_tree(arena, is_repeated)?);
                }
                Tree::List(list.into_bump_slice())
            }
            Content::Map(entries) => {
                let mut map = ArenaVec::with_capacity_in(entries.len(), arena);
                for entry in entries {
                    if is_other(entry.key) {
                        return None;
                    }
                    map.push((entry.key, entry.value.to_tree(arena, is_repeated)?));
                }
                *is_repeated |= keep_last(&mut map);
                Tree::Map(map.into_bump_slice())
            }
        })
    }

    /// Every key that its mapping has already: where it is, and where it was set first.
    pub(crate) fn repeats(&self) -> Vec<(FieldPath, Range<usize>)> {
        let mut found = Vec::new();
        self.collect_repeats(&FieldPath::default(), &mut found);
        found
    }

    fn collect_repeats(&self, path: &FieldPath, found: &mut Vec<(FieldPath, Range<usize>)>) {
        match &self.content {
            Content::Map(entries) => {
                let mut seen: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
                for entry in *entries {
                    let path = path.key(entry.key);
                    // Keys that are no text have no name here; merges may be many.
                    if !matches!(entry.key, "" | "<<") {
                        match seen.get(entry.key) {
                            Some(first) => found.push((path.clone(), (*first).clone())),
                            None => {
                                seen.insert(entry.key, &entry.place);
                            }
                        }
                    }
                    entry.value.collect_repeats(&path, found);
                }
            }
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect_repeats(&path.index(index), found);
                }
            }
            _ => {}
        }
    }
}

/// Leaves, of entries with equal keys, the last; answers whether there were some.
fn keep_last(entries: &mut ArenaVec<'_, (&str, Tree<'_>)>) -> bool {
    /// Mappings of so many keys are compared each with each.
    const FEW: usize = 16;
    let is_repeated = if entries.len() <= FEW {
        (1..entries.len()).any(|index| entries[..index].iter().any(|(key, _)| *key == entries[index].0))
    } else {
        let mut seen = HashSet::with_capacity(entries.len());
        !entries.iter().all(|(key, _)| seen.insert(*key))
    };
    if is_repeated {
        let mut seen = HashSet::new();
        let mut is_last: Vec<bool> = entries.iter().rev().map(|(key, _)| seen.insert(*key)).collect();
        entries.retain(|_| is_last.pop().unwrap_or_default());
    }
    is_repeated
}

/// Whether a key is called otherwise where it stands without quotes: `yes` is `true`. The tree does not know whether it does.
fn is_other(key: &str) -> bool {
    let name = sagene_api::yaml::resolve(key).map(|value| value.to_string());
    name.is_some_and(|name| name != key)
}
