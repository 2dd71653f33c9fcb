//! The shape of an object of Istio: every rule of its CustomResourceDefinition, and fields that it does not have.

mod compile;
mod words;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use sagene_api::Tree;
use sagene_api::istio::crd::{self, DefinedKind};
use sagene_cel::Binding;
use serde_json::Value;

use super::nearest::{hint, nearest};
use super::{Problem, Report};
use super::{annotations, metadata};
use crate::needs::REMOVED_GROUPS;
use crate::path::{FieldPath, Step};
use crate::yaml::Arena;
pub(super) use compile::Node;
use compile::{Check, Kind, Rule};
use words::{duration_problem, mismatch};

/// Fields of an object.
const TOP: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
/// Groups whose kinds are all known.
const GROUPS: &[&str] =
    &["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"];

/// The least whole number that has no room in the 64 bits of the API server's.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// Ends what is said of a field that is not there.
const REQUIRED: &str = " is required";

/// What is known of a kind.
struct Definition {
    defined: &'static DefinedKind,
    /// Made when the first object of the kind is seen.
    node: OnceLock<Node>,
}

impl Definition {
    fn expected(&self) -> Expected<'_> {
        let DefinedKind { group, kind, versions, .. } = *self.defined;
        let node = self.node.get_or_init(|| Node::of(self.defined.spec()));
        Expected { group, kind, versions, node, is_spec_required: self.defined.is_spec_required() }
    }
}

/// What an object is held against.
pub(super) struct Expected<'k> {
    pub(super) group: &'k str,
    pub(super) kind: &'k str,
    /// Versions that are served.
    pub(super) versions: &'k [&'k str],
    /// The shape of `spec`.
    pub(super) node: &'k Node,
    /// Whether an object must have a `spec`.
    pub(super) is_spec_required: bool,
}

/// By group and kind.
static DEFINITIONS: LazyLock<BTreeMap<(&str, &str), Definition>> = LazyLock::new(|| {
    let of = |defined: &'static DefinedKind| {
        ((defined.group, defined.kind), Definition { defined, node: OnceLock::new() })
    };
    crd::kinds().iter().map(of).collect()
});

/// The broken rules of an object as it was written; none for kinds that are not Istio's.
pub(crate) fn problems(object: &Value) -> Vec<Problem> {
    problems_of_tree(&Tree::of(object, &Arena::new()))
}

