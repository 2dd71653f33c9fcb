//! From a field to its line: the document is read again, event by event, only when a message needs it.

use granit_parser::{Event, Parser, Span};

use super::document::Document;
use crate::path::{FieldPath, Step};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// File as the user named it.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// Bytes of the value in the file; empty where only the line is known.
    pub range: std::ops::Range<usize>,
}

/// Where a field stands. A field that is not there is replaced by the nearest one that holds it, in the end by the document.
pub fn locate(document: &Document, path: &FieldPath) -> Location {
    let mut wanted = FieldPath(document.prefix.0.iter().chain(&path.0).cloned().collect());
    let places = places(document.text());
    loop {
        if let Some((_, span)) = places.iter().find(|(place, _)| *place == wanted) {
            return location(document, *span);
        }
        match wanted.parent() {
            Some(parent) => wanted = parent,
            None => {
                let (line, offset) = first_content(document);
                return Location { file: document.file.name.clone(), line, column: 1, range: offset..offset };
            }
        }
    }
}

/// Line and byte of a document's first line that is neither blank nor a comment.
fn first_content(document: &Document) -> (usize, usize) {
    let mut offset = document.range.start;
    for (index, line) in document.text().split_inclusive('\n').enumerate() {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            return (document.first_line() + index, offset);
        }
        offset += line.len();
    }
    (document.first_line(), document.range.start)
}

fn location(document: &Document, span: Span) -> Location {
    let start = span.start.byte_offset().unwrap_or_default();
    let end = span.end.byte_offset().unwrap_or(start);
    let range = document.range.start + start..(document.range.start + end).min(document.range.end);
    Location {
        file: document.file.name.clone(),
        line: document.first_line() + span.start.line().saturating_sub(1),
        column: span.start.col() + 1,
        range,
    }
}

/// Where the walk is inside of.
enum Frame {
    /// A mapping; the key whose value comes next, if it is one.
    Map(Option<String>),
    /// A list; the index of the next element.
    List(usize),
}

/// The place of every value: its path and span. Reading stops where the document is no YAML.
fn places(text: &str) -> Vec<(FieldPath, Span)> {
    let mut places = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else { break };
        match event {
            Event::MappingStart(..) => {
                note(&mut places, &frames, span);
                frames.push(Frame::Map(None));
            }
            Event::SequenceStart(..) => {
                note(&mut places, &frames, span);
                frames.push(Frame::List(0));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
                advance(&mut frames);
            }
            Event::Scalar(value, ..) => match frames.last_mut() {
                Some(Frame::Map(key @ None)) => *key = Some(value.into_owned()),
                _ => {
                    note(&mut places, &frames, span);
                    advance(&mut frames);
                }
            },
            Event::Alias(..) => {
                note(&mut places, &frames, span);
                advance(&mut frames);
            }
            _ => {}
        }
    }
    places
}

fn note(places: &mut Vec<(FieldPath, Span)>, frames: &[Frame], span: Span) {
    let steps = frames.iter().map(|frame| match frame {
        Frame::Map(key) => Step::Key(key.clone().unwrap_or_default()),
        Frame::List(index) => Step::Index(*index),
    });
    places.push((FieldPath(steps.collect()), span));
}

/// A value is done: the next thing is a key, or the next element.
fn advance(frames: &mut [Frame]) {
    match frames.last_mut() {
        Some(Frame::Map(key)) => *key = None,
        Some(Frame::List(index)) => *index += 1,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::document::{SourceFile, split};
    use std::sync::Arc;

    const TEXT: &str = "# head\n---\nkind: A\nspec:\n  hosts:\n  - one\n  - two # with a comment\n  http: [{match: {x: \"y\"}}]\n---\n\nkind: B\n";

    fn find(document: usize, path: &str) -> (usize, usize, String) {
        let file = Arc::new(SourceFile { name: "f.yaml".to_owned(), text: TEXT.to_owned() });
        let location = locate(&split(&file)[document], &FieldPath::parse(path));
        (location.line, location.column, TEXT[location.range].to_owned())
    }

    #[test]
    fn fields_elements_and_what_is_missing() {
        assert_eq!(find(0, "spec.hosts[1]"), (7, 5, "two".to_owned()));
        assert_eq!(find(0, "spec.http[0].match.x").0, 8);
        assert_eq!(find(0, "spec.hosts[9]").0, find(0, "spec.hosts").0);
        assert_eq!(find(1, "kind"), (11, 7, "B".to_owned()));
        assert_eq!(find(1, "nothing.here").0, 11);
    }
}
