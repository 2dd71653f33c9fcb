//! The address that the node has on the machine: `status.hostIP` of its pods, the node's `InternalIP`.
//!
//! Tutorials reach node ports there, so it has to answer on the machine as well as in pods. It is one of [`BALANCER_NETWORK`]'s: an
//! ordinary user may listen there, and in pods the range leads to the node.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::Socket;

use super::{BALANCER_NETWORK, HostNetwork, NODE_ADDRESS};

/// Who has this port of an address has the address; it is the kubelet's, and no node port can be it.
const CLAIM_PORT: u16 = 10250;

/// Apart from the addresses of load balancers: the last 254 of the range.
const HOSTS: std::ops::RangeInclusive<u32> = 0xff01..=0xfffe;

/// An address that no other cluster of this machine has, for as long as this lives.
pub(crate) struct HostAddress {
    address: Ipv4Addr,
    /// Bound and not listening: connections are refused.
    _claim: Option<Socket>,
}

impl HostAddress {
    /// The first that is free. Where none is, the node's address on the bridge, which the machine itself does not reach.
    pub(crate) fn claim(host: &HostNetwork) -> Self {
        let (network, _) = BALANCER_NETWORK;
        for number in HOSTS {
            let address = Ipv4Addr::from(u32::from(network) + number);
            if let Ok(claim) = host.reserve(SocketAddr::from((address, CLAIM_PORT))) {
                return Self { address, _claim: Some(claim) };
            }
        }
        tracing::warn!(
            "no address of the machine's loopback is free: status.hostIP is not reached from the machine"
        );
        Self { address: NODE_ADDRESS, _claim: None }
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::is_balancer_address;

    #[tokio::test]
    async fn two_clusters_have_different_addresses_and_node_ports_on_them() {
        let host = HostNetwork::start().expect("the host network");
        let (one, two) = (HostAddress::claim(&host), HostAddress::claim(&host));
        assert_ne!(one.address(), two.address());
        assert!(is_balancer_address(one.address()) && is_balancer_address(two.address()));
        let first = one.address();
        host.listen(SocketAddr::from((first, 0))).expect("a node port");
        drop(one);
        assert_eq!(HostAddress::claim(&host).address(), first);
    }
}
