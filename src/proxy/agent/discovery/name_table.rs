//! Istio's name table (NDS) as it is on the wire.

use std::collections::HashMap;

use prost::Message;

use crate::dns::{Host, NameTable};

/// `istio.networking.nds.v1.NameTable`.
#[derive(Clone, PartialEq, Message)]
struct WireTable {
    #[prost(map = "string, message", tag = "1")]
    table: HashMap<String, NameInfo>,
}

/// `istio.networking.nds.v1.NameTable.NameInfo`, as far as names are looked up.
#[derive(Clone, PartialEq, Message)]
struct NameInfo {
    #[prost(string, repeated, tag = "1")]
    ips: Vec<String>,
    #[prost(string, tag = "2")]
    registry: String,
}

/// The hosts of a received table in the place of `current`'s. Addresses that cannot be read are left out.
pub(super) fn decode(bytes: &[u8], current: &NameTable) -> Result<NameTable, prost::DecodeError> {
    let wire = WireTable::decode(bytes)?;
    Ok(current.with_hosts(wire.table.into_iter().map(|(name, info)| {
        let host = Host {
            addresses: info.ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
            kubernetes: info.registry == "Kubernetes",
        };
        (name, host)
    })))
}
