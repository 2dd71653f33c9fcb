//! One document: from text to the objects in it.

use std::sync::Arc;

use sagene_api::Tree;
use serde_json::Value;

use super::document::{Document, lines};
use super::load::LoadError;
use super::repeats::{self, Repeat};
use super::{Input, kinds, list};
use crate::path::FieldPath;
use crate::yaml::{self, Arena};

/// Takes the objects of a document into `input`. What is in the arena goes.
pub(super) fn read(
    input: &mut Input,
    mut document: Document,
    namespace: &str,
    arena: &mut Arena,
) -> Vec<LoadError> {
    arena.reset();
    if let Err(error) = json(&document) {
        return vec![error];
    }
    if let Some((items, mut errors)) = list::items_of(&document, arena) {
        errors.extend(items.into_iter().flat_map(|item| read(input, item, namespace, arena)));
        return errors;
    }
    let mut is_repeated = false;
    // The document goes into the input while its tree is read.
    let file = document.file.clone();
    let root = yaml::quick(&file.text, document.range.clone(), arena);
    let quick = root.as_ref().and_then(|node| node.to_tree(arena, &mut is_repeated));
    // The complete reader takes repeated keys without a word.
    let may_repeat = is_repeated || quick.is_none();
    document.is_ordinary = !may_repeat;
    let value;
    let tree = match quick {
        Some(tree) => tree,
        None => {
            value = match slow(&document) {
                Ok(value) => value,
                Err(error) => return vec![error],
            };
            Tree::of(&value, arena)
        }
    };
    let repeats = if may_repeat {
        let root = root.or_else(|| yaml::complete(&file.text, document.range.clone(), arena));
        root.map(|root| repeats::repeats(&document, &root)).unwrap_or_default()
    } else {
        Vec::new()
    };
    let mut taker = Taker { input, namespace, arena, repeats: &repeats, errors: Vec::new() };
    taker.take(document, &tree);
    taker.errors
}

fn slow(document: &Document) -> Result<Value, LoadError> {
    let text = document.text();
    if let Some(at) = sagene_api::yaml::too_deep(text) {
        let (line, column) = (lines(&text[..at]) + 1, text[..at].rsplit('\n').next().map_or(0, str::len) + 1);
        let problem = format!(
            "more than {} brackets are open; no object is nested so deeply",
            sagene_api::yaml::DEEPEST_NESTING
        );
        return Err(problem_at(document, line, column, problem));
    }
    if is_json(document) {
        return serde_json::from_str(text).map_err(|error| json_error(document, &error));
    }
    sagene_api::yaml::value(text).map_err(|error| yaml_error(document, &error))
}

fn is_json(document: &Document) -> bool {
    document.file.name.ends_with(".json") && document.text().trim_start().starts_with('{')
}

/// What is called JSON must be JSON: YAML takes words without quotes, other tools do not.
fn json(document: &Document) -> Result<(), LoadError> {
    if !is_json(document) {
        return Ok(());
    }
    let read = serde_json::from_str::<serde::de::IgnoredAny>(document.text());
    read.map(drop).map_err(|error| json_error(document, &error))
}

fn json_error(document: &Document, error: &serde_json::Error) -> LoadError {
    let words = error.to_string();
    let problem = words.split(" at line ").next().unwrap_or_default().to_owned();
    problem_at(document, error.line(), error.column(), problem)
}

fn yaml_error(document: &Document, error: &serde_yaml::Error) -> LoadError {
    let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
    let mut problem = in_file(&error.to_string(), document.first_line(), line);
    let wrong = document.text().lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indentation = &wrong[..wrong.len() - wrong.trim_start().len()];
    if document.text().contains("{{") {
        problem.push_str(" (this looks like a template: render it first, for example with helm template)");
    } else if indentation.contains('\t') {
        problem.push_str(" (YAML is indented with blanks, not with tabs)");
    }
    problem_at(document, line, column, problem)
}

/// The parser's words without the place they are about, and with lines of the file in place of lines of the document.
fn in_file(words: &str, first_line: usize, line: usize) -> String {
    let mut text = String::new();
    let mut parts = words.split(" at line ");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        let number: usize = number.parse().unwrap_or(1);
        let rest = rest
            .strip_prefix(" column ")
            .map_or(rest, |column| column.trim_start_matches(|character: char| character.is_ascii_digit()));
        if number != line {
            text.push_str(&format!(" at line {}", first_line + number - 1));
        }
        text.push_str(rest);
    }
    text
}

/// An error at a line and column of a document; those of its first line count from where it begins.
fn problem_at(document: &Document, line: usize, column: usize, problem: String) -> LoadError {
    let text = &document.file.text;
    // What is missing at the end is missed at the end of the last line, not below it.
    let content = document.text().trim_end();
    let last = lines(content) + 1;
    let (line, column) = if line > last {
        (last, content.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1)
    } else {
        (line, column)
    };
    let start = text[..document.range.start].rfind('\n').map_or(0, |at| at + 1);
    let before = if line <= 1 { text[start..document.range.start].chars().count() } else { 0 };
    LoadError {
        file: document.file.name.to_string(),
        line: document.first_line() + line.saturating_sub(1),
        column: before + column.max(1),
        problem,
    }
}

/// Takes objects out of one document.
struct Taker<'r> {
    input: &'r mut Input,
    namespace: &'r str,
    arena: &'r Arena,
    repeats: &'r [Repeat],
    errors: Vec<LoadError>,
}

impl Taker<'_> {
    /// An object or, of lists that the quick reader does not know, their items.
    fn take(&mut self, document: Document, tree: &Tree<'_>) {
        if tree.is_null() {
            return;
        }
        let (api_version, kind) = (tree.text("apiVersion"), tree.text("kind"));
        if kind.is_empty() || api_version.is_empty() {
            self.errors.push(no_object(&document, api_version, kind));
            return;
        }
        if kind.ends_with("List")
            && let Some(items) = tree.get("items").and_then(Tree::as_list)
        {
            self.errors.extend(repeats::of_list(&document, self.repeats));
            for (index, item) in items.iter().enumerate() {
                let named = list::with_type(item, api_version, kind, self.arena);
                let mut inner = document.clone();
                inner.prefix = FieldPath::parse("items").index(index).below(&document.prefix);
                self.take(inner, named.as_ref().unwrap_or(item));
            }
            return;
        }
        if self.repeats.is_empty() {
            kinds::insert(self.input, Some(document), tree, self.namespace);
            return;
        }
        let of = Arc::new(document.clone());
        let object = kinds::insert(self.input, Some(document), tree, self.namespace);
        let found = self.repeats.iter().filter_map(|repeat| repeat.message(&object, &of.prefix));
        self.input.problems.extend(found.map(|message| message.in_document(&of)));
    }
}

fn no_object(document: &Document, api_version: &str, kind: &str) -> LoadError {
    let missing = match (api_version.is_empty(), kind.is_empty()) {
        (true, true) => "no Kubernetes object: apiVersion and kind must be set",
        (true, false) => "apiVersion must be set",
        _ => "kind must be set",
    };
    let place = super::locate(document, &FieldPath::default());
    let (line, column) = (place.line, place.column);
    LoadError { file: place.file.to_string(), line, column, problem: missing.to_owned() }
}
