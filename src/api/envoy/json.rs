//! Envoy's JSON of protobuf messages, both ways: proto field names, enums and durations as text, `Any` expanded.

mod decode;
mod encode;
mod merge;
mod without;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use envoy_types::pb::google::protobuf::Any;
use serde_json::Value;

pub use super::reflect::WireError;
use super::reflect::{Message, MessageDescriptor};
pub use merge::Lists;
pub use without::{Removal, Rest, Unwanted};

/// Why JSON and a message do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No such message here.
    #[error("{0} is not a message known here")]
    UnknownType(String),
    /// The bytes are not such a message.
    #[error("not a {type_name}")]
    Bytes {
        /// Full name of the message.
        type_name: String,
        /// What is wrong.
        source: WireError,
    },
    /// The JSON does not fit.
    #[error("{path}: {reason}")]
    Field {
        /// Where: `static_resources.clusters[0].connect_timeout`.
        path: String,
        /// What is wrong and what would be accepted.
        reason: String,
    },
}

/// A message by the type URL or full name of its type as JSON, without `@type`.
///
/// # Errors
/// [`JsonError::UnknownType`], [`JsonError::Bytes`].
pub fn to_json(type_url: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    encode::message(type_url, bytes)
}

/// A message of any type as JSON with its `@type` first. One whose type is not known is shown as its bytes in base64.
pub fn any_to_json(any: &Any) -> Value {
    encode::any(&any.type_url, &any.value)
}

/// Reads JSON as a message; field names may be proto's or camel case. The result are the message's bytes.
///
/// # Errors
/// [`JsonError::UnknownType`]; [`JsonError::Field`] names the path of the first field that does not fit.
pub fn from_json(type_url: &str, value: &Value) -> Result<Vec<u8>, JsonError> {
    decode::message(type_url, value)
}

/// Merges a patch into a message of the same type; all encoded.
///
/// # Errors
/// [`JsonError::UnknownType`], [`JsonError::Bytes`]; [`JsonError::Field`] where messages inside `Any` differ in type.
pub fn merge(type_url: &str, base: &[u8], patch: &[u8], lists: Lists) -> Result<Vec<u8>, JsonError> {
    merge::merge(type_url, base, patch, lists)
}

/// Takes the fields that `unwanted` names out of an encoded message, wherever they stand in it.
///
/// # Errors
/// [`JsonError::UnknownType`], [`JsonError::Bytes`].
pub fn without(type_url: &str, bytes: &[u8], unwanted: Unwanted<'_>) -> Result<Rest, JsonError> {
    without::without(type_url, bytes, unwanted)
}

/// The fields that are set in an encoded message and in those inside it, as `full.name.of.Message.field`.
///
/// # Errors
/// [`JsonError::UnknownType`], [`JsonError::Bytes`].
pub fn fields(type_url: &str, bytes: &[u8]) -> Result<BTreeSet<String>, JsonError> {
    without::fields(type_url, bytes)
}

fn descriptor(type_url: &str) -> Result<MessageDescriptor, JsonError> {
    let name = full_name(type_url);
    MessageDescriptor::named(name).ok_or_else(|| JsonError::UnknownType(name.to_owned()))
}

fn read(type_url: &str, bytes: &[u8]) -> Result<Message, JsonError> {
    let descriptor = descriptor(type_url)?;
    Message::decode(descriptor, bytes)
        .map_err(|source| JsonError::Bytes { type_name: descriptor.full_name().to_owned(), source })
}

/// The name after the last slash of a type URL.
fn full_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}
