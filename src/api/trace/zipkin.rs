//! Spans as Zipkin's API takes them (`POST /api/v2/spans`, a list).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One span.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    /// Trace id: 16 or 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// The span that caused this one; 16 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Id of the span; 16 digits.
    pub id: String,
    /// `CLIENT`, `SERVER`, `PRODUCER` or `CONSUMER`; empty for work within a process.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What was done.
    pub name: String,
    /// Start, in microseconds since 1970.
    pub timestamp: u64,
    /// Length in microseconds, at least 1.
    pub duration: u64,
    /// Who reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_endpoint: Option<Endpoint>,
    /// The other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_endpoint: Option<Endpoint>,
    /// Facts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Whether the id is shared with the other side's span.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

/// A service at an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Name of the service.
    pub service_name: String,
    /// IPv4 address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// IPv6 address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// Port; 0 where unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: u16,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}
