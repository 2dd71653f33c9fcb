//! From values to typed objects. Every kind counts, also those that no check reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::{ObjectMeta, ParseError, Tree};
use sagene_model::snapshot::AnyObject;
use sagene_model::{Kind, Snapshot};
use serde_json::Value;

use super::Input;
use super::document::Document;
use super::overlaid::Overlaid;
use crate::checks::schema;
use crate::code::Code;
use crate::message::{Message, ObjectRef};
use crate::needs::{makes_pods, makes_pods_as_written, makes_secrets};
use crate::path::FieldPath;
use crate::validation::{gateway_api, shape};
use crate::yaml::Arena;

/// Takes an object of any kind in, and says how messages name it. Without a `document` it is of a cluster.
pub(super) fn insert(
    input: &mut Input,
    document: Option<Document>,
    tree: &Tree<'_>,
    namespace: &str,
) -> ObjectRef {
    match Kind::by_name(tree.text("apiVersion"), tree.text("kind")) {
        Some(kind) => typed(input, kind, document, tree, namespace),
        None => untyped(input, document, tree, namespace),
    }
}

impl Input {
    /// Objects with an annotation, and its value.
    pub(crate) fn annotated(&self, key: &str) -> BTreeMap<ObjectRef, String> {
        let mut found = BTreeMap::new();
        for kind in Kind::ALL {
            for metadata in self.snapshot.metadata(*kind) {
                if let Some(value) = metadata.annotations.get(key) {
                    found.insert(named(*kind, metadata), value.clone());
                }
            }
        }
        found
    }

    /// Takes out the objects of Istio's kinds that belong to another revision than this.
    pub fn retain_revision(&mut self, revision: &str) {
        self.revision = Some(revision.to_owned());
        for kind in Kind::ALL.iter().copied().filter(|kind| is_istios(*kind)) {
            let all = self.snapshot.metadata(kind).into_iter();
            let others: Vec<ObjectRef> = all
                .filter(|metadata| is_of_other_revision(metadata, revision))
                .map(|metadata| named(kind, metadata))
                .collect();
            for other in others {
                self.snapshot.remove_any(kind, &other.namespace, &other.name);
            }
        }
    }

    /// Takes in what became of an object of the cluster. Answers its kind and name where something that analyzers read is not as
    /// it was; kinds without a shape, and what a file says otherwise, change nothing.
    pub(crate) fn change_live(&mut self, value: &Value, is_there: bool) -> Option<(Kind, ObjectRef)> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        change(self, Kind::by_name(text("apiVersion"), text("kind"))?, value, is_there)
    }

    /// Takes another state of all objects in place of this one. Answers those that are not as they were, by kind.
    pub(crate) fn advance(&mut self, snapshot: Snapshot) -> BTreeMap<Kind, BTreeSet<ObjectRef>> {
        let mut changes: BTreeMap<Kind, BTreeSet<ObjectRef>> = BTreeMap::new();
        for kind in Kind::ALL.iter().copied() {
            let mut names = BTreeSet::new();
            for (before, now) in self.snapshot.differences(kind, &snapshot) {
                let is_same = match (&before, &now) {
                    (Some(before), Some(now)) => looks_like(kind, before, now),
                    _ => false,
                };
                let metadata = before.as_ref().or(now.as_ref()).and_then(|object| kind.metadata_of(object));
                names.extend(metadata.filter(|_| !is_same).map(|metadata| named(kind, metadata)));
            }
            if !names.is_empty() {
                changes.insert(kind, names);
            }
        }
        self.snapshot = snapshot;
        changes
    }

    /// Namespaces and names of the objects of a kind.
    pub(crate) fn names_of(&self, api_version: &str, kind: &str) -> Vec<(String, String)> {
        let objects =
            Kind::by_name(api_version, kind).map(|kind| self.snapshot.metadata(kind)).unwrap_or_default();
        objects.into_iter().map(|it| (it.namespace.clone(), it.name.clone())).collect()
    }

    /// The same input with, of some kinds, no other objects than those that changed.
    pub(crate) fn narrowed(&self, kinds: &[Kind], changes: &BTreeMap<Kind, BTreeSet<ObjectRef>>) -> Self {
        let mut part = Self {
            snapshot: self.snapshot.clone(),
            cluster: self.cluster.clone(),
            remotes: self.remotes.clone(),
            mesh: self.mesh.clone(),
            mesh_config: self.mesh_config.clone(),
            mesh_config_written: self.mesh_config_written.clone(),
            mesh_networks: self.mesh_networks.clone(),
            unknown_kinds: self.unknown_kinds.clone(),
            files_alone: self.files_alone,
            // Pods and Secrets that files will make count as there.
            sources: self.documents_of_makers(),
            untyped: self.makers(),
            ..Self::default()
        };
        for kind in kinds.iter().copied() {
            // Taken out of the part, and not kept.
            Snapshot::default().append_any(kind, &mut part.snapshot);
            for changed in changes.get(&kind).into_iter().flatten() {
                if let Some(object) = self.snapshot.get_any(kind, &changed.namespace, &changed.name) {
                    part.snapshot.put_any(kind, object);
                }
            }
        }
        let changed = |problem: &&Message| changes.values().any(|objects| objects.contains(&problem.object));
        part.problems = self.problems.iter().filter(changed).cloned().collect();
        part
    }
}

