//! What expressions can ask of a request: Envoy's attributes.

use sagene_model::request_attributes::ATTRIBUTES;

use crate::access_log::format::Facts;
use crate::filter::attribute_gen::Attribute as Generated;
use crate::filter::peer_metadata::Peer;

use super::evaluate::Value;

/// What attributes are read from.
#[derive(Clone, Copy)]
pub(crate) struct CelFacts<'f> {
    pub(crate) facts: Facts<'f>,
    /// Who called, where known.
    pub(crate) downstream_peer: Option<&'f Peer>,
    /// Who answered, where known.
    pub(crate) upstream_peer: Option<&'f Peer>,
    /// What filters made of it.
    pub(crate) generated: &'f [Generated],
}

impl<'f> From<Facts<'f>> for CelFacts<'f> {
    fn from(facts: Facts<'f>) -> Self {
        Self { facts, downstream_peer: None, upstream_peer: None, generated: &[] }
    }
}

/// An attribute, or a group of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Group(&'static str),
    Field(&'static str, &'static str),
    /// A name that is none. As in Envoy it is no mistake of the configuration: it has no value in any request.
    Unknown,
}

/// Envoy's bits of response flags, by the short names of the flags.
const FLAG_BITS: [(&str, i64); 20] = [
    ("UH", 0x2),
    ("UT", 0x4),
    ("LR", 0x8),
    ("UR", 0x10),
    ("UF", 0x20),
    ("UC", 0x40),
    ("UO", 0x80),
    ("NR", 0x100),
    ("DI", 0x200),
    ("FI", 0x400),
    ("RL", 0x800),
    ("UAEX", 0x1000),
    ("RLSE", 0x2000),
    ("DC", 0x4000),
    ("URX", 0x8000),
    ("SI", 0x10000),
    ("DPE", 0x40000),
    ("UPE", 0x800_000),
    ("NC", 0x2_000_000),
    ("DT", 0x400_000),
];

impl Attribute {
    /// A group by its name.
    pub(super) fn root(name: &str) -> Self {
        let found = ATTRIBUTES.iter().find(|(known, _)| *known == name);
        found.map_or(Self::Unknown, |(known, _)| Self::Group(known))
    }

    /// An attribute of a group; `None` where the selection is one of a map.
    pub(super) fn select(self, name: &str) -> Option<Self> {
        let group = match self {
            Self::Group(group) => group,
            Self::Unknown => return Some(Self::Unknown),
            Self::Field(..) => return None,
        };
        let fields =
            ATTRIBUTES.iter().find(|(known, _)| *known == group).map_or(&[][..], |(_, fields)| fields);
        if fields.is_empty() {
            return None;
        }
        let found = fields.iter().find(|known| **known == name);
        Some(found.map_or(Self::Unknown, |field| Self::Field(group, field)))
    }

    /// Its value; `None` where the request has none.
    pub(super) fn value(self, from: &CelFacts<'_>) -> Option<Value> {
        match self {
            Self::Field("request", name) => request(name, from),
            Self::Field("response", name) => response(name, from),
            Self::Field("connection", name) => connection(name, from),
            Self::Field("source", "address") => text(from.facts.connection.remote.to_string()),
            Self::Field("source", _) => number(from.facts.connection.remote.port()),
            Self::Field("destination", "address") => text(from.facts.connection.local.to_string()),
            Self::Field("destination", _) => number(from.facts.connection.local.port()),
            Self::Field("upstream", name) => upstream(name, from),
            Self::Field("xds", "cluster_name") => text(from.facts.info.cluster.as_deref()?),
            Self::Field("xds", _) => text(from.facts.info.route_name.as_deref()?),
            _ => None,
        }
    }
}

fn text(value: impl Into<String>) -> Option<Value> {
    Some(Value::Text(value.into()))
}

fn number(value: impl Into<i64>) -> Option<Value> {
    Some(Value::Integer(value.into()))
}

