//! From which addresses a cluster's connections are made.

use std::net::{IpAddr, SocketAddr};

use super::field::{FieldError, Within, refuse_fields};
use super::proto::{self, core};

/// The addresses of a bind configuration; the first of a destination's family is used.
#[derive(Debug, Default)]
pub(crate) struct SourceAddresses(Vec<IpAddr>);

impl SourceAddresses {
    /// Compiles `upstream_bind_config`.
    pub(crate) fn compile(from: Option<&core::BindConfig>) -> Result<Self, FieldError> {
        let Some(from) = from else { return Ok(Self::default()) };
        let mut addresses = Vec::new();
        if let Some(address) = &from.source_address {
            addresses.push(proto::ip_and_port(address).within("source_address")?.ip());
        }
        for (index, extra) in from.extra_source_addresses.iter().enumerate() {
            refuse_fields!(extra, socket_options);
            if let Some(address) = &extra.address {
                addresses
                    .push(proto::ip_and_port(address).within_item("extra_source_addresses", index)?.ip());
            }
        }
        Ok(Self(addresses))
    }

    /// The one for connections to `address`; `None` = whichever the system chooses.
    pub(crate) fn for_destination(&self, address: SocketAddr) -> Option<IpAddr> {
        self.0.iter().copied().find(|source| source.is_ipv4() == address.is_ipv4())
    }
}
