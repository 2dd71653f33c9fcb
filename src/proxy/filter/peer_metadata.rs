//! Who is on the other side: workload facts that proxies tell each other in headers and read from endpoint metadata.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use prost::Message;

/// Header with the encoded facts.
pub(crate) const METADATA_HEADER: &[u8] = b"x-envoy-peer-metadata";
/// Header with the node id of the sender.
pub(crate) const ID_HEADER: &[u8] = b"x-envoy-peer-metadata-id";
/// Header of an answer that a sidecar gives in place of its application, which no connection could be made to: the request was not
/// delivered, and the peer may send it to another endpoint as if it had not reached this one. Proxies that know of no such header pass
/// it on.
pub(crate) const UNDELIVERED_HEADER: &[u8] = b"x-sagene-undelivered";
/// Largest encoded form taken from a peer.
const LIMIT: usize = 16 * 1024;

/// The facts of one workload, as metric labels need them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// Workload name (Deployment).
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// `app` label.
    pub app: String,
    /// `version` label.
    pub version: String,
    /// Canonical service.
    pub canonical_service: String,
    /// Canonical revision.
    pub canonical_revision: String,
    /// Cluster id.
    pub cluster: String,
}

impl Default for Peer {
    fn default() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            workload: unknown(),
            namespace: unknown(),
            app: unknown(),
            version: unknown(),
            canonical_service: unknown(),
            canonical_revision: "latest".to_owned(),
            cluster: unknown(),
        }
    }
}

impl Peer {
    pub(crate) fn from_struct(from: &Struct) -> Self {
        let text = |fields: &HashMap<String, Value>, key: &str| match fields
            .get(key)
            .and_then(|v| v.kind.as_ref())
        {
            Some(Kind::StringValue(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let empty = HashMap::new();
        let labels = match from.fields.get("LABELS").and_then(|v| v.kind.as_ref()) {
            Some(Kind::StructValue(labels)) => &labels.fields,
            _ => &empty,
        };
        let label = |keys: &[&str]| keys.iter().find_map(|key| text(labels, key));
        let workload = text(&from.fields, "WORKLOAD_NAME").unwrap_or_else(|| "unknown".into());
        let app = label(&["app", "app.kubernetes.io/name"]);
        let version = label(&["version", "app.kubernetes.io/version"]);
        Self {
            namespace: text(&from.fields, "NAMESPACE").unwrap_or_else(|| "unknown".into()),
            canonical_service: label(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
                .unwrap_or_else(|| workload.clone()),
            canonical_revision: label(&[
                "service.istio.io/canonical-revision",
                "app.kubernetes.io/version",
                "version",
            ])
            .unwrap_or_else(|| "latest".into()),
            cluster: text(&from.fields, "CLUSTER_ID").unwrap_or_else(|| "unknown".into()),
            app: app.unwrap_or_else(|| "unknown".into()),
            version: version.unwrap_or_else(|| "unknown".into()),
            workload,
        }
    }

    /// The facts of a node from its bootstrap metadata.
    pub(crate) fn of_node(node: &Node) -> Self {
        node.metadata.as_ref().map(Self::from_struct).unwrap_or_default()
    }

    /// Decodes the header value of a peer; `None` when it is not one.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        if value.len() > LIMIT {
            return None;
        }
        let bytes = STANDARD.decode(value).ok()?;
        Some(Self::from_struct(&Struct::decode(bytes.as_slice()).ok()?))
    }

    /// Reads `name;namespace;canonical name;canonical revision;cluster` of an endpoint.
    pub(crate) fn of_endpoint(text: &str) -> Self {
        let mut parts = text.split(';').map(|part| (!part.is_empty()).then(|| part.to_owned()));
        let mut next = || parts.next().flatten();
        let mut peer = Self::default();
        if let Some(workload) = next() {
            peer.workload = workload;
        }
        if let Some(namespace) = next() {
            peer.namespace = namespace;
        }
        if let Some(name) = next() {
            peer.app.clone_from(&name);
            peer.canonical_service = name;
        }
        if let Some(revision) = next() {
            peer.version.clone_from(&revision);
            peer.canonical_revision = revision;
        }
        if let Some(cluster) = next() {
            peer.cluster = cluster;
        }
        peer
    }
}

/// What this proxy says about itself: node id and encoded facts, ready for headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnMetadata {
    pub(crate) id: String,
    pub(crate) encoded: String,
    /// The facts as they are told.
    pub(crate) told: Struct,
    pub(crate) peer: Arc<Peer>,
    /// Name of the cluster of nodes (`reviews.default`): the service in traces.
    pub(crate) cluster: String,
    pub(crate) zone: String,
    /// Its own address, as the id says it.
    pub(crate) address: Option<std::net::IpAddr>,
}

impl OwnMetadata {
    pub(crate) fn of_node(node: &Node) -> Self {
        const KEYS: [&str; 7] =
            ["NAME", "NAMESPACE", "CLUSTER_ID", "OWNER", "WORKLOAD_NAME", "LABELS", "IDENTITY"];
        let fields =
            node.metadata.iter().flat_map(|m| &m.fields).filter(|(key, _)| KEYS.contains(&key.as_str()));
        let told = Struct { fields: fields.map(|(k, v)| (k.clone(), v.clone())).collect() };
        Self {
            id: node.id.clone(),
            encoded: STANDARD.encode(told.encode_to_vec()),
            told,
            peer: Arc::new(Peer::of_node(node)),
            cluster: node.cluster.clone(),
            zone: node.locality.as_ref().map(|locality| locality.zone.clone()).unwrap_or_default(),
            address: node.id.split('~').nth(1).and_then(|address| address.parse().ok()),
        }
    }
}

/// Peers decoded by one worker, by their node id, so that each is decoded once.
#[derive(Debug, Default)]
pub(crate) struct PeerCache(HashMap<Vec<u8>, Arc<Peer>>);

impl PeerCache {
    /// The peer for a key, decoded at first sight. Bounded: a full cache starts over.
    pub(crate) fn get(&mut self, key: &[u8], decode: impl FnOnce() -> Option<Peer>) -> Option<Arc<Peer>> {
        if let Some(peer) = self.0.get(key) {
            return Some(peer.clone());
        }
        let peer = Arc::new(decode()?);
        if self.0.len() >= 4096 {
            self.0.clear();
        }
        self.0.insert(key.to_vec(), peer.clone());
        Some(peer)
    }
}