fn count(value: u64) -> Option<Value> {
    Some(Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn bytes(value: &[u8]) -> Option<Value> {
    (!value.is_empty()).then(|| Value::Text(String::from_utf8_lossy(value).into_owned()))
}

fn request(name: &str, from: &CelFacts<'_>) -> Option<Value> {
    let facts = &from.facts;
    let [method, path, authority, scheme] = facts.pseudo;
    let (only_path, query) = crate::config::split_query(path);
    let header = |name: &[u8]| facts.request.get(name).and_then(bytes);
    match name {
        "path" => bytes(path),
        "url_path" => bytes(only_path),
        "query" => text(String::from_utf8_lossy(query)),
        "host" => bytes(authority),
        "scheme" => bytes(scheme),
        "method" => bytes(method),
        "referer" => header(b"referer"),
        "useragent" => header(b"user-agent"),
        "id" => header(b"x-request-id"),
        "protocol" => text(facts.info.protocol),
        "size" => count(facts.info.bytes_received),
        "total_size" => count(facts.info.bytes_received + facts.request.byte_size() as u64),
        "duration" => Some(Value::Double(facts.info.duration.as_secs_f64())),
        "time" => text(jiff::Timestamp::try_from(facts.info.start_time).ok()?.to_string()),
        _ => None,
    }
}

fn response(name: &str, from: &CelFacts<'_>) -> Option<Value> {
    let facts = &from.facts;
    match name {
        "code" => (facts.info.response_code != 0).then(|| Value::Integer(facts.info.response_code.into())),
        "code_details" => bytes(facts.info.details.as_bytes()),
        "flags" => {
            let set = FLAG_BITS.iter().filter(|(short, _)| facts.info.flags.has(short));
            Some(Value::Integer(set.map(|(_, bit)| bit).sum()))
        }
        "grpc_status" => number(facts.info.grpc_status?),
        "size" => count(facts.info.bytes_sent),
        "total_size" => count(facts.info.bytes_sent + facts.response.byte_size() as u64),
        _ => None,
    }
}

fn connection(name: &str, from: &CelFacts<'_>) -> Option<Value> {
    let connection = from.facts.connection;
    let peer = connection.peer.as_deref();
    match name {
        "mtls" => Some(Value::Boolean(peer.is_some())),
        "requested_server_name" => bytes(connection.server_name.as_bytes()),
        "uri_san_peer_certificate" => text(peer?.uris.first()?.as_str()),
        "uri_san_local_certificate" => text(connection.local_principal.as_deref()?),
        "dns_san_peer_certificate" => text(peer?.dns.first()?.as_str()),
        "subject_peer_certificate" => text(peer?.subject.as_str()),
        _ => None,
    }
}

fn upstream(name: &str, from: &CelFacts<'_>) -> Option<Value> {
    let info = from.facts.info;
    match name {
        "address" => text(info.upstream_host?.to_string()),
        "port" => number(info.upstream_host?.port()),
        "local_address" => text(info.upstream_local?.to_string()),
        "transport_failure_reason" => bytes(info.transport_failure.as_bytes()),
        "request_attempt_count" => number(info.attempts),
        _ => None,
    }
}

/// An entry of an attribute that is a map.
pub(super) fn entry(attribute: Attribute, key: &str, from: &CelFacts<'_>) -> Option<Value> {
    match attribute {
        Attribute::Field("request", "headers") => {
            from.facts.request.get(key.to_ascii_lowercase().as_bytes()).and_then(bytes)
        }
        Attribute::Field("response", "headers") => {
            from.facts.response.get(key.to_ascii_lowercase().as_bytes()).and_then(bytes)
        }
        Attribute::Group("filter_state") => match key {
            "downstream_peer" => from.downstream_peer.map(peer),
            "upstream_peer" => from.upstream_peer.map(peer),
            other => {
                let name = other.strip_prefix("wasm.")?;
                let found = from.generated.iter().rev().find(|(known, _)| **known == *name);
                found.map(|(_, value)| Value::Text(value.to_string()))
            }
        },
        _ => None,
    }
}

fn peer(from: &Peer) -> Value {
    let fields = [
        ("workload", &from.workload),
        ("namespace", &from.namespace),
        ("app", &from.app),
        ("version", &from.version),
        ("service", &from.canonical_service),
        ("revision", &from.canonical_revision),
        ("cluster", &from.cluster),
    ];
    Value::Map(fields.into_iter().map(|(name, value)| (name, value.clone())).collect())
}
