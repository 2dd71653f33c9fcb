//! A pod's interface: `eth0` in its namespace, the other end on the bridge, an address of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;

use nlink::netlink::link::VethLink;
use nlink::netlink::namespace::Netns;
use nlink::{Connection, Ipv4Address, Ipv4Route, Route};

use super::node_network::{balancer_route, hardware_address};
use super::{BRIDGE, NODE_ADDRESS, NetworkError, NodeNetwork};

/// The connection of one pod to the bridge. [`PodLink::remove`] gives its address back.
pub(crate) struct PodLink {
    node: Arc<NodeNetwork>,
    address: Ipv4Addr,
    interface: String,
}

impl PodLink {
    /// Connects a pod's namespace and gives it an address.
    pub(crate) async fn attach(node: &Arc<NodeNetwork>, namespace: &Netns) -> Result<Self, NetworkError> {
        let address = node.allocate()?;
        let [_, _, third, fourth] = address.octets();
        let interface = format!("pod-{third}-{fourth}");
        let link = Self { node: node.clone(), address, interface };
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
        let hardware_address = hardware_address(self.address);
        outside
            .add_link(VethLink::new(name, "eth0").peer_address(hardware_address).peer_netns_fd(namespace))
            .await
            .map_err(NetworkError::needs("pairs of virtual interfaces", "veth", "add a pod's interface"))?;
        outside.set_link_master(name, BRIDGE).await.map_err(refused("join to the bridge"))?;
        outside.set_link_up(name).await.map_err(refused("set up"))?;
        let inside = Connection::<Route>::new_in(namespace).map_err(refused("open the namespace behind"))?;
        inside.set_link_up("lo").await.map_err(refused("set up the loopback device behind"))?;
        inside
            .add_address(Ipv4Address::new("eth0", self.address, 32))
            .await
            .map_err(refused("give an address to the end of"))?;
        inside.set_link_up("eth0").await.map_err(refused("set up the end of"))?;
        // The gateway is outside of the pod's own /32: everything, other pods too, goes by way of the node.
        for route in [Ipv4Route::default_route(), balancer_route()] {
            inside
                .add_route(route.gateway(NODE_ADDRESS).dev("eth0").onlink().prefsrc(self.address))
                .await
                .map_err(refused("route packets from the end of"))?;
        }
        Ok(())
    }

    /// The pod's address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Removes the interface, which may have gone with the namespace, and frees the address.
    pub(crate) async fn remove(self) {
        if let Err(error) = self.node.connection().del_link(self.interface.as_str()).await
            && !error.is_not_found()
            && !error.is_no_device()
        {
            tracing::warn!(interface = self.interface, %error, "cannot remove a pod's interface");
        }
        self.node.release(self.address);
    }
}
