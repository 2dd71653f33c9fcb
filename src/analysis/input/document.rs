//! Files and the YAML documents in them.

use std::ops::Range;
use std::sync::Arc;

/// A file that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name as the user gave it; `-` for standard input.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// One document of a file, or one item of a `List` in it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Bytes of the document in the file.
    pub range: Range<usize>,
    /// Where in the document the object stands: empty, or `items[n]` for an item of a `List`.
    pub prefix: crate::path::FieldPath,
}

impl Document {
    /// The document's text.
    pub fn text(&self) -> &str {
        &self.file.text[self.range.clone()]
    }

    /// Line of the file on which the document begins, from 1.
    pub fn first_line(&self) -> usize {
        self.file.text[..self.range.start].bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}

/// The documents of a file. A line that begins with `---` ends one: nothing else in YAML may begin a line so.
pub(super) fn split(file: &Arc<SourceFile>) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut position = 0;
    for line in file.text.split_inclusive('\n') {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker {
            push(&mut documents, file, start..position);
            start = position + 3;
        }
        position += line.len();
    }
    push(&mut documents, file, start..file.text.len());
    documents
}

fn push(documents: &mut Vec<Document>, file: &Arc<SourceFile>, range: Range<usize>) {
    let text = &file.text[range.clone()];
    let is_empty = text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "...");
    if !is_empty {
        documents.push(Document { file: file.clone(), range, prefix: crate::path::FieldPath::default() });
    }
}
