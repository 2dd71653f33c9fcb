//! The complete reader: a tree out of the events of a YAML parser. It serves places, not values: every scalar is text, and an alias
//! is a leaf where it stands.

use std::ops::Range;

use bumpalo::Bump;
use granit_parser::{Event, Parser, Span};

use super::tree::{Content, Entry, Node};

/// A collection that is not closed yet.
enum Open<'t> {
    Map { start: usize, entries: Vec<Entry<'t>>, key: Option<(&'t str, Range<usize>)> },
    List { start: usize, items: Vec<Node<'t>> },
}

/// The tree of a part of `text`, as far as it is YAML; `None` where there is nothing.
pub(super) fn tree<'t>(text: &str, range: Range<usize>, arena: &'t Bump) -> Option<Node<'t>> {
    let base = range.start;
    let mut builder = Builder { arena, open: Vec::new(), root: None, last: base };
    for next in Parser::new_from_str(&text[range.clone()]) {
        let Ok((event, span)) = next else { break };
        let place = bytes(span, base, range.end);
        match event {
            Event::MappingStart(..) => {
                builder.open.push(Open::Map { start: place.start, entries: Vec::new(), key: None });
            }
            Event::SequenceStart(..) => {
                builder.open.push(Open::List { start: place.start, items: Vec::new() });
            }
            Event::MappingEnd | Event::SequenceEnd => builder.close(place.end),
            Event::Scalar(value, ..) => builder.scalar(&value, place),
            Event::Alias(..) => builder.scalar("", place),
            _ => {}
        }
    }
    while !builder.open.is_empty() {
        builder.close(builder.last);
    }
    builder.root
}

fn bytes(span: Span, base: usize, limit: usize) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or_default();
    let end = span.end.byte_offset().unwrap_or(start).max(start);
    (base + start).min(limit)..(base + end).min(limit)
}

struct Builder<'t> {
    arena: &'t Bump,
    open: Vec<Open<'t>>,
    root: Option<Node<'t>>,
    /// Behind the last scalar.
    last: usize,
}

impl<'t> Builder<'t> {
    fn scalar(&mut self, text: &str, place: Range<usize>) {
        let text = self.arena.alloc_str(text);
        self.last = self.last.max(place.end);
        if let Some(Open::Map { key: key @ None, .. }) = self.open.last_mut() {
            *key = Some((text, place));
            return;
        }
        let content = if place.is_empty() { Content::Nothing } else { Content::Text(text) };
        self.put(Node { span: place, content });
    }

    fn close(&mut self, end: usize) {
        let last = self.last;
        let node = match self.open.pop() {
            Some(Open::Map { start, entries, .. }) => Node {
                span: start..end.min(last.max(start)),
                content: Content::Map(self.arena.alloc_slice_fill_iter(entries)),
            },
            Some(Open::List { start, items }) => Node {
                span: start..end.min(last.max(start)),
                content: Content::List(self.arena.alloc_slice_fill_iter(items)),
            },
            None => return,
        };
        self.put(node);
    }

    fn put(&mut self, node: Node<'t>) {
        match self.open.last_mut() {
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some((name, place)) => entries.push(Entry { key: name, place, value: node }),
                // A collection as a key: no field has one.
                None => *key = Some(("", node.span)),
            },
            Some(Open::List { items, .. }) => items.push(node),
            None => {
                self.root.get_or_insert(node);
            }
        }
    }
}
