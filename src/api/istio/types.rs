//! Types that several Istio APIs share (`istio.type.v1beta1` and the matchers used everywhere).

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::SortedMap;
use crate::schema::rules;
use crate::shape::{Form, Mistake, Reader, Shape};

shape! {
    /// Selects workloads by the labels of their pods (`selector.matchLabels`).
    #[derive(Eq)]
    pub struct WorkloadSelector {
        /// Labels that must all be present with these values.
        #[shape(extend(
            "maxProperties" = 4096,
            "x-kubernetes-validations" = rules::rules(&[
                ("wildcard not allowed in label key match", "self.all(key, !key.contains(\"*\"))"),
                ("key must not be empty", "self.all(key, key.size() != 0)"),
            ]),
            "additionalProperties" = serde_json::json!({
                "type": "string",
                "maxLength": 63,
                "x-kubernetes-validations":
                    rules::rule("wildcard not allowed in label value match", "!self.contains(\"*\")"),
            })
        ))]
        pub match_labels: SortedMap<String, String>,
    }

    /// The object a policy attaches to, in the policy's own namespace.
    #[derive(Eq)]
    #[shape(extend("required" = ["kind", "name"]))]
    pub struct PolicyTargetReference {
        /// API group of the target; empty for the core group.
        #[shape(
            length(max = 253),
            regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )]
        pub group: String,
        /// Kind of the target.
        #[shape(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
        /// Name of the target.
        #[shape(length(min = 1, max = 253))]
        pub name: String,
        /// Must be empty: targets in other namespaces are not supported.
        #[shape(extend("x-kubernetes-validations" =
            rules::rule("cross namespace referencing is not currently supported", "self.size() == 0")))]
        pub namespace: String,
    }
}

string_enum! {
    /// Which side of a connection a setting applies to.
    pub enum WorkloadMode {
        /// Not said.
        Undefined = "UNDEFINED",
        /// Outbound traffic.
        Client = "CLIENT",
        /// Inbound traffic.
        Server = "SERVER",
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
    }
}

/// How a text is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// No comparison: the thing has only to be present.
    #[default]
    Empty,
    /// Equal, byte by byte.
    Exact(String),
    /// Starts with.
    Prefix(String),
    /// The whole text matches this RE2 expression.
    Regex(String),
}

impl Shape for StringMatch {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = Self::Empty;
        for (key, reader) in reader.map(&"struct StringMatch")? {
            let make = match key.as_ref() {
                "exact" => Self::Exact,
                "prefix" => Self::Prefix,
                "regex" => Self::Regex,
                _ => continue,
            };
            if reader.is_null() {
                continue;
            }
            let mut text = String::new();
            text.read(reader).map_err(|mistake| mistake.below_key(key.into_owned()))?;
            if *self != Self::Empty {
                return Err(Mistake::custom("set only one of exact, prefix and regex"));
            }
            *self = make(text);
        }
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Map(match self {
            Self::Empty => Vec::new(),
            Self::Exact(text) => vec![(Cow::Borrowed("exact"), text)],
            Self::Prefix(text) => vec![(Cow::Borrowed("prefix"), text)],
            Self::Regex(text) => vec![(Cow::Borrowed("regex"), text)],
        })
    }

    fn is_blank(&self) -> bool {
        *self == Self::Empty
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "exact": { "type": "string", "description": "Equal, byte by byte." },
                "prefix": { "type": "string", "description": "Starts with." },
                "regex": { "type": "string", "description": "The whole text matches this RE2 expression." },
            },
            "oneOf": rules::one_of(&["exact", "prefix", "regex"]),
        })
    }
}

serde_by_shape!(StringMatch);
