//! Text in place of other text.

use std::ops::Range;

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// First byte that goes.
    pub start: usize,
    /// Behind the last byte that goes.
    pub end: usize,
    /// What comes.
    pub text: String,
}

impl Edit {
    pub(super) fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { start: range.start, end: range.end, text: text.into() }
    }

    /// Whether both change the same bytes, or insert at the same place.
    pub(super) fn meets(&self, other: &Self) -> bool {
        if self.start == other.start {
            return true;
        }
        self.start < other.end && other.start < self.end
    }
}

/// The text with all edits made. They do not meet.
pub(super) fn apply(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_unstable();
    let mut result = String::with_capacity(text.len() + 256);
    let mut position = 0;
    for edit in sorted {
        result.push_str(&text[position..edit.start]);
        result.push_str(&edit.text);
        position = edit.end;
    }
    result.push_str(&text[position..]);
    result
}