/// Takes in all of `part`, over what is there.
pub(super) fn merge(input: &mut Input, mut part: Input) {
    let told_again = told_again(input, &part);
    for kind in Kind::ALL {
        take_over(input, &mut part, *kind, &told_again);
    }
    // What a file says takes the place of what the cluster has, mistakes included.
    let again = part.untyped.keys().filter(|object| input.untyped.contains_key(object));
    again.for_each(|object| discount(&mut part.counts, &object.kind, 1));
    for object in &told_again {
        if let Some(earlier) = input.sources.get(object).cloned() {
            keep_written(input, object, &earlier, part.sources.get(object));
        }
    }
    let (sources, overlaid) = (&input.sources, &part.sources);
    input
        .problems
        .retain(|problem| sources.contains_key(&problem.object) || !overlaid.contains_key(&problem.object));
    input.sources.append(&mut part.sources);
    input.untyped.append(&mut part.untyped);
    input.overlaid.append(&mut part.overlaid);
    input.problems.extend(part.problems);
    for (kind, count) in part.counts {
        *input.counts.entry(kind).or_default() += count;
    }
}

/// How messages name an object.
fn named(kind: Kind, metadata: &ObjectMeta) -> ObjectRef {
    ObjectRef::new(kind.name(), &metadata.namespace, &metadata.name)
}

fn is_istios(kind: Kind) -> bool {
    kind.traits().group.ends_with("istio.io")
}

/// One more object of a kind, unless it is another telling of one that is there.
fn count(input: &mut Input, kind: &str, is_new: bool) {
    if !is_new {
        return;
    }
    match input.counts.get_mut(kind) {
        Some(count) => *count += 1,
        None => {
            input.counts.insert(kind.to_owned(), 1);
        }
    }
}

/// Takes back some of a kind.
pub(super) fn discount(counts: &mut BTreeMap<String, usize>, kind: &str, number: usize) {
    if let Some(count) = counts.get_mut(kind) {
        *count = count.saturating_sub(number);
    }
}

impl Input {
    /// What pods and Secrets will be made from, of kinds without a shape.
    fn makers(&self) -> BTreeMap<ObjectRef, Arc<Value>> {
        let is_maker = |object: &ObjectRef, value: &Value| {
            makes_pods_as_written(&object.kind, value) || makes_secrets(&object.kind)
        };
        let makers = self.untyped.iter().filter(|(object, value)| is_maker(object, value));
        makers.map(|(object, value)| (object.clone(), value.clone())).collect()
    }

    /// Where those with a shape stand.
    fn documents_of_makers(&self) -> BTreeMap<ObjectRef, Document> {
        let makers = self.sources.iter().filter(|(object, _)| makes_pods(&object.kind));
        makers.map(|(object, document)| (object.clone(), document.clone())).collect()
    }
}

