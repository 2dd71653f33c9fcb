//! Objects that a later document tells otherwise. They count no more, but every document is judged: whoever applies the file applies all
//! of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Input;
use super::document::Document;
use crate::checks::schema;
use crate::message::{Message, ObjectRef};
use crate::validation::rules_of;
use crate::validation::shape::is_told;

/// An object, and the document that told it.
#[derive(Debug, Clone)]
pub struct Overlaid {
    pub(crate) object: ObjectRef,
    pub(crate) document: Arc<Document>,
    /// `null` of objects of the Gateway API: `validate` alone judges these, by their documents.
    pub(super) value: Value,
}

/// Tells what is wrong with them beyond their shape, of which reading them told already.
pub(super) fn judge(input: &mut Input) {
    let all = std::mem::take(&mut input.overlaid).into_iter();
    let overlaid: Vec<Overlaid>;
    (overlaid, input.overlaid) = all.partition(|it| !it.value.is_null());
    if overlaid.is_empty() {
        return;
    }
    let mut told: BTreeMap<&ObjectRef, Vec<&Message>> = BTreeMap::new();
    for message in &input.problems {
        told.entry(&message.object).or_default().push(message);
    }
    let mut found = Vec::new();
    for Overlaid { object, document, value } in overlaid {
        let of_object = told.get(&object).map(Vec::as_slice).unwrap_or_default();
        let own: Vec<&&Message> =
            of_object.iter().filter(|it| it.document.as_ref() == Some(&document)).collect();
        let mut problems = rules_of(&value);
        problems.retain(|problem| !own.iter().any(|it| is_told(&problem.path, &it.path, &it.text)));
        let messages = problems.into_iter().map(|problem| schema::message(object.clone(), problem));
        found.extend(messages.map(|message| message.in_document(&document)));
    }
    input.problems.extend(found);
}
