//! `metadata.managedFields`: who owns which field. Server-side apply merges by it, every other write keeps it up to date.

mod compare;
mod field_set;
mod merge;

use serde_json::{Map, Value, json};

use super::error::{ApiError, Cause};
use super::object_meta;
use super::operations::Target;
use field_set::FieldSet;

/// Metadata that nobody owns: what the server sets, or what names the object. Labels, annotations, finalizers and owners belong to writers.
const SERVER_METADATA: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "generateName",
];

/// The result of an apply before admission.
pub(crate) struct Applied {
    pub(crate) object: Value,
    /// The new `managedFields`.
    pub(crate) entries: Value,
}

/// One entry of `managedFields`.
#[derive(Clone)]
struct Manager {
    name: String,
    operation: String,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Manager {
    fn read(entry: &Value) -> Self {
        let text = |field: &str| entry[field].as_str().unwrap_or("").to_owned();
        Self {
            name: text("manager"),
            operation: text("operation"),
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields: FieldSet::read(&entry["fieldsV1"]),
        }
    }

    fn write(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("manager".to_owned(), json!(self.name));
        entry.insert("operation".to_owned(), json!(self.operation));
        entry.insert("apiVersion".to_owned(), json!(self.api_version));
        entry.insert("time".to_owned(), json!(self.time));
        entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
        entry.insert("fieldsV1".to_owned(), self.fields.write());
        if !self.subresource.is_empty() {
            entry.insert("subresource".to_owned(), json!(self.subresource));
        }
        Value::Object(entry)
    }

    fn is(&self, target: &Target, name: &str, operation: &str) -> bool {
        self.name == name
            && self.operation == operation
            && self.subresource == target.subresource
            && (operation == "Apply" || self.api_version == target.api_version())
    }

    fn new(target: &Target, name: &str, operation: &str) -> Self {
        Self {
            name: name.to_owned(),
            operation: operation.to_owned(),
            api_version: target.api_version(),
            subresource: target.subresource.clone(),
            time: object_meta::now(),
            fields: FieldSet::default(),
        }
    }
}

fn managers(object: Option<&Value>) -> Vec<Manager> {
    let entries = object.and_then(|object| object["metadata"]["managedFields"].as_array());
    entries.into_iter().flatten().map(Manager::read).collect()
}

fn entries(managers: &[Manager]) -> Value {
    managers.iter().filter(|manager| !manager.fields.is_empty()).map(Manager::write).collect()
}

/// Puts computed entries into an object.
pub(crate) fn set_entries(object: &mut Value, entries: Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if entries.as_array().is_none_or(Vec::is_empty) {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), entries);
    }
}

/// What is not owned in a request to this target: server fields, and either the status or everything but the status.
fn ignored(target: &Target) -> FieldSet {
    let mut ignored = FieldSet::default();
    for field in ["apiVersion", "kind"] {
        ignored.insert(&[&format!("f:{field}")]);
    }
    for field in SERVER_METADATA {
        ignored.insert(&["f:metadata", &format!("f:{field}")]);
    }
    if target.subresource.is_empty() && target.version_definition().status {
        ignored.insert(&["f:status"]);
    }
    ignored
}

/// Keeps ownership true after a create, update or patch: the writer owns what it changed.
pub(crate) fn record_update(target: &Target, old: Option<&Value>, object: &mut Value, manager: &str) {
    let cleared = object["metadata"]["managedFields"]
        .as_array()
        .is_some_and(|list| list.len() <= 1 && list.iter().all(|one| one == &json!({})));
    if cleared && old.is_some() {
        // An explicit `managedFields: [{}]` forgets all ownership.
        set_entries(object, Value::Null);
        return;
    }
    let schema = &target.version_definition().schema;
    let mut changes = compare::compare(schema, old, object);
    let ignored = ignored(target);
    changes.changed.subtract_whole(&ignored);
    changes.removed.subtract_whole(&ignored);
    let mut managers = managers(old);
    if changes.changed.is_empty() && changes.removed.is_empty() {
        set_entries(object, entries(&managers));
        return;
    }
    for other in &mut managers {
        other.fields.subtract(&changes.removed);
        if !other.is(target, manager, "Update") {
            other.fields.subtract_marks(&changes.changed);
        }
    }
    let at = managers.iter().position(|one| one.is(target, manager, "Update")).unwrap_or_else(|| {
        managers.push(Manager::new(target, manager, "Update"));
        managers.len() - 1
    });
    managers[at].fields.union(&changes.changed);
    managers[at].time = object_meta::now();
    set_entries(object, entries(&managers));
}

