//! A resource as it travels: name, content hash, and the encoded `google.protobuf.Any`, encoded once and shared by every peer it is
//! sent to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

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

    /// The message, decoded again; for debug views and tests.
    pub fn decode<M: Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(Any::decode(self.any.clone())?.value.as_slice())
    }

    /// From an `Any` that exists already.
    pub fn from_any(name: impl Into<Arc<str>>, any: &Any) -> Self {
        let bytes = Bytes::from(any.encode_to_vec());
        Self { name: name.into(), version: content_hash(&bytes), any: bytes }
    }
}

/// FNV-1a over eight bytes at a time: the same on every machine and in every process.
fn content_hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    mix(hash, bytes.len() as u64)
}

/// Hash of texts in the order they come.
pub(crate) fn hash_of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> u64 {
    texts.fold(0, |hash, text| mix(hash, content_hash(text)))
}

fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    hash ^ (hash >> 29)
}

/// Resources of one type, sorted by name, each name once. Peers with the same view share one set: where pointer or version are those
/// of the last push, nothing has to be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceSet {
    /// Hash of all names and versions.
    pub version: u64,
    /// The resources, by name.
    pub resources: Vec<Arc<Resource>>,
}

impl ResourceSet {
    /// Sorts by name; of several resources with one name the first stays.
    pub fn new(mut resources: Vec<Arc<Resource>>) -> Arc<Self> {
        resources.sort_by(|left, right| left.name.cmp(&right.name));
        resources.dedup_by(|later, first| later.name == first.name);
        Arc::new(Self::sorted(resources))
    }

    fn sorted(resources: Vec<Arc<Resource>>) -> Self {
        let version = resources.iter().fold(resources.len() as u64, |hash, resource| {
            mix(mix(hash, content_hash(resource.name.as_bytes())), resource.version)
        });
        Self { version, resources }
    }

    /// The resource of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        let at = self.resources.binary_search_by(|resource| (*resource.name).cmp(name)).ok()?;
        self.resources.get(at)
    }

    /// This set with the resources of `names` replaced by those in `newer`; names that are not in `newer` go. Peers that had the same
    /// set and are told the same share the result, too.
    pub(crate) fn patched_shared(self: &Arc<Self>, names: &[Arc<str>], newer: &Self) -> Arc<Self> {
        type Table = HashMap<(usize, u64, u64), (Weak<ResourceSet>, Weak<ResourceSet>)>;
        static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
        let wanted = hash_of(names.iter().map(|name| name.as_bytes()));
        let key = (Arc::as_ptr(self) as usize, newer.version, wanted);
        let table = || TABLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, after)) = table().get(&key)
            && before.upgrade().is_some_and(|before| Arc::ptr_eq(&before, self))
            && let Some(after) = after.upgrade()
        {
            return after;
        }
        let made = self.patched(names, newer);
        let mut table = table();
        if table.len() >= 256 {
            table.retain(|_, (before, after)| before.strong_count() > 0 && after.strong_count() > 0);
        }
        table.insert(key, (Arc::downgrade(self), Arc::downgrade(&made)));
        made
    }

    fn patched(&self, names: &[Arc<str>], newer: &Self) -> Arc<Self> {
        let kept = self.resources.iter().filter(|resource| names.binary_search(&resource.name).is_err());
        let mut resources: Vec<_> = kept.chain(&newer.resources).cloned().collect();
        resources.sort_by(|left, right| left.name.cmp(&right.name));
        Arc::new(Self::sorted(resources))
    }
}
