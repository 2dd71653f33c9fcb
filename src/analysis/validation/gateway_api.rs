//! Rules of the Gateway API's kinds: what the API server refuses by their definitions. `validate` alone tells of them: on a cluster these
//! kinds belong to whoever installed them.
//!
//! Source of the rules: the Gateway API's reference, standard channel. Fields that the mesh does not read are taken as they are.

mod rules;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sagene_api::gateway_api::crd;
use serde_json::{Value, json};

use super::Problem;
use super::shape::{self, Node};
use crate::checks::schema;
use crate::input::{Document, Input};
use crate::message::Message;
use crate::path::Step;

/// The group of the kinds.
const GROUP: &str = "gateway.networking.k8s.io";

/// The shape of each kind's `spec`.
static SHAPES: LazyLock<BTreeMap<String, Node>> = LazyLock::new(|| {
    let shapes = crd::all().into_iter().filter_map(|mut definition| {
        let kind = definition["spec"]["names"]["kind"].as_str()?.to_owned();
        let spec = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec")?;
        open(spec);
        rules::add(&kind, spec);
        let node = shape::node(spec);
        Some((kind, node))
    });
    shapes.collect()
});

/// What is wrong with the objects of the Gateway API in files.
pub fn problems(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for (object, document) in &input.sources {
        // Where nothing is of the Gateway API, no shape is made.
        let Some(written) = written(document) else { continue };
        let Some(node) = SHAPES.get(&*object.kind) else { continue };
        let spec = written.get("spec").cloned().unwrap_or_else(|| json!({}));
        let problems = shape::of_spec(node, &spec);
        let told = |problem: &Problem| {
            let of_object = input.problems.iter().filter(|message| message.object == *object);
            of_object.into_iter().any(|message| shape::is_told(&problem.path, &message.path, &message.text))
        };
        let new = problems.into_iter().filter(|problem| !told(problem));
        messages.extend(new.map(|problem| schema::message(object.clone(), problem)));
    }
    messages
}

/// The object of a document as it was written, where it is one of the Gateway API's.
fn written(document: &Document) -> Option<Value> {
    memchr::memmem::find(document.text().as_bytes(), GROUP.as_bytes())?;
    let mut value: Value = serde_yaml::from_str(document.text()).ok()?;
    for step in document.prefix.steps() {
        value = match step {
            Step::Key(key) => value.get_mut(key)?.take(),
            Step::Index(index) => value.get_mut(index)?.take(),
        };
    }
    let group = value.get("apiVersion")?.as_str()?.split('/').next()?;
    (group == GROUP).then_some(value)
}

/// Objects may have more fields than the mesh reads.
fn open(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if fields.contains_key("properties") {
        fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
    for (_, inner) in fields.iter_mut() {
        match inner {
            Value::Object(_) => open(inner),
            Value::Array(items) => items.iter_mut().for_each(open),
            _ => {}
        }
    }
}

/// The schema of a field: `listeners[].tls.mode`.
fn at<'s>(schema: &'s mut Value, place: &str) -> Option<&'s mut Value> {
    place.split('.').filter(|name| !name.is_empty()).try_fold(schema, |schema, name| {
        let (name, is_item) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let field = schema.get_mut("properties")?.get_mut(name)?;
        if is_item { field.get_mut("items") } else { Some(field) }
    })
}

#[cfg(test)]
mod tests;
