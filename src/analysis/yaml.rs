//! YAML as configuration is written, read into a tree that knows where everything stands.
//!
//! Two readers make the same tree. The quick one knows block and flow collections, one-line scalars and literal blocks — what nearly all
//! configuration is made of — and gives up on anything else. The complete one goes by the events of a YAML parser.

mod block;
mod events;
mod flow;
mod scalar;
mod seek;
mod tree;

use std::ops::Range;

/// Where trees are kept: all of a tree goes at once, and the next takes its room.
pub(crate) use bumpalo::Bump as Arena;
pub(crate) use seek::seek;
pub(crate) use tree::{Content, Entry, Found, Node};

/// The quick reader: `None` where the text has something it does not know, right or wrong. Offsets are those of `text`.
pub(crate) fn quick<'t>(text: &'t str, range: Range<usize>, arena: &'t Arena) -> Option<Node<'t>> {
    block::Reader::new(text, range, arena)?.document()
}

/// The tree of a document, by whichever reader knows it; `None` where it is no YAML.
pub(crate) fn tree<'t>(text: &'t str, range: Range<usize>, arena: &'t Arena) -> Option<Node<'t>> {
    quick(text, range.clone(), arena).or_else(|| complete(text, range, arena))
}

/// The complete reader alone, for texts that the quick one is known to give up on.
pub(crate) fn complete<'t>(text: &str, range: Range<usize>, arena: &'t Arena) -> Option<Node<'t>> {
    events::tree(text, range, arena)
}

#[cfg(test)]
mod tests;
