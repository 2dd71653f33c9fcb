//! Envoy's JSON of protobuf messages, both ways: proto field names, enums and durations as text, `Any` expanded.
//!
//! The descriptors behind it take a few megabytes once read; they live as long as somebody holds the [`Codec`] and are
//! read again when needed.

mod decode;
mod encode;
mod merge;
mod without;

#[cfg(test)]
mod tests;

pub use merge::Lists;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
pub use without::{Removal, Rest, Unwanted};

use envoy_types::pb::google::protobuf::Any;
use prost_reflect::DescriptorPool;
use serde_json::Value;

/// Descriptors of Envoy's and Istio's configuration messages (see `build.rs`).
static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.descriptors"));

static SHARED: Mutex<Weak<Codec>> = Mutex::new(Weak::new());

/// Why JSON and a message do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The descriptors in this program are damaged.
    #[error("the descriptors of Envoy's messages cannot be read")]
    Descriptors(#[source] prost_reflect::DescriptorError),
    /// No such message here.
    #[error("{0} is not a message known here")]
    UnknownType(String),
    /// The bytes are not such a message.
    #[error("not a {type_name}")]
    Bytes {
        /// Full name of the message.
        type_name: String,
        /// What is wrong.
        source: prost::DecodeError,
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

/// Converts messages; obtained from [`codec`] and shared.
#[derive(Debug)]
pub struct Codec {
    pool: DescriptorPool,
}

/// The codec of this process.
///
/// # Errors
/// [`JsonError::Descriptors`].
pub fn codec() -> Result<Arc<Codec>, JsonError> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(codec) = shared.upgrade() {
        return Ok(codec);
    }
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(JsonError::Descriptors)?;
    let codec = Arc::new(Codec { pool });
    *shared = Arc::downgrade(&codec);
    Ok(codec)
}

impl Codec {
    /// A message by the type URL or full name of its type, without `@type`.
    ///
    /// # Errors
    /// [`JsonError::UnknownType`], [`JsonError::Bytes`].
    pub fn to_json(&self, type_url: &str, bytes: &[u8]) -> Result<Value, JsonError> {
        encode::message(&self.pool, full_name(type_url), bytes)
    }

    /// A message of any type with its `@type` first. One whose type is not known is shown as its bytes in base64.
    pub fn any_to_json(&self, any: &Any) -> Value {
        encode::any(&self.pool, &any.type_url, &any.value)
    }

    /// Reads JSON as a message; field names may be proto's or camel case. The result are the message's bytes.
    ///
    /// # Errors
    /// [`JsonError::Field`] names the path of the first field that does not fit.
    pub fn from_json(&self, type_url: &str, value: &Value) -> Result<Vec<u8>, JsonError> {
        decode::message(&self.pool, full_name(type_url), value)
    }

    /// Merges a patch into a message of the same type; all encoded.
    ///
    /// # Errors
    /// [`JsonError::UnknownType`], [`JsonError::Bytes`]; [`JsonError::Field`] where messages inside `Any` differ in type.
    pub fn merge(
        &self,
        type_url: &str,
        base: &[u8],
        patch: &[u8],
        lists: Lists,
    ) -> Result<Vec<u8>, JsonError> {
        merge::merge(&self.pool, type_url, base, patch, lists)
    }

    /// Takes the fields that `unwanted` names out of an encoded message, wherever they stand in it.
    ///
    /// # Errors
    /// [`JsonError::UnknownType`], [`JsonError::Bytes`].
    pub fn without(&self, type_url: &str, bytes: &[u8], unwanted: Unwanted<'_>) -> Result<Rest, JsonError> {
        without::without(&self.pool, type_url, bytes, unwanted)
    }

    /// The fields that are set in an encoded message and in those inside it, as `full.name.of.Message.field`.
    ///
    /// # Errors
    /// [`JsonError::UnknownType`], [`JsonError::Bytes`].
    pub fn fields(&self, type_url: &str, bytes: &[u8]) -> Result<BTreeSet<String>, JsonError> {
        without::fields(&self.pool, type_url, bytes)
    }
}

/// One message as JSON. For many, hold a [`codec`].
///
/// # Errors
/// As [`Codec::to_json`].
pub fn to_json(type_url: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    codec()?.to_json(type_url, bytes)
}

/// One message of any type as JSON. For many, hold a [`codec`].
///
/// # Errors
/// [`JsonError::Descriptors`].
pub fn any_to_json(any: &Any) -> Result<Value, JsonError> {
    Ok(codec()?.any_to_json(any))
}

/// One message from JSON.
///
/// # Errors
/// As [`Codec::from_json`].
pub fn from_json(type_url: &str, value: &Value) -> Result<Vec<u8>, JsonError> {
    codec()?.from_json(type_url, value)
}

/// The name after the last slash of a type URL.
fn full_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}
