//! Which fields an object has, and which of them differ between two states, by schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use crate::apiserver::schema::{ListMerge, Rules, Schema, SchemaKind};

/// How a value is owned.
pub(super) enum Shape<'a> {
    /// As a whole.
    Leaf,
    /// Field by field.
    Fields(&'a Map<String, Value>),
    /// Item by item; elements are in wire form.
    Items(Vec<(String, &'a Value)>),
}

/// The node of anything below `x-kubernetes-preserve-unknown-fields`: objects by field, everything else as a whole.
pub(super) fn deduced() -> &'static Schema {
    static DEDUCED: std::sync::OnceLock<Schema> = std::sync::OnceLock::new();
    DEDUCED.get_or_init(|| Schema { rules: Some(Box::<Rules>::default()), ..Schema::default() })
}

pub(super) fn shape<'a>(schema: &Schema, value: &'a Value) -> Shape<'a> {
    let node = schema.resolved();
    if schema.atomic || node.atomic {
        return Shape::Leaf;
    }
    match (&node.kind, value) {
        (SchemaKind::Any, Value::Object(map)) if node.rules.is_some() => Shape::Fields(map),
        (SchemaKind::Object { .. } | SchemaKind::Map(_), Value::Object(map)) => Shape::Fields(map),
        (SchemaKind::List { merge: ListMerge::Set, .. }, Value::Array(items)) => {
            Shape::Items(items.iter().map(|item| (format!("v:{item}"), item)).collect())
        }
        (SchemaKind::List { merge: ListMerge::Map(keys), item }, Value::Array(items)) => {
            Shape::Items(items.iter().map(|value| (key_element(item, keys, value), value)).collect())
        }
        _ => Shape::Leaf,
    }
}

/// `k:{"containerPort":80,"protocol":"TCP"}`. A missing key takes its default.
fn key_element(item: &Schema, keys: &[String], value: &Value) -> String {
    let named: BTreeMap<&str, Value> =
        keys.iter().map(|key| (key.as_str(), key_value(item, key, value))).collect();
    format!("k:{}", serde_json::to_string(&named).unwrap_or_default())
}

fn key_value(item: &Schema, key: &str, value: &Value) -> Value {
    match value.get(key) {
        Some(value) if !value.is_null() => value.clone(),
        _ => match item.field(key).and_then(|field| field.default.clone()) {
            Some(default) => default,
            None if key == "protocol" => Value::from("TCP"),
            None => Value::Null,
        },
    }
}

/// The schema of a field.
pub(super) fn child<'a>(schema: &'a Schema, name: &str) -> &'a Schema {
    match &schema.resolved().kind {
        SchemaKind::Any => deduced(),
        _ => schema.field(name).unwrap_or_else(|| deduced()),
    }
}

/// The schema of a list's items.
pub(super) fn item_schema(schema: &Schema) -> &Schema {
    match schema.list() {
        Some((item, _)) => item,
        None => deduced(),
    }
}

fn is_map(schema: &Schema) -> bool {
    matches!(schema.resolved().kind, SchemaKind::Map(_) | SchemaKind::Any)
}

/// Every field of an object.
pub(super) fn fields_of(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match shape(schema, value) {
        Shape::Leaf => set.owned = true,
        Shape::Fields(map) => {
            for (name, value) in map {
                let mut below = fields_of(child(schema, name), value);
                below.owned |= is_map(schema) || value.as_object().is_some_and(Map::is_empty);
                set.children.insert(format!("f:{name}"), below);
            }
        }
        Shape::Items(items) => {
            for (element, value) in items {
                let mut below = fields_of(item_schema(schema), value);
                below.owned = true;
                set.children.insert(element, below);
            }
            set.owned |= set.children.is_empty();
        }
    }
    set
}

/// What a write changed.
#[derive(Default)]
pub(super) struct Changes {
    /// Added or with another value.
    pub(super) changed: FieldSet,
    /// Gone.
    pub(super) removed: FieldSet,
}

/// Compares two states of an object.
pub(super) fn compare(schema: &Schema, old: Option<&Value>, new: &Value) -> Changes {
    let mut changes = Changes::default();
    match old {
        Some(old) => walk(schema, old, new, &mut changes),
        None => {
            changes.changed = fields_of(schema, new);
            mark_containers(schema, new, &mut changes.changed);
            changes.changed.owned = false;
        }
    }
    changes
}

