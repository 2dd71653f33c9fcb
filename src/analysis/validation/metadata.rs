//! Rules of `metadata` of Istio's kinds, as the API server has them.

use serde_json::{Map, Value};

use super::Report;
use super::common::{is_label_key, is_label_value};
use super::host::is_dns_label;
use crate::path::FieldPath;

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
    "clusterName",
];
/// Longest name, in characters.
const LONGEST_NAME: usize = 253;

const NAMELESS: &str = "must be set, or generateName";

/// What the API server would refuse.
pub(super) fn rules(report: &mut Report, metadata: Option<&Map<String, Value>>) {
    let path = FieldPath::parse("metadata");
    let Some(metadata) = metadata else {
        report.error(&path.key("name"), NAMELESS);
        return;
    };
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    for field in ["name", "generateName", "namespace"] {
        if let Some(value) = metadata.get(field).filter(|value| !value.is_string() && !value.is_null()) {
            report.error(&path.key(field), in_quotes(value));
            return;
        }
    }
    let (name, begin, namespace) = (text("name"), text("generateName"), text("namespace"));
    if name.is_empty() && begin.is_empty() {
        report.error(&path.key("name"), NAMELESS);
    }
    if let Some(hint) = Some(name).filter(|name| !name.is_empty()).and_then(name_problem) {
        report.error(&path.key("name"), hint);
    }
    // What follows it is five letters or digits: it may end as no name may.
    if let Some(hint) =
        Some(begin).filter(|begin| !begin.is_empty()).and_then(|begin| name_problem(&format!("{begin}x")))
    {
        report.error(&path.key("generateName"), hint);
    }
    if !namespace.is_empty() && !is_dns_label(namespace) {
        let words = format!(
            "{namespace:?} is no name of a namespace; want at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
        );
        report.error(&path.key("namespace"), words);
    }
    maps(report, &path, metadata);
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
fn maps(report: &mut Report, path: &FieldPath, metadata: &Map<String, Value>) {
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        let Some(entries) = metadata.get(field).and_then(Value::as_object) else { continue };
        for (key, value) in entries {
            let path = path.key(field).key(key);
            if !is_label_key(&key.to_ascii_lowercase()) {
                report.error(&path, format!("{key:?} is no key; want [prefix/]name, with at most 63 letters, digits, '-', '_' and '.' in name"));
            }
            match value {
                Value::String(text) if is_label && !text.is_empty() && !is_label_value(text) => report.error(
                    &path,
                    format!("{text:?} is no label value; want at most 63 letters, digits, '-', '_' and '.'"),
                ),
                Value::String(_) | Value::Null => {}
                other => report.error(&path, in_quotes(other)),
            }
        }
    }
}

fn in_quotes(value: &Value) -> String {
    match value {
        Value::Number(_) => format!("must be a string, not a number; put it in quotes: \"{value}\""),
        Value::Bool(_) => format!("must be a string, not a boolean; put it in quotes: \"{value}\""),
        Value::Array(_) => "must be a string, not a list".to_owned(),
        _ => "must be a string, not a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(metadata: &str) -> Vec<String> {
        let metadata: Value = serde_yaml::from_str(metadata).expect("YAML");
        let mut report = Report::new();
        rules(&mut report, metadata.as_object());
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
            ("{name: a, namespace: a.b}", "metadata.namespace"),
            ("{name: a, labels: {version: 1}}", "metadata.labels.version"),
            ("{name: a, labels: {version: a b}}", "metadata.labels.version"),
            ("{name: a, labels: {a/b/c: d}}", "metadata.labels.a/b/c"),
            ("{name: a, annotations: {on: true}}", "metadata.annotations.on"),
        ] {
            assert_eq!(found(bad), [path], "{bad}");
        }
        for good in [
            "{name: a.b-c.1}",
            "{generateName: a-}",
            "{name: '5', namespace: a-b, labels: {app.kubernetes.io/Name: '', v: 1.2_a}, annotations: {a: 'any text: at all'}}",
        ] {
            assert!(found(good).is_empty(), "{good} → {:?}", found(good));
        }
    }
}