fn change(input: &mut Input, kind: Kind, value: &Value, is_there: bool) -> Option<(Kind, ObjectRef)> {
    let text = |key: &str| {
        let text = value.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
        text.unwrap_or_default()
    };
    let place = if kind.traits().namespaced { text("namespace") } else { "" };
    let object = ObjectRef::new(kind.name(), place, text("name"));
    if input.sources.contains_key(&object) {
        return None;
    }
    let before = input.snapshot.get_any(kind, &object.namespace, &object.name);
    let problems = take_problems(input, &object);
    input.snapshot.remove_any(kind, &object.namespace, &object.name);
    let of_other = input.revision.as_ref().is_some_and(|revision| {
        let own = value.pointer("/metadata/labels/istio.io~1rev").and_then(Value::as_str);
        is_istios(kind) && own.is_some_and(|own| !own.is_empty() && own != revision)
    });
    if is_there && !of_other {
        typed(input, kind, None, &Tree::of(value, &Arena::new()), "");
    }
    let now = input.snapshot.get_any(kind, &object.namespace, &object.name);
    let is_same = match (&before, &now) {
        (Some(before), Some(now)) => looks_like(kind, before, now),
        (None, None) => true,
        _ => false,
    };
    let same_problems = input.problems.iter().filter(|problem| problem.object == object).eq(&problems);
    (!is_same || !same_problems).then_some((kind, object))
}

fn take_problems(input: &mut Input, object: &ObjectRef) -> Vec<Message> {
    let (taken, left) = std::mem::take(&mut input.problems).into_iter().partition(|it| it.object == *object);
    input.problems = left;
    taken
}

/// True where nothing differs that analyzers read.
fn looks_like(kind: Kind, left: &AnyObject, right: &AnyObject) -> bool {
    let (Some(before), Some(now)) = (kind.metadata_of(left), kind.metadata_of(right)) else { return false };
    before.labels == now.labels
        && before.annotations == now.annotations
        && before.creation_timestamp == now.creation_timestamp
        && kind.says_the_same(left, right)
}

fn take_over(input: &mut Input, part: &mut Input, kind: Kind, again: &[ObjectRef]) {
    for object in again.iter().filter(|object| object.kind == kind.name()) {
        if part.snapshot.get_any(kind, &object.namespace, &object.name).is_none() {
            continue;
        }
        if input.snapshot.get_any(kind, &object.namespace, &object.name).is_none() {
            // Told before, but so wrongly that nothing could be made of it.
            discount(&mut part.counts, kind.name(), 1);
        } else if let Some(earlier) = input.sources.get(object).cloned() {
            overlay(input, kind, object, &earlier, part.sources.get(object));
        }
    }
    let told_twice = input.snapshot.append_any(kind, &mut part.snapshot);
    discount(&mut part.counts, kind.name(), told_twice);
}

/// The objects that documents of both tell. Both are in order: one walk finds them, and mostly there are none.
fn told_again(input: &Input, part: &Input) -> Vec<ObjectRef> {
    let mut new = part.sources.keys().peekable();
    let mut again = Vec::new();
    for object in input.sources.keys() {
        while new.next_if(|other| *other < object).is_some() {}
        again.extend(new.next_if(|other| *other == object).cloned());
    }
    again
}

/// Keeps an object that another document than `earlier` is about to replace until it is judged.
fn overlay(input: &mut Input, kind: Kind, object: &ObjectRef, earlier: &Document, by: Option<&Document>) {
    // A file that was read twice says nothing else.
    if !is_istios(kind) || by == Some(earlier) {
        return;
    }
    if let Some(told) = input.snapshot.get_any(kind, &object.namespace, &object.name) {
        let (document, value) = (Arc::new(earlier.clone()), kind.to_value(&told));
        input.overlaid.push(Overlaid { object: object.clone(), document, value });
    }
}

/// The same for objects of the Gateway API, which are judged as they were written.
fn keep_written(input: &mut Input, object: &ObjectRef, earlier: &Document, by: Option<&Document>) {
    if by != Some(earlier) && gateway_api::is_mentioned(earlier) {
        let (object, document) = (object.clone(), Arc::new(earlier.clone()));
        input.overlaid.push(Overlaid { object, document, value: Value::Null });
    }
}

impl Input {
    /// Takes in an object of a cluster: no file holds it. Its `apiVersion` and `kind` must be set.
    pub fn insert_live(&mut self, value: Value) {
        let _ = insert(self, None, &Tree::of(&value, &Arena::new()), "");
    }
}

