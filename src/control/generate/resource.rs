//! A generated resource: encoded once, shared by every proxy that gets it.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
pub use sagene_xds::{Resource, ResourceSet};

use super::content_hash;

/// Encodes a message. The same content has the same version, also after a restart and on another replica.
pub(crate) fn encode<M: Message + prost::Name>(name: &str, message: &M) -> Arc<Resource> {
    let any = super::proto::any(message);
    let version = content_hash::of(&any.type_url, &any.value);
    Arc::new(Resource { name: name.into(), version, any: Bytes::from(any.encode_to_vec()) })
}
