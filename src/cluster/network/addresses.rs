//! The addresses that one pod, or the node, has: IPv4 always, IPv6 where the cluster has both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::{Value, json};

use super::{NODE_ADDRESS, NODE_ADDRESS_V6, POD_PREFIX, POD_PREFIX_V6};

/// One address of each family that the cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The primary one: `status.podIP`, probes.
    pub(crate) v4: Ipv4Addr,
    /// The second one.
    pub(crate) v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// Those of a pod whose IPv4 address is `v4`.
    pub(super) fn of_pod(v4: Ipv4Addr, dual_stack: bool) -> Self {
        Self { v4, v6: dual_stack.then(|| beside(v4)) }
    }

    /// Those of the node.
    pub(super) fn of_node(dual_stack: bool) -> Self {
        Self::of_pod(NODE_ADDRESS, dual_stack)
    }

    /// All, the primary one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = IpAddr> + use<> {
        std::iter::once(IpAddr::V4(self.v4)).chain(self.v6.map(IpAddr::V6))
    }

    /// As a status lists them: `[{"ip": …}, …]`.
    pub(crate) fn listed(&self) -> Value {
        self.all().map(|address| json!({"ip": address.to_string()})).collect()
    }

    /// As the downward API writes them: with commas between.
    pub(crate) fn joined(&self) -> String {
        self.all().map(|address| address.to_string()).collect::<Vec<_>>().join(",")
    }
}

/// The IPv6 address with the same number within its range, so that one pool serves both families.
fn beside(address: Ipv4Addr) -> Ipv6Addr {
    let number = u32::from(address) & (u32::MAX >> POD_PREFIX);
    let network = u128::from(NODE_ADDRESS_V6) & (u128::MAX << (128 - u32::from(POD_PREFIX_V6)));
    Ipv6Addr::from(network | u128::from(number))
}

/// Whether the network namespace of the calling thread has IPv6: the kernel knows it, and nobody has switched it off.
pub(crate) fn machine_has_ipv6() -> bool {
    let disabled = Path::new("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    std::fs::read_to_string(disabled).is_ok_and(|value| value.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_address_has_the_number_of_the_first() {
        assert_eq!(Addresses::of_node(true).v6, Some(NODE_ADDRESS_V6));
        let pod = Addresses::of_pod(Ipv4Addr::new(10, 244, 1, 7), true);
        assert_eq!(pod.joined(), "10.244.1.7,fd00:10:244::107");
        assert_eq!(pod.listed(), json!([{"ip": "10.244.1.7"}, {"ip": "fd00:10:244::107"}]));
        assert_eq!(Addresses::of_pod(Ipv4Addr::new(10, 244, 1, 7), false).joined(), "10.244.1.7");
    }
}
