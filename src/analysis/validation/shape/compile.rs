//! From the schema of a CustomResourceDefinition to nodes that are quick to walk.

use std::collections::BTreeMap;

use sagene_cel::Program;
use serde_json::Value;

/// One place of a schema.
#[derive(Debug)]
pub(in crate::validation) struct Node {
    pub(super) kind: Kind,
    /// Accepted values; empty means any.
    pub(super) words: Vec<String>,
    pub(super) pattern: Option<regex::Regex>,
    /// What the pattern says, in words; definitions of Istio's have none.
    pub(super) wanted: Option<String>,
    /// Groups of fields of which at most one may be set.
    pub(super) alternatives: Vec<Vec<String>>,
    pub(super) rules: Vec<Rule>,
}

/// What stands there.
#[derive(Debug)]
pub(super) enum Kind {
    /// Anything.
    Any,
    Object {
        fields: BTreeMap<String, Node>,
        required: Vec<String>,
        open: bool,
    },
    Map {
        item: Box<Node>,
        least: Option<u64>,
        most: Option<u64>,
    },
    List {
        item: Box<Node>,
        least: Option<u64>,
        most: Option<u64>,
        keys: Vec<String>,
    },
    /// A string; bounds are of its characters.
    Text {
        least: Option<u64>,
        most: Option<u64>,
        /// Whether it stands for bytes, in base64.
        is_base64: bool,
    },
    Integer {
        least: Option<f64>,
        most: Option<f64>,
    },
    Number {
        least: Option<f64>,
        most: Option<f64>,
    },
    Boolean,
    IntegerOrText,
}

/// A rule that types alone cannot say.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) message: String,
    pub(super) check: Check,
}

/// How a rule is checked.
#[derive(Debug)]
pub(super) enum Check {
    /// A duration of at least a millisecond: so many fields have this rule that it is not left to an expression.
    Duration,
    Expression(Box<Program>),
}

impl Node {
    /// Reads a schema. What it says beyond the words that Istio's definitions use is left out.
    pub(super) fn of(schema: &Value) -> Self {
        let texts = |value: &Value| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            kind: kind(schema, &texts),
            words: texts(&schema["enum"]),
            pattern: schema["pattern"].as_str().and_then(|pattern| regex::Regex::new(pattern).ok()),
            wanted: schema["x-wanted"].as_str().map(str::to_owned),
            alternatives: alternatives(schema),
            rules: schema["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(rule)
                .collect(),
        }
    }
}

fn kind(schema: &Value, texts: &dyn Fn(&Value) -> Vec<String>) -> Kind {
    let count = |name: &str| schema[name].as_u64();
    let number = |name: &str| schema[name].as_f64();
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if schema["x-kubernetes-int-or-string"] == true {
        return Kind::IntegerOrText;
    }
    match schema["type"].as_str() {
        Some("object") if schema["additionalProperties"].is_object() => Kind::Map {
            item: Box::new(Node::of(&schema["additionalProperties"])),
            least: count("minProperties"),
            most: count("maxProperties"),
        },
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(name, field)| (name.clone(), Node::of(field))).collect();
            Kind::Object { fields, required: texts(&schema["required"]), open }
        }
        Some("array") => Kind::List {
            item: Box::new(Node::of(&schema["items"])),
            least: count("minItems"),
            most: count("maxItems"),
            keys: texts(&schema["x-kubernetes-list-map-keys"]),
        },
        Some("string") => Kind::Text {
            least: count("minLength"),
            most: count("maxLength"),
            is_base64: schema["format"] == "byte",
        },
        Some("integer") => {
            let (least, most) = if schema["format"] == "int32" {
                (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX)))
            } else {
                (None, None)
            };
            Kind::Integer { least: number("minimum").or(least), most: number("maximum").or(most) }
        }
        Some("number") => Kind::Number { least: number("minimum"), most: number("maximum") },
        Some("boolean") => Kind::Boolean,
        _ => Kind::Any,
    }
}

/// Protobuf's `oneof`, as definitions write it: none of the fields, or exactly one.
fn alternatives(schema: &Value) -> Vec<Vec<String>> {
    let group = |of: &Value| -> Option<Vec<String>> {
        let fields = of["oneOf"].as_array()?.iter().filter_map(|one| one["required"][0].as_str());
        Some(fields.map(str::to_owned).collect())
    };
    let nested = schema["allOf"].as_array().into_iter().flatten().filter_map(group);
    group(schema).into_iter().chain(nested).collect()
}

/// What the rules of the kinds tell of the very field, and the definitions of what holds it: it is told once.
const TOLD_OF_FIELDS: &[&str] = &[
    "CIDR addresses are allowed only for NONE/STATIC resolution types",
    "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
    "NONE mode cannot set endpoints",
    "UDS may not include ports",
    "port name must be valid",
    "port number cannot be duplicated",
    "portLevelMtls requires selector",
    "value must be set when operation is UPSERT",
    "value must not be set when operation is REMOVE",
    "value may only be set when valueFrom is INLINE",
];
/// The same of ports that are keys.
const PORTS_AS_KEYS: &str = "self.all(key, 0 < int(key)";

fn rule(source: &Value) -> Option<Rule> {
    let text = source["rule"].as_str()?;
    let is_told = source["message"].as_str().is_some_and(|message| TOLD_OF_FIELDS.contains(&message));
    if is_told || text.starts_with(PORTS_AS_KEYS) {
        return None;
    }
    let check = if text == "duration(self) >= duration('1ms')" {
        Check::Duration
    } else {
        Check::Expression(Box::new(Program::compile(text, &["self", "oldSelf"]).ok()?))
    };
    Some(Rule { message: source["message"].as_str().unwrap_or(text).to_owned(), check })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_every_kind_compiles() {
        fn walk(schema: &Value, count: &mut usize) {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let text = rule["rule"].as_str().expect("a rule");
                assert!(Program::compile(text, &["self", "oldSelf"]).is_ok(), "{text}");
                *count += 1;
            }
            match schema {
                Value::Object(fields) => fields.values().for_each(|inner| walk(inner, count)),
                Value::Array(items) => items.iter().for_each(|inner| walk(inner, count)),
                _ => {}
            }
        }
        let mut count = 0;
        sagene_api::istio::crd::all().iter().for_each(|crd| walk(crd, &mut count));
        assert!(count > 300, "{count}");
    }
}
