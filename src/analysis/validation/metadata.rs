//! Rules of `metadata` of Istio's kinds, as the API server has them.

use sagene_api::Tree;

use super::common::{is_label_key, is_label_value};
use super::host::is_dns_label;
use super::{Place, Report};

/// Fields that `metadata` may have: those that whoever writes an object sets, too, unlike the server's own that nobody manages.
pub(super) const FIELDS: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "selfLink",
];
/// Most bytes of keys and values of annotations together.
const MOST_OF_ANNOTATIONS: usize = 256 * 1024;
/// Longest name, in characters.
const LONGEST_NAME: usize = 253;

const NAMELESS: &str = "must be set, or generateName";

/// What the API server would refuse.
pub(super) fn rules(report: &mut Report, metadata: Option<&Tree<'_>>) {
    let path = Place::Whole.key("metadata");
    let Some(metadata) = metadata else {
        report.error(path.key("name"), NAMELESS);
        return;
    };
    let text = |key: &str| metadata.text(key);
    for field in ["name", "generateName", "namespace"] {
        if let Some(value) = metadata.get(field).filter(|value| value.as_str().is_none() && !value.is_null())
        {
            report.error(path.key(field), in_quotes(value));
            return;
        }
    }
    let (name, begin, namespace) = (text("name"), text("generateName"), text("namespace"));
    if name.is_empty() && begin.is_empty() {
        report.error(path.key("name"), NAMELESS);
    }
    if let Some(hint) = Some(name).filter(|name| !name.is_empty()).and_then(name_problem) {
        report.error(path.key("name"), hint);
    }
    // It counts where there is no name.
    let counts = name.is_empty() && !begin.is_empty();
    if let Some(hint) = Some(begin).filter(|_| counts).and_then(beginning_problem) {
        report.error(path.key("generateName"), hint);
    }
    if !namespace.is_empty() && !is_dns_label(namespace) {
        let words = format!(
            "{namespace:?} is no name of a namespace; want at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
        );
        report.error(path.key("namespace"), words);
    }
    maps(report, path, metadata);
    types(report, path, metadata);
    finalizers(report, path.key("finalizers"), metadata);
    owners(report, path.key("ownerReferences"), metadata);
}

/// Of the server's own fields only the type is looked at: it sets them itself.
fn types(report: &mut Report, path: Place<'_>, metadata: &Tree<'_>) {
    let fits: [(&str, &str, fn(&Tree<'_>) -> bool); 6] = [
        (
            "deletionGracePeriodSeconds",
            "a whole number",
            |value| matches!(value, Tree::Number(number) if number.is_i64()),
        ),
        ("selfLink", "a string", |value| value.as_str().is_some()),
        ("uid", "a string", |value| value.as_str().is_some()),
        ("managedFields", "a list", |value| value.as_list().is_some()),
        ("finalizers", "a list", |value| value.as_list().is_some()),
        ("ownerReferences", "a list", |value| value.as_list().is_some()),
    ];
    for (field, wanted, fits) in fits {
        if metadata.get(field).is_some_and(|value| !value.is_null() && !fits(value)) {
            report.error(path.key(field), format!("must be {wanted}"));
        }
    }
}

fn finalizers(report: &mut Report, path: Place<'_>, metadata: &Tree<'_>) {
    let names: Vec<Option<&str>> =
        metadata.get("finalizers").and_then(Tree::as_list).into_iter().flatten().map(Tree::as_str).collect();
    for (index, name) in names.iter().enumerate() {
        match name {
            None => report.error(path.index(index), "must be a string"),
            Some(name) if !is_label_key(name) || has_large_prefix(name) => {
                report.error(
                    path.index(index),
                    format!("{name:?} is no name of a finalizer; want example.com/name"),
                );
            }
            Some(_) => {}
        }
    }
    let both = ["orphan", "foregroundDeletion"].iter().all(|name| names.contains(&Some(name)));
    report.require(!both, path, "orphan and foregroundDeletion exclude one another");
}

/// Fields of a reference to an owner; those that must be set come first.
const OF_OWNER: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
/// How many of them must be set.
const REQUIRED_OF_OWNER: usize = 4;

fn owners(report: &mut Report, path: Place<'_>, metadata: &Tree<'_>) {
    let owners = metadata.get("ownerReferences").and_then(Tree::as_list).into_iter().flatten();
    let mut controllers = 0;
    for (index, owner) in owners.enumerate() {
        let path = path.index(index);
        let text = |field: &str| owner.text(field);
        for field in &OF_OWNER[..REQUIRED_OF_OWNER] {
            report.require(!text(field).is_empty(), path.key(field), "must be set");
        }
        for (field, _) in owner.as_map().into_iter().flatten() {
            let known = OF_OWNER.contains(field);
            report.require(known, path.key(field), format_args!("unknown field {field:?}"));
        }
        let version = text("apiVersion");
        let is_version = version.matches('/').count() < 2 && !version.ends_with('/');
        report.require(is_version, path.key("apiVersion"), "want VERSION or GROUP/VERSION");
        let is_event = text("kind") == "Event" && matches!(version, "v1" | "events.k8s.io/v1");
        report.require(!is_event, path.key("kind"), "an Event owns nothing");
        controllers += usize::from(owner.get("controller") == Some(&Tree::Bool(true)));
        report.require(
            controllers < 2,
            path.key("controller"),
            "another owner is the controller; only one may be",
        );
    }
}

/// A beginning may end with '-', as no name may: letters and digits follow.
fn beginning_problem(begin: &str) -> Option<String> {
    match begin.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => name_problem(&format!("{rest}x")),
        _ => name_problem(begin),
    }
}

fn name_problem(name: &str) -> Option<String> {
    let is_part = |part: &str| {
        let ends = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let allowed = part.chars().all(|character| ends(character) || character == '-');
        allowed && part.starts_with(ends) && part.ends_with(ends)
    };
    if name.chars().count() > LONGEST_NAME {
        return Some(format!("has {} characters; at most {LONGEST_NAME} are allowed", name.chars().count()));
    }
    if name.split('.').all(is_part) {
        return None;
    }
    Some(format!(
        "{name:?} is no name; want a-z, 0-9, '-' and '.', with a letter or digit at both ends and around each '.'"
    ))
}

/// Labels and annotations.
fn maps(report: &mut Report, path: Place<'_>, metadata: &Tree<'_>) {
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        let Some(entries) = metadata.get(field).and_then(Tree::as_map) else { continue };
        let length: usize =
            entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        if !is_label && length > MOST_OF_ANNOTATIONS {
            let words = format!("have {length} bytes together; at most {MOST_OF_ANNOTATIONS} are allowed");
            report.error(path.key(field), words);
        }
        let of = path.key(field);
        for (key, value) in entries {
            let path = of.key(key);
            if !is_label_key(key) || is_label && has_large_prefix(key) {
                report.error(path, format!("{key:?} is no key; want [prefix/]name, with at most 63 letters, digits, '-', '_' and '.' in name"));
            }
            match value {
                Tree::Text(text) if is_label && !text.is_empty() && !is_label_value(text) => report.error(
                    path,
                    format!("{text:?} is no label value; want at most 63 letters, digits, '-', '_' and '.'"),
                ),
                // `null` is the empty text.
                Tree::Text(_) | Tree::Null => {}
                other => report.error(path, in_quotes(other)),
            }
        }
    }
}

