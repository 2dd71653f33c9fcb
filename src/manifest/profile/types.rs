//! What type each setting has: those of components by a table, values by what the default profile has in their place. A text where a
//! switch belongs would be read as off, and nobody would be told.

use serde_json::{Map, Value};

/// A setting with a value that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Dotted path below `spec`.
    pub path: String,
    /// What is wrong, and how to write it.
    pub reason: String,
}

/// What stands somewhere.
enum Shape {
    Flag,
    Text,
    /// A text that may look like a number.
    TextOrNumber,
    Whole,
    /// One of some words.
    Word(&'static [&'static str]),
    /// Any mapping.
    Mapping,
    /// A mapping of texts.
    Texts,
    /// A list of mappings.
    List(&'static Shape),
    /// A mapping; fields that are not told are of any type.
    Fields(&'static [(&'static str, Shape)]),
    /// The same, where there are no other fields, and some are required.
    Exactly(&'static [(&'static str, Shape)], &'static [&'static str]),
}

const SPEC: Shape = Shape::Fields(&[
    ("profile", Shape::Text),
    ("hub", Shape::Text),
    ("tag", Shape::TextOrNumber),
    ("revision", Shape::TextOrNumber),
    ("namespace", Shape::Text),
    ("compatibilityVersion", Shape::TextOrNumber),
    ("meshConfig", Shape::Mapping),
    ("values", Shape::Mapping),
    (
        "components",
        Shape::Fields(&[
            ("base", COMPONENT),
            ("pilot", COMPONENT),
            ("cni", COMPONENT),
            ("ztunnel", COMPONENT),
            ("ingressGateways", Shape::List(&COMPONENT)),
            ("egressGateways", Shape::List(&COMPONENT)),
        ]),
    ),
]);

const COMPONENT: Shape = Shape::Fields(&[
    ("enabled", Shape::Flag),
    ("namespace", Shape::Text),
    ("name", Shape::Text),
    ("hub", Shape::Text),
    ("tag", Shape::TextOrNumber),
    ("label", Shape::Texts),
    ("k8s", KUBERNETES),
]);

const KUBERNETES: Shape = Shape::Fields(&[
    ("affinity", Shape::Mapping),
    ("env", Shape::List(&ENVIRONMENT)),
    ("hpaSpec", Shape::Mapping),
    ("imagePullPolicy", Shape::Word(&["Always", "IfNotPresent", "Never"])),
    ("nodeSelector", Shape::Texts),
    ("overlays", Shape::List(&OVERLAY)),
    ("podAnnotations", Shape::Texts),
    ("podDisruptionBudget", Shape::Mapping),
    ("priorityClassName", Shape::Text),
    ("readinessProbe", Shape::Mapping),
    ("replicaCount", Shape::Whole),
    ("resources", Shape::Fields(&[("limits", Shape::Mapping), ("requests", Shape::Mapping)])),
    ("securityContext", Shape::Mapping),
    ("service", Shape::Fields(&[("ports", Shape::List(&Shape::Mapping)), ("type", Shape::Text)])),
    ("serviceAnnotations", Shape::Texts),
    ("strategy", Shape::Mapping),
    ("tolerations", Shape::List(&Shape::Mapping)),
    ("volumes", Shape::List(&Shape::Mapping)),
    ("volumeMounts", Shape::List(&Shape::Mapping)),
]);

const ENVIRONMENT: Shape = Shape::Exactly(
    &[("name", Shape::Text), ("value", Shape::Text), ("valueFrom", Shape::Mapping)],
    &["name"],
);

const OVERLAY: Shape = Shape::Exactly(
    &[
        ("apiVersion", Shape::Text),
        ("kind", Shape::Text),
        ("name", Shape::Text),
        ("patches", Shape::List(&PATCH)),
    ],
    &["kind", "name"],
);

const PATCH: Shape = Shape::Fields(&[("path", Shape::Text)]);