/// Label that says which control plane an object is for.
const REVISION_LABEL: &str = "istio.io/rev";

fn is_of_other_revision(metadata: &ObjectMeta, revision: &str) -> bool {
    metadata.labels.get(REVISION_LABEL).is_some_and(|of| !of.is_empty() && of != revision)
}

fn typed(
    input: &mut Input,
    kind: Kind,
    document: Option<Document>,
    tree: &Tree<'_>,
    namespace: &str,
) -> ObjectRef {
    let metadata = |key: &str| tree.get("metadata").map_or("", |metadata| metadata.text(key));
    let name = if metadata("name").is_empty() { metadata("generateName") } else { metadata("name") };
    let place = match (kind.traits().namespaced, metadata("namespace")) {
        (false, _) => "",
        (true, "") => namespace,
        (true, own) => own,
    };
    let reference = ObjectRef::new(kind.name(), place, name);
    let nameless = name.is_empty();
    let problems = shape::problems_of_tree(tree);
    let told = !problems.is_empty();
    let mut found: Vec<Message> =
        problems.into_iter().map(|problem| schema::message(reference.clone(), problem)).collect();
    let read = kind.read_tree(tree, &|metadata| {
        metadata.namespace = place.to_owned();
        if !nameless {
            metadata.name.clone_from(&reference.name);
        }
    });
    let object = match read {
        Ok(object) => {
            // Of Istio's kinds the shape says so.
            if nameless && !told {
                let text = "Schema validation error: metadata.name must be set".to_owned();
                let problem = Message::new(Code::SchemaValidationError, reference.clone(), text);
                found.push(problem.at(FieldPath::parse("metadata")));
            }
            Some(object)
        }
        Err(_) if told => None,
        Err(error) => {
            found.push(shape_problem(reference.clone(), &error));
            None
        }
    };
    let mut is_new = true;
    if let Some(document) = document {
        if !found.is_empty() {
            let document = Arc::new(document.clone());
            found = found.into_iter().map(|message| message.in_document(&document)).collect();
        }
        if let Some(earlier) = input.sources.insert(reference.clone(), document) {
            is_new = false;
            let by = input.sources.get(&reference).cloned();
            overlay(input, kind, &reference, &earlier, by.as_ref());
            keep_written(input, &reference, &earlier, by.as_ref());
        }
    }
    input.problems.append(&mut found);
    is_new &= match object {
        Some(object) => !input.snapshot.put_any(kind, object),
        None => input.snapshot.get_any(kind, &reference.namespace, &reference.name).is_none(),
    };
    count(input, kind.name(), nameless || is_new);
    reference
}

fn untyped(input: &mut Input, document: Option<Document>, tree: &Tree<'_>, namespace: &str) -> ObjectRef {
    let metadata = |key: &str| tree.get("metadata").map_or("", |metadata| metadata.text(key));
    let own = metadata("namespace");
    let place = if own.is_empty() && lives_in_namespace(tree) { namespace } else { own };
    let reference = ObjectRef::new(tree.text("kind").to_owned(), place, metadata("name"));
    let is_new = reference.name.is_empty() || !input.untyped.contains_key(&reference);
    count(input, &reference.kind, is_new);
    if let Some(document) = document
        && let Some(earlier) = input.sources.insert(reference.clone(), document)
    {
        let by = input.sources.get(&reference).cloned();
        keep_written(input, &reference, &earlier, by.as_ref());
    }
    input.untyped.insert(reference.clone(), Arc::new(tree.to_value()));
    reference
}

/// True for kinds of Istio's, and for what pods and Secrets are made from. Of others nobody knows whether they live in namespaces.
fn lives_in_namespace(tree: &Tree<'_>) -> bool {
    let kind = tree.text("kind");
    let template = || tree.get("spec")?.get("template")?.get("spec")?.get("containers");
    makes_pods(kind) || makes_secrets(kind) || shape::is_known(tree) || template().is_some()
}

fn shape_problem(reference: ObjectRef, error: &ParseError) -> Message {
    let path = match error {
        ParseError::Field { path, .. } => FieldPath::parse(path),
        ParseError::Kind { .. } => FieldPath::default(),
    };
    Message::new(Code::SchemaValidationError, reference, format!("Schema validation error: {error}")).at(path)
}
