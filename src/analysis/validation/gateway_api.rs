//! Rules of the Gateway API's kinds: what the API server refuses by their definitions. `validate` alone tells of them: on a cluster these
//! kinds belong to whoever installed them.
//!
//! Source of the rules: the Gateway API's reference. Fields of the experimental channel are known too: which channel a cluster has is not
//! written in a file.

mod definitions;
mod filters;
mod gateway;
mod policies;
mod references;
mod routes;
mod schema;
mod streams;

use std::collections::BTreeMap;

use serde_json::Value;

use super::nearest::hint;
use super::shape::{self, Expected};
use super::{Problem, Report};
use crate::checks::schema as messages;
use crate::input::{Document, Input, Overlaid};
use crate::message::{Message, ObjectRef};
use crate::path::{FieldPath, Step};
use crate::yaml;

/// What is wrong with the objects of the Gateway API in files, beyond what reading them told.
pub fn problems(input: &Input) -> Vec<Message> {
    let mut told: BTreeMap<&ObjectRef, Vec<&Message>> = BTreeMap::new();
    for message in &input.problems {
        told.entry(&message.object).or_default().push(message);
    }
    let mut found = Vec::new();
    for (document, objects) in by_document(input) {
        let Some(whole) = written(document) else { continue };
        for (object, place) in objects {
            let of_object = told.get(object).map(Vec::as_slice).unwrap_or_default();
            let problems = at(&whole, place).map(of).unwrap_or_default().into_iter();
            let new = problems.filter(|problem| !of_object.iter().any(|message| is_told(problem, message)));
            found.extend(new.map(|problem| messages::message(object.clone(), problem)));
        }
    }
    for Overlaid { object, document, .. } in &input.overlaid {
        let of_document = |message: &&&Message| message.document.as_ref() == Some(document);
        let of_object = told.get(object).map(Vec::as_slice).unwrap_or_default();
        let problems = written(document).as_ref().and_then(|whole| at(whole, &document.prefix)).map(of);
        let is_new = |problem: &Problem| {
            !of_object.iter().filter(of_document).any(|message| is_told(problem, message))
        };
        let new = problems.unwrap_or_default().into_iter().filter(is_new);
        found.extend(new.map(|problem| messages::message(object.clone(), problem).in_document(document)));
    }
    found
}

/// Objects by the texts they stand in: each is read once, however many objects a list has.
fn by_document(input: &Input) -> Vec<(&Document, Vec<(&ObjectRef, &FieldPath)>)> {
    let mut texts: BTreeMap<(&str, usize), (&Document, Vec<(&ObjectRef, &FieldPath)>)> = BTreeMap::new();
    for (object, document) in &input.sources {
        let text = texts.entry((&document.file.name, document.range.start));
        text.or_insert_with(|| (document, Vec::new())).1.push((object, &document.prefix));
    }
    texts.into_values().collect()
}

/// True where a document may have an object of the Gateway API.
pub(crate) fn is_mentioned(document: &Document) -> bool {
    memchr::memmem::find(document.text().as_bytes(), b"gateway.networking.").is_some()
}

/// A document as it was written, where it may have such an object.
fn written(document: &Document) -> Option<Value> {
    if !is_mentioned(document) {
        return None;
    }
    let text = document.text();
    let arena = yaml::Arena::new();
    let quick = yaml::quick(&document.file.text, document.range.clone(), &arena);
    quick.and_then(|node| node.to_value()).or_else(|| sagene_api::yaml::value(text).ok())
}

fn at<'v>(whole: &'v Value, place: &FieldPath) -> Option<&'v Value> {
    place.steps().try_fold(whole, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

/// The broken rules of an object as it was written; none for kinds of others.
fn of(object: &Value) -> Vec<Problem> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind");
    let Some((group, version)) = text("apiVersion").split_once('/') else { return Vec::new() };
    let Some(definition) = definitions::of(group, kind) else { return nearly(group, kind) };
    let shape = definition.shape(version);
    let mut object = object.clone();
    if let Some(spec) = object.get_mut("spec") {
        schema::fill(&shape.schema, spec);
    }
    let expected = Expected {
        group: definition.group,
        kind: definition.kind,
        versions: definition.versions,
        node: &shape.node,
        is_spec_required: true,
    };
    shape::of_object(&object, &expected, version)
}

/// A kind that is nearly one of the group's; later releases may have more of them.
fn nearly(group: &str, kind: &str) -> Vec<Problem> {
    let near = hint(kind, definitions::kinds(group));
    let mut report = Report::new();
    if !near.is_empty() {
        report.error(&FieldPath::parse("kind"), format!("{group} has no kind {kind:?}{near}"));
    }
    report.finish()
}

/// Whether reading told the same. Of names that are missing it tells at `metadata`.
fn is_told(problem: &Problem, message: &Message) -> bool {
    let metadata = FieldPath::parse("metadata");
    let is_name = message.path == metadata && problem.path == metadata.key("name");
    is_name || shape::is_told(&problem.path, &message.path, &message.text)
}

#[cfg(test)]
mod tests;
