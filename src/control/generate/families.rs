//! The address families of a proxy, and what listeners and source addresses follow from them.

use std::net::IpAddr;

use super::proto::{address, core, listener, socket_address};

/// Which families a proxy has addresses of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both: a pod of a dual-stack cluster.
    Both,
}

impl Families {
    /// Those of `addresses`; IPv4 where there are none.
    pub(crate) fn of(addresses: &[IpAddr]) -> Self {
        match (addresses.iter().any(IpAddr::is_ipv4), addresses.iter().any(IpAddr::is_ipv6)) {
            (true, true) => Self::Both,
            (false, true) => Self::V6,
            _ => Self::V4,
        }
    }

    /// The address that stands for all and names listeners, and the others that do.
    pub(crate) fn any(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::V4 => ("0.0.0.0", &[]),
            Self::V6 => ("::", &[]),
            Self::Both => ("0.0.0.0", &["::"]),
        }
    }

    /// The workload's own address for what it connects to by itself.
    pub(crate) fn loopback(self) -> &'static str {
        match self {
            Self::V6 => "::1",
            Self::V4 | Self::Both => "127.0.0.1",
        }
    }

    /// Whether connections to `address` can be made.
    pub(crate) fn reach(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Both => true,
        }
    }

    /// Binds connections to the application to the addresses by which they are told from its own.
    pub(crate) fn inbound_source(self) -> core::BindConfig {
        const V4: &str = "127.0.0.6";
        const V6: &str = "::6";
        let (first, second) = match self {
            Self::V4 => (V4, None),
            Self::V6 => (V6, None),
            Self::Both => (V4, Some(V6)),
        };
        let extra = |ip: &str| core::ExtraSourceAddress {
            address: Some(socket_address(ip, 0)),
            ..core::ExtraSourceAddress::default()
        };
        core::BindConfig {
            source_address: Some(socket_address(first, 0)),
            extra_source_addresses: second.map(extra).into_iter().collect(),
            ..core::BindConfig::default()
        }
    }
}

/// Has a listener take connections to these addresses, too.
pub(crate) fn also_at<'a>(
    made: &mut listener::Listener,
    addresses: impl IntoIterator<Item = &'a str>,
    port: u16,
) {
    let additional = |ip: &str| listener::AdditionalAddress {
        address: Some(address(ip, u32::from(port))),
        ..listener::AdditionalAddress::default()
    };
    made.additional_addresses.extend(addresses.into_iter().map(additional));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dual_stack_pod_listens_on_both_and_is_called_from_both() {
        let (v4, v6) = (IpAddr::from([10, 1, 2, 3]), IpAddr::from([0xfd00_u16, 0, 0, 0, 0, 0, 0, 3]));
        assert_eq!(Families::of(&[v4, v6]).any(), ("0.0.0.0", &["::"][..]));
        assert_eq!(Families::of(&[v6]).any(), ("::", &[][..]));
        assert_eq!(Families::of(&[]).any(), ("0.0.0.0", &[][..]));
        assert!(Families::V4.reach(v4) && !Families::V4.reach(v6) && Families::Both.reach(v6));
        assert_eq!(Families::Both.inbound_source().extra_source_addresses.len(), 1);
        assert!(Families::V6.inbound_source().extra_source_addresses.is_empty());
    }
}
