//! The same analysis after a change of a live cluster, at the price of what changed: only analyzers that read a changed kind run again
//! and, of these, those that judge objects one by one look at the changed objects alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sagene_model::{Kind, Snapshot};
use serde_json::{Value, json};

use crate::checks::{Check, schema};
use crate::input::Input;
use crate::message::{Message, ObjectRef};
use crate::needs;

/// What became of an object.
#[derive(Debug, Clone)]
pub enum Event {
    /// It exists, and looks so now.
    Applied(Value),
    /// It is gone; this is how it looked last.
    Deleted(Value),
    /// All objects of a kind, after changes that nobody saw.
    Replaced {
        /// `group/version` of the kind.
        api_version: String,
        /// The kind.
        kind: String,
        /// Where they are; `None` for all namespaces.
        namespace: Option<String>,
        /// The objects.
        items: Vec<Value>,
    },
}

/// What a change did to the findings, in the order of output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Findings that were not there before.
    pub found: Vec<Message>,
    /// Findings that are not there any more.
    pub resolved: Vec<Message>,
}

/// An analysis that is kept, to be brought up to date.
pub struct Analysis {
    input: Input,
    checks: Vec<&'static Check>,
    /// What each check found, in the order of `checks`.
    found: Vec<Vec<Message>>,
    /// The problems of reading that belong to the checks.
    problems: Vec<Message>,
}

/// The objects that changed, by kind.
type Changes = BTreeMap<Kind, BTreeSet<ObjectRef>>;

impl Analysis {
    /// The findings of now.
    pub fn new(input: Input, checks: Vec<&'static Check>) -> Self {
        let found = crate::run::each(&input, &checks);
        let problems = schema::problems_for(&input, &checks).cloned().collect();
        Self { input, checks, found, problems }
    }

    /// What is analysed.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// All findings, in the order of output.
    pub fn findings(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.found.iter().flatten().chain(&self.problems).cloned().collect();
        crate::order::sort(&mut messages);
        messages
    }

    /// Takes in what happened, and says what it did to the findings. Objects that a file holds stay as the file has them.
    pub fn apply(&mut self, events: Vec<Event>) -> Difference {
        let mut changes = Changes::new();
        for event in events {
            for (value, is_there) in self.single(event) {
                if let Some((kind, object)) = self.input.change_live(&value, is_there) {
                    changes.entry(kind).or_default().insert(object);
                }
            }
        }
        self.judge_again(&changes)
    }

    /// Takes another state of the mesh, and says what it did to the findings. What both states share is not looked at.
    pub fn advance(&mut self, snapshot: Snapshot) -> Difference {
        let changes = self.input.advance(snapshot);
        self.judge_again(&changes)
    }

    fn judge_again(&mut self, changes: &Changes) -> Difference {
        let mut difference = Difference::default();
        if changes.is_empty() {
            return difference;
        }
        for (check, found) in self.checks.iter().zip(&mut self.found) {
            if let Some(now) = again(&self.input, check, changes, found) {
                difference.add(found, &now);
                *found = now;
            }
        }
        let problems = schema::problems_for(&self.input, &self.checks).cloned().collect::<Vec<_>>();
        difference.add(&self.problems, &problems);
        self.problems = problems;
        crate::order::sort(&mut difference.found);
        crate::order::sort(&mut difference.resolved);
        difference
    }
}

impl Analysis {
    /// An event as changes of single objects, each with whether the object is there.
    fn single(&self, event: Event) -> Vec<(Value, bool)> {
        let (api_version, kind, namespace, items) = match event {
            Event::Applied(value) => return vec![(value, true)],
            Event::Deleted(value) => return vec![(value, false)],
            Event::Replaced { api_version, kind, namespace, items } => (api_version, kind, namespace, items),
        };
        let name = |item: &Value, key: &str| item["metadata"][key].as_str().unwrap_or_default().to_owned();
        let there: BTreeSet<(String, String)> =
            items.iter().map(|item| (name(item, "namespace"), name(item, "name"))).collect();
        let known = self.input.names_of(&api_version, &kind);
        let gone = known.into_iter().filter(|(place, own)| {
            namespace.as_ref().is_none_or(|namespace| namespace == place)
                && !there.contains(&(place.clone(), own.clone()))
        });
        let deleted = gone.map(|(namespace, name)| {
            let metadata = json!({"namespace": namespace, "name": name});
            (json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}), false)
        });
        deleted.chain(items.iter().cloned().map(|item| (item, true))).collect()
    }
}

/// What a check finds now; `None` where nothing that it reads has changed.
fn again(input: &Input, check: &Check, changes: &Changes, before: &[Message]) -> Option<Vec<Message>> {
    let mut changed = changes.keys().filter(|kind| needs::of(check).contains(kind)).peekable();
    changed.peek()?;
    let alone = needs::judged_alone(check);
    if !changed.all(|kind| alone.contains(kind)) {
        return Some(check.run(input));
    }
    let part = input.narrowed(alone, changes);
    let is_changed = |message: &Message| {
        alone.iter().any(|kind| changes.get(kind).is_some_and(|it| it.contains(&message.object)))
    };
    let mut now: Vec<Message> = before.iter().filter(|message| !is_changed(message)).cloned().collect();
    now.extend(check.run(&part).into_iter().filter(is_changed));
    Some(now)
}

impl Difference {
    fn add(&mut self, before: &[Message], now: &[Message]) {
        let had: HashSet<&Message> = before.iter().collect();
        let has: HashSet<&Message> = now.iter().collect();
        self.found.extend(has.difference(&had).map(|message| (*message).clone()));
        self.resolved.extend(had.difference(&has).map(|message| (*message).clone()));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::STATES;
