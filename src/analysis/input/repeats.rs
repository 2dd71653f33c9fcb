//! Keys that are set again: YAML forbids it, and tools take the last one or none.

use super::document::Document;
use super::load::LoadError;
use crate::code::Code;
use crate::message::{Message, ObjectRef};
use crate::path::{FieldPath, Step};
use crate::yaml::{Content, Entry, Node};

/// A key that is set again.
pub(super) struct Repeat {
    /// From the top of the document.
    path: FieldPath,
    /// Line of the file on which it is set first.
    line: usize,
}

/// All of a document.
pub(super) fn repeats(document: &Document, root: &Node<'_>) -> Vec<Repeat> {
    let found = root.repeats().into_iter();
    found.map(|(path, first)| Repeat { path, line: document.line_of(first.start) }).collect()
}

impl Repeat {
    fn words(&self, name: &str) -> String {
        format!("key {name:?} is set again, first on line {}; remove one of them", self.line)
    }

    /// The finding, where the key is in this object.
    pub(super) fn message(&self, object: &ObjectRef, prefix: &FieldPath) -> Option<Message> {
        let path = self.path.within(prefix)?;
        let name = match path.steps().last() {
            Some(Step::Key(name)) => name.to_owned(),
            _ => return None,
        };
        let text = format!("Schema validation error: {path}: {}", self.words(&name));
        Some(Message::new(Code::SchemaValidationError, object.clone(), text).at(path))
    }
}

/// The keys of the document itself, not of what is in it, that are set again.
pub(super) fn of_top(document: &Document, root: &Node<'_>) -> Vec<Repeat> {
    let Content::Map(entries) = &root.content else { return Vec::new() };
    let named = |(_, entry): &(usize, &Entry<'_>)| !matches!(entry.key, "" | "<<");
    let again = entries.iter().enumerate().filter(named).filter_map(|(index, entry)| {
        let first = entries[..index].iter().find(|earlier| earlier.key == entry.key)?;
        let path = FieldPath::default().key(entry.key);
        Some(Repeat { path, line: document.line_of(first.place.start) })
    });
    again.collect()
}

/// What is wrong with a list whose own keys are set again: some of its items may be lost.
pub(super) fn of_list(document: &Document, repeats: &[Repeat]) -> Vec<LoadError> {
    let own = repeats.iter().filter_map(|repeat| {
        let path = repeat.path.within(&document.prefix)?;
        let mut steps = path.steps();
        let (Some(Step::Key(name)), None) = (steps.next(), steps.next()) else { return None };
        let place = super::locate(document, &path);
        let problem = repeat.words(name);
        Some(LoadError { file: place.file.to_string(), line: place.line, column: place.column, problem })
    });
    own.collect()
}
