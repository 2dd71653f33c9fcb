//! From a field to its line: the document is read again only when a message needs it.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::{Arc, mpsc};

use super::Input;
use super::document::Document;
use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;
use crate::threads;
use crate::yaml::{self, Arena, Content, Found, Node};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// File as the user named it.
    pub file: Arc<str>,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// Characters from there to the end of what is meant; 0 where only the line is known.
    pub width: usize,
    /// Bytes of the value in the file, or of the key or first line of what has more than one; empty where only the line is known.
    pub range: Range<usize>,
    /// Whether it is the very field, not only the nearest thing that holds it.
    pub exact: bool,
}

/// A document that was read again, to find fields in it.
struct Places<'d> {
    document: &'d Document,
    /// Its tree, made for the first field that is not found without.
    root: OnceCell<Option<Node<'d>>>,
    arena: &'d Arena,
    /// Characters before the document on its first line.
    before: usize,
}

impl<'d> Places<'d> {
    /// Reads it. Where an earlier document of the file is at hand, with the characters before it on its line, these are not counted
    /// again: a line may hold thousands of documents.
    fn of(document: &'d Document, earlier: Option<(&Document, usize)>, arena: &'d Arena) -> Self {
        let (text, start) = (&document.file.text, document.range.start);
        let (known, count) = earlier
            .filter(|(it, _)| Arc::ptr_eq(&it.file, &document.file) && it.range.start <= start)
            .map_or((0, 0), |(it, before)| (it.range.start, before));
        let before = match text[known..start].rfind('\n') {
            Some(at) => text[known + at + 1..start].chars().count(),
            None => count + text[known..start].trim_start_matches('\u{feff}').chars().count(),
        };
        Self { document, root: OnceCell::new(), arena, before }
    }

    /// Where a field of the document, or of one of its items, stands. A field that is not there is replaced by the nearest one that holds
    /// it, in the end by the document.
    fn locate(&self, document: &Document, path: &FieldPath) -> Location {
        let of_item = (!document.prefix.is_empty()).then(|| path.below(&document.prefix));
        let (range, exact) = self.range(of_item.as_ref().unwrap_or(path));
        let text = &self.document.file.text[self.document.range.start..range.start];
        let before = match text.rfind('\n') {
            Some(at) => text[at + 1..].chars().count(),
            None => self.before + text.chars().count(),
        };
        Location {
            file: self.document.file.name.clone(),
            line: self.document.line_of(range.start),
            column: before + 1,
            width: self.document.file.text[range.clone()].chars().count(),
            range,
            exact,
        }
    }

    fn range(&self, path: &FieldPath) -> (Range<usize>, bool) {
        let (text, range) = (&self.document.file.text, &self.document.range);
        if self.document.is_ordinary
            && let Some(range) = yaml::seek(text, range.clone(), path)
        {
            return (range, true);
        }
        let root = self.root.get_or_init(|| yaml::tree(text, range.clone(), self.arena));
        let Some(root) = root else {
            let start = first_content(self.document);
            return (start..start, false);
        };
        let found = root.find(path);
        let is_whole = found.key.is_none() && found.node.span == root.span;
        if is_whole {
            return (found.node.span.start..found.node.span.start, path.is_empty());
        }
        if !found.exact
            && let Some(range) = self.in_literal(root, found.node, path)
        {
            return (range, true);
        }
        (self.shown(&found), found.exact)
    }

    /// What stands on the first line of a value, or of its key where the value is more.
    fn shown(&self, found: &Found<'_, '_>) -> Range<usize> {
        let range = match (&found.node.content, &found.key) {
            (Content::Nothing | Content::Map(_) | Content::List(_), Some(key)) => key.clone(),
            _ => found.node.span.clone(),
        };
        let shown = &self.document.file.text[range.clone()];
        let length = shown.find(['\n', '\r']).unwrap_or(shown.len());
        range.start..range.start + shown[..length].trim_end().len()
    }

    /// A field of YAML that is itself a literal text, such as the settings of the mesh in their ConfigMap.
    fn in_literal(&self, root: &Node<'_>, literal: &Node<'_>, path: &FieldPath) -> Option<Range<usize>> {
        let text = &self.document.file.text;
        let body = text[literal.span.clone()].strip_prefix('|').and_then(|rest| rest.find('\n'))?;
        let inner = yaml::tree(text, literal.span.start + body + 2..literal.span.end, self.arena)?;
        let mut outer = path.parent()?;
        while !root.find(&outer).exact {
            outer = outer.parent()?;
        }
        let found = inner.find(&path.within(&outer)?);
        found.exact.then(|| self.shown(&found))
    }
}

/// Fewer messages are not worth a thread.
const MESSAGES_A_THREAD: usize = 512;
/// Places that a thread hands over at once.
const PLACES_AT_ONCE: usize = 1024;
/// Most threads that look for places at once.
const MOST_THREADS: usize = 8;

