//! A generated resource: encoded once, shared by every proxy that gets it.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::content_hash;
use super::proto::Any;

/// A resource as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Name within its type.
    pub name: Arc<str>,
    /// Hash of the content: the same content has the same version, also after a restart and on another replica.
    pub version: u64,
    /// The resource in a `google.protobuf.Any`, encoded.
    pub any: Bytes,
}

impl Resource {
    /// Encodes a message.
    pub fn new<M: Message + prost::Name>(name: &str, message: &M) -> Arc<Self> {
        let any = super::proto::any(message);
        let version = content_hash::of(&any.type_url, &any.value);
        Arc::new(Self { name: name.into(), version, any: Bytes::from(any.encode_to_vec()) })
    }

    /// The message, decoded again; for debug views and tests.
    pub fn decode<M: Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(Any::decode(self.any.clone())?.value.as_slice())
    }
}

/// Every resource of one type that a proxy gets. Proxies with the same view share one set: where the pointer or the version is that of
/// the last push, nothing has to be compared.
#[derive(Debug, Default)]
pub struct ResourceSet {
    /// Hash of all names and versions.
    pub version: u64,
    /// The resources, by name.
    pub resources: Vec<Arc<Resource>>,
}

impl ResourceSet {
    /// A set of these resources; of several with one name, the first stays.
    pub fn new(mut resources: Vec<Arc<Resource>>) -> Arc<Self> {
        resources.sort_by(|left, right| left.name.cmp(&right.name));
        resources.dedup_by(|later, first| later.name == first.name);
        let mut version = content_hash::Fnv::default();
        for resource in &resources {
            version.write(resource.name.as_bytes());
            version.write(&resource.version.to_le_bytes());
        }
        Arc::new(Self { version: version.finish(), resources })
    }

    /// One resource by name.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        let at = self.resources.binary_search_by(|resource| resource.name.as_ref().cmp(name)).ok()?;
        self.resources.get(at)
    }
}
