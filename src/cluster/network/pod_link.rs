//! A pod's interface: `eth0` in its namespace, the other end on the bridge, an address of its own of each family.

use std::net::Ipv6Addr;
use std::sync::Arc;

use nlink::netlink::link::VethLink;
use nlink::netlink::namespace::Netns;
use nlink::{Connection, Ipv4Address, Ipv4Route, Ipv6Address, Ipv6Route, Route};

use super::node_network::{balancer_route, hardware_address};
use super::{Addresses, BRIDGE, NODE_ADDRESS, NODE_ADDRESS_V6, NetworkError, NodeNetwork};

/// The connection of one pod to the bridge. [`PodLink::remove`] gives its addresses back.
pub(crate) struct PodLink {
    node: Arc<NodeNetwork>,
    addresses: Addresses,
    interface: String,
}

impl PodLink {
    /// Connects a pod's namespace and gives it addresses.
    pub(crate) async fn attach(node: &Arc<NodeNetwork>, namespace: &Netns) -> Result<Self, NetworkError> {
        let addresses = node.allocate()?;
        let [_, _, third, fourth] = addresses.v4.octets();
        let interface = format!("pod-{third}-{fourth}");
        let link = Self { node: node.clone(), addresses, interface };
        match link.connect(namespace).await {
            Ok(()) => Ok(link),
            Err(error) => {
                link.remove().await;
                Err(error)
            }
        }
    }

    async fn connect(&self, namespace: &Netns) -> Result<(), NetworkError> {
        let outside = self.node.connection();
        let name = self.interface.as_str();
        let refused = |what: &str| NetworkError::netlink(format!("{what} {name}"));
        let hardware_address = hardware_address(self.addresses.v4);
        outside
            .add_link(VethLink::new(name, "eth0").peer_address(hardware_address).peer_netns_fd(namespace))
            .await
            .map_err(NetworkError::needs("pairs of virtual interfaces", "veth", "add a pod's interface"))?;
        outside.set_link_master(name, BRIDGE).await.map_err(refused("join to the bridge"))?;
        outside.set_link_up(name).await.map_err(refused("set up"))?;
        let inside = Connection::<Route>::new_in(namespace).map_err(refused("open the namespace behind"))?;
        inside.set_link_up("lo").await.map_err(refused("set up the loopback device behind"))?;
        inside
            .add_address(Ipv4Address::new("eth0", self.addresses.v4, 32))
            .await
            .map_err(refused("give an address to the end of"))?;
        inside.set_link_up("eth0").await.map_err(refused("set up the end of"))?;
        // The gateway is outside of the pod's own /32: everything, other pods too, goes by way of the node.
        for route in [Ipv4Route::default_route(), balancer_route()] {
            inside
                .add_route(route.gateway(NODE_ADDRESS).dev("eth0").onlink().prefsrc(self.addresses.v4))
                .await
                .map_err(refused("route packets from the end of"))?;
        }
        match self.addresses.v6 {
            Some(address) => self.add_ipv6(&inside, address).await,
            None => Ok(()),
        }
    }

    async fn add_ipv6(&self, inside: &Connection<Route>, address: Ipv6Addr) -> Result<(), NetworkError> {
        let refused = |what: &str| NetworkError::netlink(format!("{what} {}", self.interface));
        inside
            .add_address(Ipv6Address::new("eth0", address, 128).nodad())
            .await
            .map_err(refused("give an IPv6 address to the end of"))?;
        inside
            .add_route(Ipv6Route::default_route().gateway(NODE_ADDRESS_V6).dev("eth0").onlink())
            .await
            .map_err(refused("route IPv6 packets from the end of"))
    }

    /// The pod's addresses.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Removes the interface, which may have gone with the namespace, and frees the addresses.
    pub(crate) async fn remove(self) {
        if let Err(error) = self.node.connection().del_link(self.interface.as_str()).await
            && !error.is_not_found()
            && !error.is_no_device()
        {
            tracing::warn!(interface = self.interface, %error, "cannot remove a pod's interface");
        }
        self.node.release(self.addresses);
    }
}
