//! Tables as Kubernetes tools print them: columns left-aligned, no borders, no trailing blanks.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ContentArrangement};

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    gap: u16,
}

impl Table {
    /// A table with a header row; columns are `gap` blanks apart.
    pub(crate) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>, gap: u16) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()], gap }
    }

    /// Adds a row. Line breaks inside a cell would break the columns and become blanks.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| cell.into().replace('\n', " ")).collect());
    }

    /// Drops the header row.
    pub(crate) fn without_header(mut self) -> Self {
        self.rows.remove(0);
        self
    }

    /// The same table with one more column in front, the same text in every row.
    pub(crate) fn with_leading_column(&self, header: &str, cell: &str) -> Self {
        let lead = |(index, row): (usize, &Vec<String>)| {
            let first = if index == 0 { header } else { cell };
            std::iter::once(first.to_owned()).chain(row.iter().cloned()).collect()
        };
        Self { rows: self.rows.iter().enumerate().map(lead).collect(), gap: self.gap }
    }

    /// The text, each line ended.
    pub(crate) fn render(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for row in &self.rows {
            table.add_row(row.iter().map(Cell::new));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, self.gap));
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}