/// Server-side apply of `config` onto the live object.
pub(crate) fn apply(
    target: &Target,
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    force: bool,
) -> Result<Applied, ApiError> {
    if manager.is_empty() || manager.len() > 128 {
        return Err(ApiError::invalid_options(
            "PatchOptions",
            Cause::required("fieldManager", "is required for apply patch"),
        ));
    }
    if config["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let schema = &target.version_definition().schema;
    let mut wanted = compare::fields_of(schema, config);
    wanted.subtract_whole(&ignored(target));
    let mut managers = managers(live);
    if let Some(live) = live {
        resolve_conflicts(
            schema,
            live,
            config,
            &wanted,
            &mut managers,
            &|one| one.is(target, manager, "Apply"),
            force,
        )?;
    }
    let at = managers.iter().position(|one| one.is(target, manager, "Apply")).unwrap_or_else(|| {
        managers.push(Manager::new(target, manager, "Apply"));
        managers.len() - 1
    });
    let mut object = live.map_or_else(|| config.clone(), |live| merge::merge(schema, live, config));
    let mut dropped = managers[at].fields.clone();
    dropped.subtract(&wanted);
    let mut others = wanted.clone();
    for (index, other) in managers.iter().enumerate() {
        if index != at {
            others.union(&other.fields);
        }
    }
    merge::remove(schema, &mut object, &dropped, &others);
    if managers[at].fields != wanted {
        managers[at].time = object_meta::now();
    }
    managers[at].fields = wanted;
    managers[at].api_version = target.api_version();
    if let (Some(live), Some(metadata)) = (live, object["metadata"].as_object_mut()) {
        metadata.insert("managedFields".to_owned(), live["metadata"]["managedFields"].clone());
    }
    Ok(Applied { object, entries: entries(&managers) })
}

/// Fields of others that the config wants to have other values: named in an error, or taken over.
fn resolve_conflicts(
    schema: &super::schema::Schema,
    live: &Value,
    config: &Value,
    wanted: &FieldSet,
    managers: &mut [Manager],
    is_self: &dyn Fn(&Manager) -> bool,
    force: bool,
) -> Result<(), ApiError> {
    let differing = compare::differing(schema, live, config, wanted);
    let mut causes = Vec::new();
    for other in managers.iter_mut().filter(|one| !is_self(one)) {
        let conflicts = other.fields.intersection(&differing);
        if conflicts.is_empty() {
            continue;
        }
        if force {
            other.fields.subtract_marks(&conflicts);
            continue;
        }
        let mut message = format!("conflict with {:?}", other.name);
        if !other.subresource.is_empty() {
            message.push_str(&format!(" with subresource {:?}", other.subresource));
        }
        if !other.api_version.is_empty() && other.operation == "Update" {
            message.push_str(&format!(" using {}", other.api_version));
        }
        for path in conflicts.paths() {
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: message.clone(),
                field: path,
            });
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(conflict_error(causes)) }
}

fn conflict_error(causes: Vec<Cause>) -> ApiError {
    let message = match causes.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        several => {
            let mut text = format!("Apply failed with {} conflicts:", several.len());
            let mut last = "";
            for cause in several {
                if cause.message != last {
                    text.push_str(&format!(
                        " {}:",
                        cause.message.replacen("conflict with", "conflicts with", 1)
                    ));
                    last = &cause.message;
                }
                text.push_str(&format!("\n- {}", cause.field));
            }
            text
        }
    };
    let mut error = ApiError::new(409, "Conflict", message);
    error.details.causes = causes;
    error
}

/// Whether two states differ in nothing but the times of ownership entries (and so need no write).
pub(crate) fn same_but_times(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let rest_equal = |new: &Map<String, Value>, old: &Map<String, Value>, except: &str| {
        let count = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(except));
        count(new) == count(old)
            && new.iter().all(|(name, value)| name == except || old.get(name) == Some(value))
    };
    let metadata = |object: &Map<String, Value>| {
        object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    if !rest_equal(new, old, "metadata") {
        return false;
    }
    let (new, old) = (metadata(new), metadata(old));
    let list = |metadata: &Map<String, Value>| {
        metadata.get("managedFields").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (new_entries, old_entries) = (list(&new), list(&old));
    let same_entry = |(new, old): (&Value, &Value)| match (new.as_object(), old.as_object()) {
        (Some(new), Some(old)) => rest_equal(new, old, "time"),
        _ => new == old,
    };
    rest_equal(&new, &old, "managedFields")
        && new_entries.len() == old_entries.len()
        && new_entries.iter().zip(&old_entries).all(same_entry)
}

#[cfg(test)]
mod tests;
