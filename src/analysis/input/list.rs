//! Lists of objects: each item is a document of its own.

use bumpalo::collections::Vec as ArenaVec;
use sagene_api::Tree;

use super::document::{Document, lines};
use super::load::LoadError;
use super::repeats;
use crate::yaml::{self, Arena, Content, Node};

/// The items of a list as documents of their own, and its own keys that are set again; `None` where it is no list, or one that only
/// the complete reader can read.
pub(super) fn items_of(document: &Document, arena: &Arena) -> Option<(Vec<Document>, Vec<LoadError>)> {
    // Nearly no document is a list: the word is looked for before anything is parsed.
    memchr::memmem::find(document.text().as_bytes(), b"List")?;
    let root = yaml::quick(&document.file.text, document.range.clone(), arena)?;
    // Items of other lists may be told what they are by the list.
    root.get("kind")?.text().filter(|kind| *kind == "List")?;
    root.get("apiVersion")?;
    let Content::List(items) = &root.get("items")?.content else { return None };
    let mut line = document.first_line();
    let mut counted = document.range.start;
    let mut documents = Vec::with_capacity(items.len());
    for item in *items {
        line += lines(&document.file.text[counted..item.span.start]);
        counted = item.span.start;
        documents.push(document.item(extent(document, item), line));
    }
    Some((documents, repeats::of_list(document, &repeats::of_top(document, &root))))
}

/// An item with the rest of its last line, which a literal block at its end needs.
fn extent(document: &Document, item: &Node<'_>) -> std::ops::Range<usize> {
    let text = &document.file.text;
    if text[item.span.start..].starts_with(['{', '[']) {
        return item.span.clone();
    }
    let end = text[item.span.end..document.range.end]
        .find('\n')
        .map_or(document.range.end, |length| item.span.end + length + 1);
    item.span.start..end
}

/// An item with its type, where it does not say it: it is what a list such as a `ServiceList` is of. So kubectl reads it.
pub(super) fn with_type<'t>(
    item: &Tree<'t>,
    api_version: &'t str,
    list: &'t str,
    arena: &'t Arena,
) -> Option<Tree<'t>> {
    let kind = list.strip_suffix("List").filter(|kind| !kind.is_empty())?;
    if item.get("apiVersion").is_some() || item.get("kind").is_some() {
        return None;
    }
    let mut fields = ArenaVec::from_iter_in(item.as_map()?.iter().cloned(), arena);
    fields.extend([("apiVersion", Tree::Text(api_version)), ("kind", Tree::Text(kind))]);
    Some(Tree::Map(fields.into_bump_slice()))
}
