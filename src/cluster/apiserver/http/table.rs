//! `kubectl get`: objects as rows of a `meta.k8s.io/v1` `Table`, and as metadata alone.

use std::sync::Arc;

use serde_json::{Value, json};

use super::path::Query;
use super::printers;
use crate::apiserver::operations::Target;
use crate::apiserver::registry::PrinterColumn;

/// What of the object comes with each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    pub(super) fn of(query: &Query) -> Self {
        match query.get("includeObject") {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// One column.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) column_type: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i64,
}

impl Column {
    pub(super) fn new(name: &str, column_type: &str, priority: i64) -> Self {
        let format = if name == "Name" { "name" } else { "" };
        Self {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            format: format.to_owned(),
            description: String::new(),
            priority,
        }
    }

    fn to_json(&self) -> Value {
        json!({"name": self.name, "type": self.column_type, "format": self.format, "description": self.description, "priority": self.priority})
    }
}

/// A metadata-only view of an object.
pub(super) fn partial_metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// The table of some objects of one kind.
pub(super) fn table(
    target: &Target,
    objects: &[Arc<Value>],
    include: &IncludeObject,
    metadata: Value,
) -> Value {
    let custom = &target.version_definition().columns;
    let columns = if target.definition.custom { custom_columns(custom) } else { printers::columns(target) };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = if target.definition.custom {
                custom_cells(custom, object)
            } else {
                printers::cells(target, object)
            };
            let shown = match include {
                IncludeObject::None => Value::Null,
                IncludeObject::Metadata => partial_metadata(object),
                IncludeObject::Object => (**object).clone(),
            };
            json!({"cells": cells, "object": shown})
        })
        .collect();
    let columns: Vec<Value> = columns.iter().map(Column::to_json).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn custom_columns(columns: &[PrinterColumn]) -> Vec<Column> {
    let mut shown = vec![Column::new("Name", "string", 0)];
    if columns.is_empty() {
        shown.push(Column::new("Age", "date", 0));
    }
    shown.extend(columns.iter().map(|column| Column {
        name: column.name.clone(),
        column_type: column.column_type.clone(),
        format: column.format.clone(),
        description: column.description.clone(),
        priority: column.priority,
    }));
    shown
}

fn custom_cells(columns: &[PrinterColumn], object: &Value) -> Vec<Value> {
    let mut cells = vec![object["metadata"]["name"].clone()];
    if columns.is_empty() {
        cells.push(json!(printers::age(&object["metadata"]["creationTimestamp"])));
    }
    cells.extend(columns.iter().map(|column| cell(column, object)));
    cells
}

/// The cell of a CRD's column: the value at its JSON path, in the column's type.
fn cell(column: &PrinterColumn, object: &Value) -> Value {
    let values = find(object, &column.json_path);
    let Some(first) = values.first().copied() else { return Value::Null };
    match column.column_type.as_str() {
        "date" => json!(printers::age(first)),
        "integer" | "number" | "boolean" => first.clone(),
        _ => {
            let texts: Vec<String> = values
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            json!(texts.join(","))
        }
    }
}

/// Values at a JSON path of the simple kind that CRDs use: `.spec.hosts`, `.status.conditions[?(@.type=="Ready")].status`,
/// `.metadata.labels['a\.b']`, `.spec.ports[*].port`, `.spec.a[0]`.
fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut values = vec![object];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        let (step, after) = next_step(rest);
        values = values.into_iter().flat_map(|value| advance(value, &step)).collect();
        rest = after;
    }
    values
}

enum Step {
    Field(String),
    Index(usize),
    All,
    /// Items whose field has this text.
    Where(String, String),
}

fn next_step(path: &str) -> (Step, &str) {
    if let Some(inside) = path.strip_prefix('[') {
        let end = inside.find(']').unwrap_or(inside.len());
        let (step, after) = (&inside[..end], inside.get(end + 1..).unwrap_or(""));
        let step = if step == "*" {
            Step::All
        } else if let Some(condition) = step.strip_prefix("?(@.").and_then(|rest| rest.strip_suffix(')')) {
            let (field, wanted) = condition.split_once("==").unwrap_or((condition, ""));
            Step::Where(field.trim().to_owned(), wanted.trim().trim_matches(['"', '\'']).to_owned())
        } else if let Ok(index) = step.parse() {
            Step::Index(index)
        } else {
            Step::Field(step.trim_matches(['"', '\'']).replace("\\.", "."))
        };
        return (step, after);
    }
    let path = path.trim_start_matches('.');
    let mut end = path.len();
    let mut escaped = false;
    for (at, character) in path.char_indices() {
        if !escaped && matches!(character, '.' | '[') {
            end = at;
            break;
        }
        escaped = character == '\\';
    }
    (Step::Field(path[..end].replace("\\.", ".")), &path[end..])
}

fn advance<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) if name.is_empty() => vec![value],
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(at) => value.get(at).into_iter().collect(),
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(field, wanted) => {
            let matches = |item: &&Value| item[field.as_str()].as_str() == Some(wanted);
            value.as_array().into_iter().flatten().filter(matches).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printer_columns_follow_json_paths() {
        let object = json!({"spec": {"hosts": ["a", "b"], "x.y": 1}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let texts = |path: &str| find(&object, path).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(texts(".spec.hosts"), [json!(["a", "b"])]);
        assert_eq!(texts(".spec.hosts[*]"), [json!("a"), json!("b")]);
        assert_eq!(texts(".spec.hosts[1]"), [json!("b")]);
        assert_eq!(texts(".spec.x\\.y"), [json!(1)]);
        assert_eq!(texts(".status.conditions[?(@.type==\"Ready\")].status"), [json!("True")]);
    }
}
