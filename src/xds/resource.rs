//! A resource as it travels: name, content hash, and the encoded `google.protobuf.Any`, encoded once and shared by every peer it is
//! sent to.

use std::{hash::Hasher, sync::Arc};

use bytes::Bytes;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

/// One resource, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Name, unique in its type.
    pub name: Arc<str>,
    /// Hash of the content: equal content, equal version.
    pub version: u64,
    /// Encoded `google.protobuf.Any`.
    pub any: Bytes,
}

impl Resource {
    /// Encodes a message once.
    pub fn encode<M: Message>(name: impl Into<Arc<str>>, type_url: &str, message: &M) -> Self {
        let any = Any { type_url: type_url.to_owned(), value: message.encode_to_vec() };
        Self::from_any(name, &any)
    }

    /// From an `Any` that exists already.
    pub fn from_any(name: impl Into<Arc<str>>, any: &Any) -> Self {
        let bytes = Bytes::from(any.encode_to_vec());
        Self { name: name.into(), version: content_hash(&bytes), any: bytes }
    }
}

/// 64 bits of the content, stable within one process. Collisions would lose an update, so the hash is keyed per process and
/// has the quality of SipHash.
pub fn content_hash(bytes: &[u8]) -> u64 {
    use std::{collections::hash_map::RandomState, hash::BuildHasher, sync::OnceLock};
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    let mut hasher = KEYS.get_or_init(RandomState::new).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// An immutable list of resources of one type, sorted by name, each name once. Peers with the same view share one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceList {
    sorted: Vec<Arc<Resource>>,
}

impl ResourceList {
    /// Sorts by name; of two resources with one name the first is kept.
    pub fn new(mut resources: Vec<Arc<Resource>>) -> Self {
        resources.sort_by(|left, right| left.name.cmp(&right.name));
        resources.dedup_by(|later, earlier| later.name == earlier.name);
        resources.shrink_to_fit();
        Self { sorted: resources }
    }

    /// The resources, sorted by name.
    pub fn as_slice(&self) -> &[Arc<Resource>] {
        &self.sorted
    }

    /// The resource of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        let index = self.sorted.binary_search_by(|resource| (*resource.name).cmp(name)).ok()?;
        self.sorted.get(index)
    }

    /// Number of resources.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

impl FromIterator<Arc<Resource>> for ResourceList {
    fn from_iter<T: IntoIterator<Item = Arc<Resource>>>(resources: T) -> Self {
        Self::new(resources.into_iter().collect())
    }
}
