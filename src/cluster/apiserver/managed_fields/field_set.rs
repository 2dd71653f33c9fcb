//! A set of field paths as the tree that `fieldsV1` is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// One node: whether the path up to here is in the set, and what is below. Elements are in the wire's form: `f:name`,
/// `k:{"name":"x"}`, `v:"x"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    pub(super) owned: bool,
    pub(super) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Reads `fieldsV1`. Its root and inner nodes are in the set only with a `.` entry; empty nodes are leaves.
    pub(super) fn read(fields: &Value) -> Self {
        let mut root = Self::read_node(fields);
        root.owned = false;
        root
    }

    fn read_node(node: &Value) -> Self {
        let mut set = Self::default();
        for (name, child) in node.as_object().into_iter().flatten() {
            if name == "." {
                set.owned = true;
            } else {
                set.children.insert(name.clone(), Self::read_node(child));
            }
        }
        set.owned |= set.children.is_empty();
        set
    }

    pub(super) fn write(&self) -> Value {
        let mut node = Map::new();
        if self.owned && !self.children.is_empty() {
            node.insert(".".to_owned(), json!({}));
        }
        for (name, child) in &self.children {
            node.insert(name.clone(), child.write());
        }
        Value::Object(node)
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.owned && self.children.values().all(Self::is_empty)
    }

    pub(super) fn insert(&mut self, path: &[&str]) {
        match path {
            [] => self.owned = true,
            [first, rest @ ..] => self.children.entry((*first).to_owned()).or_default().insert(rest),
        }
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.owned |= other.owned;
        for (name, child) in &other.children {
            self.children.entry(name.clone()).or_default().union(child);
        }
    }

    /// Removes the paths of `other`.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.owned &= !other.owned;
        for (name, child) in &other.children {
            if let Some(own) = self.children.get_mut(name) {
                own.subtract(child);
                if own.is_empty() {
                    self.children.remove(name);
                }
            }
        }
    }

    /// Removes the leaf paths of `other` but not shared containers: several managers may own a map and different keys of it.
    pub(super) fn subtract_marks(&mut self, other: &Self) {
        for (name, child) in &other.children {
            let Some(own) = self.children.get_mut(name) else { continue };
            own.subtract_marks(child);
            if child.owned && child.children.is_empty() {
                own.owned = false;
            }
            if own.is_empty() {
                self.children.remove(name);
            }
        }
    }

    /// Removes the paths of `other` with everything below them.
    pub(super) fn subtract_whole(&mut self, other: &Self) {
        for (name, child) in &other.children {
            if child.owned {
                self.children.remove(name);
            } else if let Some(own) = self.children.get_mut(name) {
                own.subtract_whole(child);
                if own.is_empty() {
                    self.children.remove(name);
                }
            }
        }
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut set = Self { owned: self.owned && other.owned, children: BTreeMap::new() };
        for (name, child) in &self.children {
            if let Some(theirs) = other.children.get(name) {
                let common = child.intersection(theirs);
                if !common.is_empty() {
                    set.children.insert(name.clone(), common);
                }
            }
        }
        set
    }

    /// Every path as messages show it: `.spec.containers[name="a"].image`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.owned {
            paths.push(prefix.to_owned());
        }
        for (name, child) in &self.children {
            child.collect_paths(&format!("{prefix}{}", shown(name)), paths);
        }
    }
}

fn shown(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let listed: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", listed.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        _ => element.to_owned(),
    }
}