/// Where messages point to.
pub(super) fn locations(input: &Input, messages: &[&Message]) -> Vec<Option<Location>> {
    let mut by_document: Vec<(usize, &Message, &Document)> = Vec::with_capacity(messages.len());
    // The messages of an object mostly follow one another: it is looked up once.
    let mut last: Option<(&ObjectRef, Option<&Document>)> = None;
    for (index, message) in messages.iter().copied().enumerate().filter(|(_, it)| it.cluster.is_none()) {
        let document = match last {
            _ if message.document.is_some() => message.document.as_deref(),
            Some((object, document)) if *object == message.object => document,
            _ => {
                let document = input.sources.get(&message.object);
                last = Some((&message.object, document));
                document
            }
        };
        by_document.extend(document.map(|document| (index, message, document)));
    }
    by_document.sort_by_key(|(_, _, document)| (Arc::as_ptr(&document.file), document.range.start));
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = available.min(MOST_THREADS).min(messages.len() / MESSAGES_A_THREAD).max(1);
    let mut found = vec![None; messages.len()];
    if wanted == 1 {
        of_sorted(&by_document, |index, location| found[index] = Some(location));
        return found;
    }
    let share = by_document.len().div_ceil(wanted).max(1);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(wanted);
        let mut left = Vec::new();
        for part in by_document.chunks(share) {
            let sender = sender.clone();
            let started = threads::start(scope, move || {
                // All of a part at once would take as much room as all places.
                let mut batch = Vec::with_capacity(PLACES_AT_ONCE);
                of_sorted(part, |index, location| {
                    batch.push((index, location));
                    if batch.len() == PLACES_AT_ONCE {
                        let full = std::mem::replace(&mut batch, Vec::with_capacity(PLACES_AT_ONCE));
                        // Whoever receives stays until all is sent.
                        let _ = sender.send(full);
                    }
                });
                let _ = sender.send(batch);
            });
            if started.is_none() {
                left.push(part);
            }
        }
        drop(sender);
        for (index, location) in receiver.into_iter().flatten() {
            found[index] = Some(location);
        }
        for part in left {
            of_sorted(part, |index, location| found[index] = Some(location));
        }
    });
    found
}

/// Tells `found` the places of messages whose documents follow one another.
fn of_sorted(messages: &[(usize, &Message, &Document)], mut found: impl FnMut(usize, Location)) {
    let mut arena = Arena::new();
    let mut earlier = None;
    let is_same =
        |left: &Document, right: &Document| Arc::ptr_eq(&left.file, &right.file) && left.range == right.range;
    for group in messages.chunk_by(|(.., left), (.., right)| is_same(left, right)) {
        let [(_, _, first), ..] = group else { continue };
        arena.reset();
        let places = Places::of(first, earlier, &arena);
        earlier = Some((*first, places.before));
        for (index, message, document) in group {
            found(*index, places.locate(document, &message.path));
        }
    }
}

/// Where a field of a document stands.
pub fn locate(document: &Document, path: &FieldPath) -> Location {
    Places::of(document, None, &Arena::new()).locate(document, path)
}

/// Byte of a document's first line that is neither blank nor a comment.
fn first_content(document: &Document) -> usize {
    let mut offset = document.range.start;
    for line in document.text().split_inclusive('\n') {
        let content = line.trim_start();
        if !content.trim_end().is_empty() && !content.starts_with('#') {
            return offset + line.len() - content.len();
        }
        offset += line.len();
    }
    document.range.start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::document::{SourceFile, split};

    const TEXT: &str = "# head\n---\nkind: A\nspec:\n  hosts:\n  - one\n  - two # with a comment\n  http: [{match: {x: \"y\"}}]\n  tls:\n    mode: &m SIMPLE\n---\n\nkind: B\n";

    fn find(text: &str, document: usize, path: &str) -> (usize, usize, String) {
        let file = Arc::new(SourceFile { name: "f.yaml".into(), text: text.to_owned() });
        let location = locate(&split(&file)[document], &FieldPath::parse(path));
        (location.line, location.column, text[location.range].to_owned())
    }

    #[test]
    fn fields_elements_and_what_is_missing() {
        assert_eq!(find(TEXT, 0, "spec.hosts[1]"), (7, 5, "two".to_owned()));
        assert_eq!(find(TEXT, 0, "spec.http[0].match.x"), (8, 22, "\"y\"".to_owned()));
        assert_eq!(find(TEXT, 0, "spec.hosts[9]"), (5, 3, "hosts".to_owned()));
        assert_eq!(find(TEXT, 0, "spec.tls"), (9, 3, "tls".to_owned()));
        assert_eq!(find(TEXT, 0, "spec.tls.mode").0, 10);
        assert_eq!(find(TEXT, 1, "kind"), (13, 7, "B".to_owned()));
        assert_eq!(find(TEXT, 1, "nothing.here").0, 13);
    }

    #[test]
    fn fields_of_yaml_within_a_literal() {
        let text =
            "kind: C\ndata:\n  mesh: |-\n    # comment\n    a: 1\n    b:\n    - c: x\n  other: |\n    text\n";
        assert_eq!(find(text, 0, "data.mesh.b[0].c"), (7, 10, "x".to_owned()));
        assert_eq!(find(text, 0, "data.mesh.b"), (6, 5, "b".to_owned()));
        assert_eq!(find(text, 0, "data.mesh.z").0, 3);
        assert_eq!(find(text, 0, "data.other.z").0, 8);
    }

    #[test]
    fn windows_lines_byte_order_marks_and_json() {
        let windows = TEXT.replace('\n', "\r\n");
        assert_eq!(find(&windows, 0, "spec.hosts[1]"), (7, 5, "two".to_owned()));
        assert_eq!(find(&format!("\u{feff}{}", &TEXT[7..]), 0, "kind"), (2, 7, "A".to_owned()));
        let json = "{\n\t\"kind\": \"A\",\n\t\"spec\": {\"hosts\": [\"o\\u006ee\"]}\n}\n";
        assert_eq!(find(json, 0, "spec.hosts[0]"), (3, 21, "\"o\\u006ee\"".to_owned()));
    }
}