/// The settings of a `spec` whose values they cannot have, in the order of their paths; `defaults` is that of the default profile.
pub fn mistakes(spec: &Value, defaults: &Value) -> Vec<Mistake> {
    let mut found = Vec::new();
    walk(&SPEC, spec, "", &mut found);
    if let (Some(given), Some(known)) = (spec.get("values"), defaults.get("values")) {
        values(given, known, "values", &mut found);
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn walk(shape: &Shape, value: &Value, path: &str, found: &mut Vec<Mistake>) {
    let fits = match (shape, value) {
        // What is `null` is not set.
        (_, Value::Null) | (Shape::Flag, Value::Bool(_)) => true,
        (Shape::Text | Shape::TextOrNumber, Value::String(_)) | (Shape::TextOrNumber, Value::Number(_)) => {
            true
        }
        (Shape::Whole, Value::Number(number)) => number.as_u64().is_some(),
        (Shape::Word(words), Value::String(text)) => words.contains(&text.as_str()),
        (Shape::Mapping, Value::Object(_)) => true,
        (Shape::Texts, Value::Object(map)) => {
            map.iter().for_each(|(key, value)| walk(&Shape::Text, value, &below(path, key), found));
            true
        }
        (Shape::List(item), Value::Array(items)) => {
            for (index, value) in items.iter().enumerate() {
                walk(item, value, &format!("{path}[{index}]"), found);
            }
            true
        }
        (Shape::Fields(fields), Value::Object(map)) => {
            self::fields(fields, map, path, found);
            true
        }
        (Shape::Exactly(fields, required), Value::Object(map)) => {
            self::fields(fields, map, path, found);
            exactly(fields, required, map, path, found);
            true
        }
        _ => false,
    };
    if !fits {
        found.push(Mistake { path: path.to_owned(), reason: reason(shape, value) });
    }
}

fn fields(fields: &[(&str, Shape)], map: &Map<String, Value>, path: &str, found: &mut Vec<Mistake>) {
    for (name, shape) in fields {
        if let Some(value) = map.get(*name) {
            walk(shape, value, &below(path, name), found);
        }
    }
}

fn exactly(
    fields: &[(&str, Shape)],
    required: &[&str],
    map: &Map<String, Value>,
    path: &str,
    found: &mut Vec<Mistake>,
) {
    let known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    for name in map.keys().filter(|name| !known.contains(&name.as_str())) {
        let reason = format!("there is no such field; there are {}", known.join(", "));
        found.push(Mistake { path: below(path, name), reason });
    }
    for name in required.iter().filter(|name| map.get(**name).is_none_or(Value::is_null)) {
        found.push(Mistake { path: path.to_owned(), reason: format!("{name} must be set") });
    }
}

/// Values are of the type that they have in the default profile; what is empty there may be anything of its kind.
fn values(given: &Value, known: &Value, path: &str, found: &mut Vec<Mistake>) {
    let shape = match (known, given) {
        (Value::Object(known), Value::Object(given)) => {
            for (key, value) in given {
                if let Some(known) = known.get(key) {
                    values(value, known, &below(path, key), found);
                }
            }
            return;
        }
        (Value::Object(_), _) => Shape::Mapping,
        (Value::Array(_), _) => Shape::List(&Shape::Mapping),
        (Value::Bool(_), _) => Shape::Flag,
        // Texts and numbers are written one for the other; templates take both.
        (_, Value::Object(_) | Value::Array(_)) => Shape::TextOrNumber,
        _ => return,
    };
    let is_list = matches!((&shape, given), (Shape::List(_), Value::Array(_)));
    if !is_list && path != "values" {
        walk(&shape, given, path, found);
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is wanted, what was found, and how to write it.
fn reason(shape: &Shape, value: &Value) -> String {
    let wanted = match shape {
        Shape::Flag => "true or false".to_owned(),
        Shape::Text => "a string".to_owned(),
        Shape::TextOrNumber => "a string or a number".to_owned(),
        Shape::Whole => "a whole number of at least 0".to_owned(),
        Shape::Word(words) => format!("one of {}", words.join(", ")),
        Shape::Mapping | Shape::Texts | Shape::Fields(_) | Shape::Exactly(..) => "a mapping".to_owned(),
        Shape::List(_) => "a list".to_owned(),
    };
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    };
    let way_out = match (shape, value) {
        (Shape::Flag, Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "enabled" => "; write true, without quotes",
            "false" | "no" | "off" | "disabled" => "; write false, without quotes",
            _ => "",
        },
        (Shape::Whole, Value::String(text)) if text.parse::<u64>().is_ok() => "; write it without quotes",
        (Shape::Text, Value::Bool(_) | Value::Number(_)) => "; put it in quotes",
        (Shape::List(_), Value::Object(_)) => "; begin each element with \"- \"",
        _ => "",
    };
    format!("must be {wanted}, not {found}{way_out}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{names, profile};

    fn found(spec: Value) -> Vec<String> {
        let defaults = profile("default").expect("a profile");
        mistakes(&spec, &defaults).into_iter().map(|it| format!("{}: {}", it.path, it.reason)).collect()
    }

    #[test]
    fn profiles_have_none() {
        for name in names() {
            let Ok(spec) = profile(name) else { continue };
            assert_eq!(found(spec), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn every_mistake_names_its_setting() {
        for (spec, words) in [
            (
                json!({"components": {"pilot": {"enabled": "true"}}}),
                "components.pilot.enabled: must be true or false, not the string \"true\"; write true, without quotes",
            ),
            (
                json!({"components": {"ingressGateways": {"name": "a"}}}),
                "components.ingressGateways: must be a list",
            ),
            (
                json!({"components": {"pilot": {"k8s": {"replicaCount": "2"}}}}),
                "components.pilot.k8s.replicaCount: ",
            ),
            (
                json!({"components": {"egressGateways": [{"k8s": {"podAnnotations": {"a": true}}}]}}),
                "components.egressGateways[0].k8s.podAnnotations.a: must be a string, not the boolean true; put it in quotes",
            ),
            (
                json!({"components": {"pilot": {"k8s": {"env": [{"name": "A", "valu": "b"}]}}}}),
                "components.pilot.k8s.env[0].valu: ",
            ),
            (
                json!({"components": {"pilot": {"k8s": {"overlays": [{"kind": "Deployment", "patches": []}]}}}}),
                "components.pilot.k8s.overlays[0]: name must be set",
            ),
            (
                json!({"components": {"pilot": {"k8s": {"imagePullPolicy": "Sometimes"}}}}),
                "one of Always, IfNotPresent, Never",
            ),
            (
                json!({"values": {"global": {"proxy": {"privileged": "false"}}}}),
                "values.global.proxy.privileged: ",
            ),
            (
                json!({"values": {"pilot": {"resources": "small"}}}),
                "values.pilot.resources: must be a mapping",
            ),
            (json!({"values": {"pilot": {"image": ["a"]}}}), "values.pilot.image: "),
            (json!({"meshConfig": []}), "meshConfig: must be a mapping"),
            (json!({"hub": 7}), "hub: must be a string"),
        ] {
            let found = found(spec.clone());
            assert!(found.len() == 1 && found[0].contains(words), "{spec} → {found:?}");
        }
        for fine in [
            json!({"tag": 1.2, "components": {"pilot": {"enabled": true, "tag": 1, "k8s": {"replicaCount": 2}}}}),
            json!({"values": {"global": {"network": 1, "tag": 1.2}, "pilot": {"traceSampling": "50", "env": {"A": true}}}}),
            json!({"values": {"global": {"imagePullSecrets": ["a"]}, "pilot": {"nodeSelector": {"a": "b"}, "cpu": null}}}),
            json!({"components": {"pilot": {"k8s": {"overlays": [{"kind": "Service", "name": "a", "patches": [{"path": "a", "value": [1]}]}]}}}}),
        ] {
            assert_eq!(found(fine.clone()), Vec::<String>::new(), "{fine}");
        }
    }
}