/// True for `Example.com/name`, which Kubernetes takes of annotations alone.
fn has_large_prefix(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| prefix.bytes().any(|byte| byte.is_ascii_uppercase()))
}

fn in_quotes(value: &Tree<'_>) -> String {
    match value {
        Tree::Number(_) => "must be a string, not a number; put it in quotes".to_owned(),
        Tree::Bool(_) => "must be a string, not a boolean; put it in quotes".to_owned(),
        Tree::List(_) => "must be a string, not a list".to_owned(),
        _ => "must be a string, not a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn found(metadata: &str) -> Vec<String> {
        let metadata: Value = serde_yaml::from_str(metadata).expect("YAML");
        let mut report = Report::new();
        let arena = crate::yaml::Arena::new();
        let tree = Tree::of(&metadata, &arena);
        rules(&mut report, (!tree.is_null()).then_some(&tree));
        report.finish().iter().map(|problem| problem.path.to_string()).collect()
    }

    #[test]
    fn names_and_labels_are_those_of_kubernetes() {
        for (bad, path) in [
            ("null", "metadata.name"),
            ("{}", "metadata.name"),
            ("{name: ''}", "metadata.name"),
            ("{name: My-App}", "metadata.name"),
            ("{name: a_b}", "metadata.name"),
            ("{name: -a}", "metadata.name"),
            ("{name: a..b}", "metadata.name"),
            ("{name: 5}", "metadata.name"),
            ("{generateName: A-}", "metadata.generateName"),
            ("{generateName: a.}", "metadata.generateName"),
            ("{generateName: '-'}", "metadata.generateName"),
            ("{name: a, namespace: a.b}", "metadata.namespace"),
            ("{name: a, labels: {version: 1}}", "metadata.labels.version"),
            ("{name: a, labels: {version: a b}}", "metadata.labels.version"),
            ("{name: a, labels: {a/b/c: d}}", "metadata.labels.a/b/c"),
            ("{name: a, annotations: {on: true}}", "metadata.annotations.on"),
            ("{name: a, labels: {A.b/c: d}}", "metadata.labels.A.b/c"),
            ("{name: a, finalizers: [x.io/a b]}", "metadata.finalizers[0]"),
            ("{name: a, finalizers: [orphan, foregroundDeletion]}", "metadata.finalizers"),
            ("{name: a, selfLink: 5}", "metadata.selfLink"),
            (
                "{name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: p}]}",
                "metadata.ownerReferences[0].uid",
            ),
            (
                "{name: a, ownerReferences: [{apiVersion: v1, kind: Event, name: p, uid: u}]}",
                "metadata.ownerReferences[0].kind",
            ),
            (
                "{name: a, ownerReferences: [{apiVersion: a/b/c, kind: Pod, name: p, uid: u}]}",
                "metadata.ownerReferences[0].apiVersion",
            ),
            (
                "{name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: p, uid: u, controller: true}, {apiVersion: v1, kind: Pod, name: q, uid: v, \
                 controller: true}]}",
                "metadata.ownerReferences[1].controller",
            ),
        ] {
            assert_eq!(found(bad), [path], "{bad}");
        }
        for good in [
            "{name: a.b-c.1}",
            "{generateName: a-}",
            "{name: a, generateName: A-, annotations: {A.b/C: d}, finalizers: [orphan, x.io/a], ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: d, uid: u, controller: true, blockOwnerDeletion: true}]}",
            "{name: '5', namespace: a-b, labels: {app.kubernetes.io/Name: '', v: 1.2_a}, annotations: {a: 'any text: at all'}}",
        ] {
            assert!(found(good).is_empty(), "{good} → {:?}", found(good));
        }
    }
}