/// A new map is owned itself too, as in Kubernetes (`f:labels: {".": {}, …}`).
fn mark_containers(schema: &Schema, value: &Value, set: &mut FieldSet) {
    match shape(schema, value) {
        Shape::Leaf => {}
        Shape::Fields(map) => {
            let node = schema.resolved();
            // In a custom resource every object was absent before; built-in kinds have their structures from the start.
            let custom =
                matches!(node.kind, SchemaKind::Object { .. } | SchemaKind::Any) && node.rules.is_some();
            set.owned |= custom || matches!(node.kind, SchemaKind::Map(_));
            for (name, value) in map {
                if let Some(below) = set.children.get_mut(&format!("f:{name}")) {
                    mark_containers(child(schema, name), value, below);
                    // A list that must be there is never new.
                    let list = matches!(shape(child(schema, name), value), Shape::Items(_));
                    if list && !custom && node.required.contains(name) && !below.children.is_empty() {
                        below.owned = false;
                    }
                }
            }
        }
        Shape::Items(items) => {
            set.owned = true;
            for (element, value) in items {
                if let Some(below) = set.children.get_mut(&element) {
                    mark_containers(item_schema(schema), value, below);
                }
            }
        }
    }
}

fn added(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = fields_of(schema, value);
    mark_containers(schema, value, &mut set);
    set
}

fn walk(schema: &Schema, old: &Value, new: &Value, changes: &mut Changes) {
    if old == new {
        return;
    }
    match (shape(schema, old), shape(schema, new)) {
        (Shape::Fields(old), Shape::Fields(new)) => {
            for (name, new) in new {
                let below = child(schema, name);
                step(&format!("f:{name}"), below, old.get(name), Some(new), is_map(schema), changes);
            }
            for (name, old) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                step(&format!("f:{name}"), child(schema, name), Some(old), None, is_map(schema), changes);
            }
        }
        (Shape::Items(old), Shape::Items(new)) => {
            let below = item_schema(schema);
            let find =
                |items: &[(String, &Value)], wanted: &str| items.iter().any(|(element, _)| element == wanted);
            for (element, value) in &new {
                let before = old.iter().find(|(other, _)| other == element).map(|(_, value)| *value);
                step(element, below, before, Some(value), true, changes);
            }
            for (element, value) in old.iter().filter(|(element, _)| !find(&new, element)) {
                step(element, below, Some(value), None, true, changes);
            }
        }
        _ => {
            changes.removed.union(&fields_of(schema, old));
            changes.removed.owned = false;
            changes.changed.union(&added(schema, new));
            changes.changed.owned |= matches!(shape(schema, new), Shape::Leaf);
        }
    }
}

fn step(
    element: &str,
    schema: &Schema,
    old: Option<&Value>,
    new: Option<&Value>,
    entry: bool,
    changes: &mut Changes,
) {
    match (old, new) {
        (Some(old), Some(new)) => {
            let mut below = Changes::default();
            walk(schema, old, new, &mut below);
            if !below.changed.is_empty() {
                changes.changed.children.insert(element.to_owned(), below.changed);
            }
            if !below.removed.is_empty() {
                changes.removed.children.insert(element.to_owned(), below.removed);
            }
        }
        (None, Some(new)) => {
            let mut below = added(schema, new);
            below.owned |= entry || new.as_object().is_some_and(Map::is_empty);
            changes.changed.children.insert(element.to_owned(), below);
        }
        (Some(old), None) => {
            let mut below = added(schema, old);
            below.owned = true;
            changes.removed.children.insert(element.to_owned(), below);
        }
        (None, None) => {}
    }
}

/// The wanted fields whose live value is not the one of the config.
pub(super) fn differing(schema: &Schema, live: &Value, config: &Value, wanted: &FieldSet) -> FieldSet {
    let mut changes = Changes::default();
    walk(schema, live, config, &mut changes);
    // Fields the config leaves out count as removed here and are not wanted; fields it adds cannot be owned with another value.
    changes.changed.intersection(wanted)
}
