//! Types that several Istio APIs share (`istio.type.v1beta1` and the matchers used everywhere).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::SortedMap;
use crate::schema::rules;

shape! {
    /// Selects workloads by the labels of their pods (`selector.matchLabels`).
    #[derive(Eq)]
    pub struct WorkloadSelector {
        /// Labels that must all be present with these values.
        #[schemars(extend(
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
    #[schemars(extend("required" = ["kind", "name"]))]
    pub struct PolicyTargetReference {
        /// API group of the target; empty for the core group.
        #[schemars(
            length(max = 253),
            regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )]
        pub group: String,
        /// Kind of the target.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
        /// Name of the target.
        #[schemars(length(min = 1, max = 253))]
        pub name: String,
        /// Must be empty: targets in other namespaces are not supported.
        #[schemars(extend("x-kubernetes-validations" =
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

impl Serialize for StringMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Empty => {}
            Self::Exact(text) => map.serialize_entry("exact", text)?,
            Self::Prefix(text) => map.serialize_entry("prefix", text)?,
            Self::Regex(text) => map.serialize_entry("regex", text)?,
        }
        map.end()
    }
}

#[derive(Deserialize)]
struct StringMatchFields {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<String>,
}

impl<'de> Deserialize<'de> for StringMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = StringMatchFields::deserialize(deserializer)?;
        match (fields.exact, fields.prefix, fields.regex) {
            (None, None, None) => Ok(Self::Empty),
            (Some(text), None, None) => Ok(Self::Exact(text)),
            (None, Some(text), None) => Ok(Self::Prefix(text)),
            (None, None, Some(text)) => Ok(Self::Regex(text)),
            _ => Err(D::Error::custom("set only one of exact, prefix and regex")),
        }
    }
}

impl JsonSchema for StringMatch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StringMatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
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
