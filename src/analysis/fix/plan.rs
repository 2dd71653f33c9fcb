//! From findings to changed files. Every change is tried: one after which something new is found that weighs as much is not made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Fix;
use super::edit::{Edit, apply};
use super::rules::answer_to;
use super::site::Site;
use crate::input::{Input, load};
use crate::message::Message;
use crate::yaml::Arena;

/// Rounds of fixing what the round before brought to light.
const MOST_ROUNDS: usize = 4;
/// Most fixes that are tried one by one where together they do harm.
const MOST_SINGLE: usize = 64;

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its name as the user gave it.
    pub name: Arc<str>,
    /// Its text as it was read.
    pub before: String,
    /// Its text with all fixes.
    pub after: String,
    /// What was changed, in the order of the findings.
    pub fixes: Vec<Fix>,
}

/// The changes that answer `messages`, which were found in `input` by `analyze`, and what is found after them. Objects without a namespace
/// get `namespace`.
pub fn plan(
    input: &Input,
    messages: &[Message],
    namespace: &str,
    analyze: &dyn Fn(&Input) -> Vec<Message>,
) -> (Vec<FileChange>, Vec<Message>) {
    let reported: BTreeSet<Key> = messages.iter().flat_map(keys).collect();
    let mut last = analyze(input);
    let before: BTreeSet<Key> = last.iter().flat_map(keys).collect();
    let mut known = before.clone();
    let mut state = State { input: input.clone(), changes: BTreeMap::new(), namespace };
    let mut open: Vec<Message> = messages.to_vec();
    // What the fixes brought about is theirs to answer, too.
    let is_ours = |message: &Message| is_among(&reported, message) || !is_among(&before, message);
    for _ in 0..MOST_ROUNDS {
        let fixes = apart(open.iter().filter_map(|message| fix(&state.input, message)));
        if fixes.is_empty() {
            break;
        }
        let found = match state.tried(&fixes, &known, analyze) {
            Some((next, found)) => {
                state = next;
                found
            }
            None => {
                let (next, found) = one_by_one(state, open, &known, analyze, &is_ours);
                state = next;
                found
            }
        };
        known = found.iter().flat_map(keys).collect();
        open = found.iter().filter(|message| is_ours(message)).cloned().collect();
        last = found;
    }
    (state.changes.into_values().filter(|change| change.before != change.after).collect(), last)
}

/// What makes two findings the same: the words, which stay where elements move, or the field, which stays where the words change.
type Key = (crate::Code, crate::ObjectRef, String);

fn keys(message: &Message) -> [Key; 2] {
    let key = |what: String| (message.code, message.object.clone(), what);
    [key(message.text.clone()), key(format!("\u{0}{}", message.path))]
}

fn is_among(known: &BTreeSet<Key>, message: &Message) -> bool {
    keys(message).iter().any(|key| known.contains(key))
}

/// The answer to one finding, if there is a safe one.
fn fix(input: &Input, message: &Message) -> Option<Fix> {
    if message.cluster.is_some() {
        return None;
    }
    let document = input.document(message)?;
    let arena = Arena::new();
    let site = Site::of(document, &arena)?;
    let answer = answer_to(input, message, &site)?;
    Some(Fix {
        code: message.code,
        object: message.object.clone(),
        file: answer.file.unwrap_or_else(|| document.file.name.clone()),
        description: answer.description,
        edits: answer.edits,
    })
}

/// Fixes whose edits do not meet; of two that do, the first. Equal ones are one.
fn apart(fixes: impl Iterator<Item = Fix>) -> Vec<Fix> {
    let mut taken: BTreeMap<Arc<str>, Vec<Edit>> = BTreeMap::new();
    let mut kept = Vec::new();
    for fix in fixes {
        let edits = taken.entry(fix.file.clone()).or_default();
        if fix.edits.iter().any(|edit| edits.iter().any(|other| edit.meets(other))) {
            continue;
        }
        edits.extend(fix.edits.iter().cloned());
        kept.push(fix);
    }
    kept
}

#[derive(Clone)]
struct State<'n> {
    input: Input,
    changes: BTreeMap<Arc<str>, FileChange>,
    namespace: &'n str,
}

impl<'n> State<'n> {
    /// What is found after some fixes; `None` where something new is that weighs as much as one of the findings they answer.
    fn tried(
        &self,
        fixes: &[Fix],
        known: &BTreeSet<Key>,
        analyze: &dyn Fn(&Input) -> Vec<Message>,
    ) -> Option<(Self, Vec<Message>)> {
        let next = self.changed(fixes)?;
        let found = analyze(&next.input);
        let least = fixes.iter().map(|fix| fix.code.level()).max()?;
        let is_worse = |message: &Message| message.level() <= least && !is_among(known, message);
        if found.iter().any(is_worse) { None } else { Some((next, found)) }
    }

    /// The same with some fixes made; `None` where a file cannot be read any more.
    fn changed(&self, fixes: &[Fix]) -> Option<Self> {
        let mut next = self.clone();
        let mut by_file: BTreeMap<Arc<str>, Vec<&Fix>> = BTreeMap::new();
        for fix in fixes {
            by_file.entry(fix.file.clone()).or_default().push(fix);
        }
        for (name, fixes) in by_file {
            let source =
                next.input.sources.values().find(|document| document.file.name == name)?.file.clone();
            let edits: Vec<Edit> = fixes.iter().flat_map(|fix| fix.edits.iter().cloned()).collect();
            let after = apply(&source.text, &edits);
            let change = next.changes.entry(name.clone()).or_insert_with(|| FileChange {
                name: name.clone(),
                before: source.text.clone(),
                after: String::new(),
                fixes: Vec::new(),
            });
            change.after.clone_from(&after);
            change.fixes.extend(fixes.into_iter().cloned());
            let unreadable =
                |text: &str| load(&mut Input::default(), &name, text.to_owned(), self.namespace).len();
            if unreadable(&after) > unreadable(&source.text) {
                return None;
            }
            next.input.forget_file(&name);
            load(&mut next.input, &name, after, self.namespace);
        }
        Some(next)
    }
}

/// Each fix on its own, over those before that did no harm.
fn one_by_one<'n>(
    mut state: State<'n>,
    mut open: Vec<Message>,
    known: &BTreeSet<Key>,
    analyze: &dyn Fn(&Input) -> Vec<Message>,
    is_ours: &dyn Fn(&Message) -> bool,
) -> (State<'n>, Vec<Message>) {
    let mut found = analyze(&state.input);
    let mut tried = BTreeSet::new();
    for _ in 0..MOST_SINGLE {
        let Some(message) = open.iter().find(|message| tried.insert(keys(message))) else { break };
        let Some(fix) = fix(&state.input, message) else { continue };
        let Some((next, after)) = state.tried(&[fix], known, analyze) else { continue };
        state = next;
        // Findings and edits point into a text: those that are left are found anew in the text as it is by now.
        open = after.iter().filter(|message| is_ours(message)).cloned().collect();
        found = after;
    }
    (state, found)
}
