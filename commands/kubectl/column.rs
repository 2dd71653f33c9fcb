//! A `meta.k8s.io/v1` Table as text: the columns the server chose, with a namespace column where needed.

use serde_json::Value;

use crate::kubernetes::text;
use crate::output::Table;

/// Blanks between kubectl's columns.
const GAP: u16 = 3;

/// Columns and rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TableView {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    name_column: usize,
}

impl TableView {
    /// Reads a Table. A server that answers with plain objects instead gets a column of names.
    pub(super) fn new(answer: &Value, wide: bool, namespaces: bool) -> Self {
        if text(answer, "/kind") != "Table" {
            return Self::names(answer);
        }
        let definitions =
            answer.get("columnDefinitions").and_then(Value::as_array).cloned().unwrap_or_default();
        let shown: Vec<usize> = (0..definitions.len())
            .filter(|index| {
                wide || definitions[*index].get("priority").and_then(Value::as_i64).unwrap_or(0) == 0
            })
            .collect();
        let mut header: Vec<String> =
            shown.iter().map(|index| text(&definitions[*index], "/name").to_uppercase()).collect();
        if namespaces {
            header.insert(0, "NAMESPACE".to_owned());
        }
        let rows = answer.get("rows").and_then(Value::as_array).into_iter().flatten().map(|row| {
            let mut cells: Vec<String> = shown
                .iter()
                .map(|index| row.pointer(&format!("/cells/{index}")).map(cell).unwrap_or_default())
                .collect();
            if namespaces {
                cells.insert(0, text(row, "/object/metadata/namespace").to_owned());
            }
            cells
        });
        Self { rows: rows.collect(), header, name_column: usize::from(namespaces) }
    }

    fn names(answer: &Value) -> Self {
        let items = answer.get("items").and_then(Value::as_array);
        let rows = match items {
            Some(items) => items.iter().map(|item| vec![text(item, "/metadata/name").to_owned()]).collect(),
            None => vec![vec![text(answer, "/metadata/name").to_owned()]],
        };
        Self { header: vec!["NAME".to_owned()], rows, name_column: 0 }
    }

    /// Adds columns for labels.
    pub(super) fn with_labels(mut self, answer: &Value, columns: &[String], all: bool) -> Self {
        let labels = |index: usize| {
            answer.pointer(&format!("/rows/{index}/object/metadata/labels")).and_then(Value::as_object)
        };
        for column in columns {
            self.header.push(column.rsplit('/').next().unwrap_or(column).to_uppercase());
        }
        if all {
            self.header.push("LABELS".to_owned());
        }
        for (index, row) in self.rows.iter_mut().enumerate() {
            for column in columns {
                row.push(labels(index).and_then(|labels| labels.get(column)).map(cell).unwrap_or_default());
            }
            if all {
                let pairs: Vec<String> = labels(index)
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| format!("{key}={}", cell(value)))
                    .collect();
                row.push(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") });
            }
        }
        self
    }

    /// Adds the rows of another table of the same type.
    pub(super) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts the type before each name: several types in one output.
    pub(super) fn prefix(&mut self, prefix: &str) {
        for row in &mut self.rows {
            if let Some(name) = row.get_mut(self.name_column) {
                name.insert_str(0, prefix);
            }
        }
    }

    pub(super) fn render(&self, header: bool) -> String {
        let mut table = Table::new(self.header.clone(), GAP);
        for row in &self.rows {
            table.row(row.clone());
        }
        if header { table.render() } else { table.without_header().render() }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wide_columns_are_left_out_and_namespaces_come_first() {
        let answer = json!({"kind": "Table",
            "columnDefinitions": [{"name": "Name"}, {"name": "Ready"}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["a", "2/2", "10.0.0.1"], "object": {"metadata": {"namespace": "default"}}}]});
        assert_eq!(
            TableView::new(&answer, false, true).render(true),
            "NAMESPACE   NAME   READY\ndefault     a      2/2\n"
        );
        assert_eq!(TableView::new(&answer, true, false).render(false), "a   2/2   10.0.0.1\n");
    }
}
