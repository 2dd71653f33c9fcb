//! Values of expressions. JSON is looked at where it stands, never copied.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use sagene_api::Duration;
use serde_json::{Map, Value as Json};

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(Cow<'a, str>),
    /// A list that stands in JSON.
    Array(&'a [Json]),
    /// A list that was made.
    List(Vec<Value<'a>>),
    /// A map that stands in JSON.
    Object(&'a Map<String, Json>),
    /// A map that was made.
    Map(Vec<(Value<'a>, Value<'a>)>),
    Duration(Duration),
    Timestamp(jiff::Timestamp),
    Url(Box<Url>),
    Address(IpAddr),
    /// An address and the length of its prefix.
    Subnet(IpAddr, u8),
    /// In billionths.
    Quantity(i128),
    Optional(Option<Box<Value<'a>>>),
}

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    /// With its port.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl<'a> Value<'a> {
    pub(crate) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Boolean(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(items) => Self::Array(items),
            Json::Object(fields) => Self::Object(fields),
        }
    }

    pub(crate) fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }

    /// What CEL calls its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Boolean(_) => "bool",
            Self::Integer(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Array(_) | Self::List(_) => "list",
            Self::Object(_) | Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Url(_) => "kubernetes.URL",
            Self::Address(_) => "net.IP",
            Self::Subnet(..) => "net.CIDR",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Optional(_) => "optional_type",
        }
    }

    /// The elements of a list.
    pub(crate) fn items(&self) -> Option<Vec<Value<'a>>> {
        match self {
            Self::Array(items) => Some(items.iter().map(Value::of).collect()),
            Self::List(items) => Some(items.clone()),
            _ => None,
        }
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        match self {
            Self::Object(fields) => Some(
                fields
                    .iter()
                    .map(|(key, value)| (Self::Text(Cow::Borrowed(key)), Value::of(value)))
                    .collect(),
            ),
            Self::Map(entries) => Some(entries.clone()),
            _ => None,
        }
    }

    /// An entry of a map. A field that is `null` is not there: the API server drops those.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Object(fields) => fields.get(name).filter(|value| !value.is_null()).map(Value::of),
            Self::Map(entries) => {
                let named = |key: &Value<'_>| matches!(key, Value::Text(text) if text == name);
                entries.iter().find(|(key, _)| named(key)).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Boolean(left), Self::Boolean(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            (Self::Timestamp(left), Self::Timestamp(right)) => Some(left.cmp(right)),
            (Self::Quantity(left), Self::Quantity(right)) => Some(left.cmp(right)),
            (left, right) => left.number()?.partial_cmp(&right.number()?),
        }
    }

    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Url(left), Self::Url(right)) => left == right,
            (Self::Address(left), Self::Address(right)) => left == right,
            (Self::Subnet(left, length), Self::Subnet(right, other)) => left == right && length == other,
            (Self::Optional(left), Self::Optional(right)) => match (left, right) {
                (Some(left), Some(right)) => left.equals(right),
                (left, right) => left.is_none() && right.is_none(),
            },
            (Self::Array(left), Self::Array(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => left == right,
            (Self::Array(_) | Self::List(_), Self::Array(_) | Self::List(_)) => {
                let (left, right) = (self.items().unwrap_or_default(), other.items().unwrap_or_default());
                left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| left.equals(right))
            }
            (Self::Object(_) | Self::Map(_), Self::Object(_) | Self::Map(_)) => {
                let (left, right) = (self.entries().unwrap_or_default(), other.entries().unwrap_or_default());
                let held = |entry: &(Value<'_>, Value<'_>)| {
                    right.iter().any(|other| entry.0.equals(&other.0) && entry.1.equals(&other.1))
                };
                left.len() == right.len() && left.iter().all(held)
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}