/// The same of a tree.
pub(crate) fn problems_of_tree(object: &Tree<'_>) -> Vec<Problem> {
    let (api_version, kind) = (object.text("apiVersion"), object.text("kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let mut walk = Walk { report: Report::new(), place: Vec::new() };
    if !GROUPS.contains(&group) {
        if let Some(meant) = misplaced(api_version, group, kind) {
            walk.place.push(Step::Key("apiVersion"));
            walk.error(format!("there is no {kind} in {api_version}; use {meant}"));
        }
        return walk.report.finish();
    }
    match DEFINITIONS.get(&(group, kind)) {
        Some(definition) => walk.object(object, &definition.expected(), version),
        None => {
            let kinds = DEFINITIONS.keys().filter(|(of, _)| *of == group).map(|(_, kind)| *kind);
            walk.place.push(Step::Key("kind"));
            walk.error(format!("{group} has no kind {kind:?}{}", hint(kind, kinds)));
        }
    }
    walk.report.finish()
}

/// The shape that a schema describes.
pub(super) fn node(schema: &Value) -> Node {
    Node::of(schema)
}

/// What of an object breaks the shape of its kind.
pub(super) fn of_object(object: &Value, expected: &Expected<'_>, version: &str) -> Vec<Problem> {
    let mut walk = Walk { report: Report::new(), place: Vec::new() };
    let arena = Arena::new();
    walk.object(&Tree::of(object, &arena), expected, version);
    walk.report.finish()
}

/// True where what breaks a rule at `path` follows from what is told of `told` already: the same field, or one of something that is not
/// there.
pub(crate) fn is_told(path: &FieldPath, told: &FieldPath, message: &str) -> bool {
    path.within(told).is_some_and(|rest| rest.is_empty() || message.ends_with(REQUIRED))
}

/// The `apiVersion` that was meant where a kind of Istio's stands in a group that is nearly, or no, group.
fn misplaced(api_version: &str, group: &str, kind: &str) -> Option<String> {
    // Gateways, sidecars and policies are in other groups too: only what cannot be another's counts.
    let defined = crd::kinds().iter().find(|defined| defined.kind == kind)?;
    let home = defined.group;
    let is_core = group.is_empty() && api_version == "v1";
    let is_meant = is_core || api_version == home || nearest(group, [home]).is_some();
    let own = group.ends_with(".istio.io") && !REMOVED_GROUPS.contains(&group);
    if !is_meant && !own {
        return None;
    }
    Some(format!("{home}/{}", defined.versions.first()?))
}

/// True for an object of a kind that Istio defines; all of them live in namespaces.
pub(crate) fn is_known(object: &Tree<'_>) -> bool {
    let group = object.text("apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    GROUPS.contains(&group) && DEFINITIONS.contains_key(&(group, object.text("kind")))
}

/// True for bytes as protobuf's JSON has them: base64 of either alphabet, with its padding or without.
fn is_in_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let is_whole =
        if digits.len() == text.len() { digits.len() % 4 != 1 } else { text.len().is_multiple_of(4) };
    is_whole && text.len() - digits.len() < 3 && digits.bytes().all(fits)
}

struct Walk<'v> {
    report: Report,
    place: Vec<Step<'v>>,
}

impl<'v> Walk<'v> {
    fn path(&self) -> FieldPath {
        self.place.iter().copied().collect()
    }

    fn error(&mut self, message: impl Into<String>) {
        let path = self.path();
        self.report.error(&path, message);
    }

    fn within(&mut self, step: Step<'v>, check: impl FnOnce(&mut Self)) {
        self.place.push(step);
        check(self);
        self.place.pop();
    }

    fn object(&mut self, object: &Tree<'v>, expected: &Expected<'_>, version: &str) {
        let Expected { group, kind, versions, .. } = expected;
        if !versions.contains(&version) {
            let known = versions.join(", ");
            self.within(Step::Key("apiVersion"), |walk| {
                walk.error(format!("{kind} is not served as {group}/{version}; use one of {known}"));
            });
        }
        let Some(fields) = object.as_map() else { return };
        self.known(fields, TOP);
        let metadata = object.get("metadata").filter(|metadata| metadata.as_map().is_some());
        if let Some(fields) = metadata.and_then(Tree::as_map) {
            self.within(Step::Key("metadata"), |walk| walk.known(fields, metadata::FIELDS));
        }
        metadata::rules(&mut self.report, metadata);
        if GROUPS.contains(group) {
            annotations::rules(&mut self.report, object, kind);
        }
        match object.get("spec") {
            Some(spec) if !spec.is_null() => {
                self.within(Step::Key("spec"), |walk| walk.node(expected.node, spec));
            }
            _ if expected.is_spec_required => {
                self.within(Step::Key("spec"), |walk| walk.error("is required"))
            }
            _ => {}
        }
    }

    fn known(&mut self, fields: &[(&'v str, Tree<'v>)], known: &[&str]) {
        for (name, _) in fields.iter().filter(|(name, _)| !known.contains(name)) {
            self.within(Step::Key(name), |walk| walk.unknown(name, known.iter().copied()));
        }
    }

    fn unknown<'c>(&mut self, name: &str, known: impl Iterator<Item = &'c str>) {
        self.error(format!("unknown field {name:?}{}", hint(name, known)));
    }

    fn node(&mut self, node: &Node, value: &Tree<'v>) {
        // `null` means that the field is not there.
        if value.is_null() {
            return;
        }
        let before = self.report.problems.len();
        let fits = match (&node.kind, value) {
            (Kind::Any, _) => true,
            (Kind::Object { fields, required, open }, Tree::Map(map)) => {
                self.fields(fields, required, *open, map);
                true
            }
            (Kind::Map { item, least, most }, Tree::Map(map)) => {
                self.at_most(map.len(), *most, "entries");
                if least.is_some_and(|least| (map.len() as u64) < least) {
                    self.error("must not be empty");
                }
                for (name, value) in *map {
                    self.within(Step::Key(name), |walk| walk.present(item, value));
                }
                true
            }
            (Kind::List { item, least, most, keys }, Tree::List(items)) => {
                self.list(item, *least, *most, keys, items);
                true
            }
            (Kind::Text { least, most, is_base64 }, Tree::Text(text)) => {
                self.text(node, text, *least, *most);
                if *is_base64 && !is_in_base64(text) {
                    self.error("is not base64, as in aGVsbG8=");
                }
                true
            }
            (Kind::Integer { least, most }, Tree::Number(number)) => {
                let is_whole = number.as_f64().is_some_and(|number| number.fract() == 0.0);
                if is_whole && number.as_f64().is_some_and(|number| number.abs() >= TOO_LARGE) {
                    self.error(format!("{number} is out of range; want a whole number of 64 bits"));
                } else if is_whole {
                    self.bounds(number.as_f64(), *least, *most);
                }
                is_whole
            }
            (Kind::Number { least, most }, Tree::Number(number)) => {
                self.bounds(number.as_f64(), *least, *most);
                true
            }
            (Kind::Boolean, Tree::Bool(_)) | (Kind::IntegerOrText, Tree::Number(_) | Tree::Text(_)) => true,
            _ => false,
        };
        if !fits {
            self.error(mismatch(node, value));
            return;
        }
        // A value that is out of its bounds breaks rules about the same.
        let is_told = !node.rules.is_empty() && self.is_told_since(before);
        let repeated = self.alternatives(node, value);
        if !is_told {
            self.rules(node, value, &repeated);
        }
    }

    /// Whether something was told of this very place.
    fn is_told_since(&self, before: usize) -> bool {
        let new = &self.report.problems[before..];
        !new.is_empty() && {
            let own = self.path();
            new.iter().any(|problem| problem.path == own)
        }
    }

    /// A value that must be there: an element of a list or a mapping.
    fn present(&mut self, node: &Node, value: &Tree<'v>) {
        if value.is_null() {
            self.error("must not be null");
        }
        self.node(node, value);
    }

    fn fields(
        &mut self,
        fields: &BTreeMap<String, Node>,
        required: &[String],
        open: bool,
        map: &[(&'v str, Tree<'v>)],
    ) {
        for (name, value) in map {
            self.within(Step::Key(name), |walk| match fields.get(*name) {
                Some(node) => walk.node(node, value),
                None if open => {}
                None => walk.unknown(name, fields.keys().map(String::as_str)),
            });
        }
        let is_set = |name: &&String| map.iter().any(|(key, value)| key == name && !value.is_null());
        for name in required.iter().filter(|name| !is_set(name)) {
            let path = self.path().key(name);
            self.report.error(&path, format!("{name}{REQUIRED}"));
        }
    }

    fn list(
        &mut self,
        item: &Node,
        least: Option<u64>,
        most: Option<u64>,
        keys: &[String],
        items: &[Tree<'v>],
    ) {
        self.at_most(items.len(), most, "elements");
        if least.is_some_and(|least| (items.len() as u64) < least) {
            self.error(format!("must have at least {} elements", least.unwrap_or_default()));
        }
        for (index, value) in items.iter().enumerate() {
            let same = |other: &Tree<'_>| keys.iter().all(|key| other.get(key) == value.get(key));
            let repeated = !keys.is_empty() && items[..index].iter().any(same);
            self.within(Step::Index(index), |walk| {
                if repeated {
                    walk.error(format!("another element has the same {}", keys.join(" and ")));
                }
                walk.present(item, value);
            });
        }
    }

    fn at_most(&mut self, count: usize, most: Option<u64>, what: &str) {
        if let Some(most) = most.filter(|most| count as u64 > *most) {
            self.error(format!("has {count} {what}; at most {most} are allowed"));
        }
    }

    fn text(&mut self, node: &Node, text: &str, least: Option<u64>, most: Option<u64>) {
        let bounded = least.is_some() || most.is_some();
        let length = if bounded { text.chars().count() as u64 } else { 0 };
        if !node.words.is_empty() && !node.words.iter().any(|word| word == text) {
            let near = hint(text, node.words.iter().map(String::as_str));
            self.error(format!("{text:?} is not one of {}{near}", node.words.join(", ")));
        } else if least.is_some_and(|least| length < least) {
            self.error(if length == 0 { "must not be empty".to_owned() } else { "is too short".to_owned() });
        } else if let Some(most) = most.filter(|most| length > *most) {
            self.error(format!("has {length} characters; at most {most} are allowed"));
        } else if let Some(pattern) = node.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            self.error(match &node.wanted {
                Some(wanted) => format!("{text:?} does not fit; want {wanted}"),
                None => format!("{text:?} does not match {}", pattern.as_str()),
            });
        }
    }

    fn bounds(&mut self, number: Option<f64>, least: Option<f64>, most: Option<f64>) {
        let Some(number) = number else { return };
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let range = match (least, most) {
                (Some(least), Some(most)) => format!("from {least} to {most}"),
                (Some(least), None) => format!("of at least {least}"),
                (_, most) => format!("of at most {}", most.unwrap_or_default()),
            };
            self.error(format!("{number} is out of range; want a number {range}"));
        }
    }

    /// Answers the groups of which several are set.
    fn alternatives<'n>(&mut self, node: &'n Node, value: &Tree<'_>) -> Vec<&'n [String]> {
        let mut repeated = Vec::new();
        for group in &node.alternatives {
            let is_set = |name: &&str| value.get(name).is_some_and(|value| !value.is_null());
            let set = || group.iter().map(String::as_str).filter(is_set);
            if set().nth(1).is_some() {
                let set: Vec<&str> = set().collect();
                self.error(format!("only one of {} may be set, not {}", group.join(", "), set.join(" and ")));
                repeated.push(group.as_slice());
            }
        }
        repeated
    }

    /// Rules about groups of which several are set are told already.
    fn rules(&mut self, node: &Node, value: &Tree<'_>, repeated: &[&[String]]) {
        let is_told = |rule: &&Rule| {
            repeated.iter().any(|group| group.iter().all(|name| rule.message.contains(name.as_str())))
        };
        for rule in node.rules.iter().filter(|rule| !is_told(rule)) {
            match &rule.check {
                Check::Duration => {
                    if let Some(problem) = value.as_str().and_then(duration_problem) {
                        self.error(problem);
                    }
                }
                // A rule that cannot be evaluated is about a field whose own problem is told already.
                Check::Expression(program) => {
                    if program.is_true(&[("self", Binding::Value(&value.to_value()))]) == Ok(false) {
                        self.error(rule.message.clone());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
