//! The node's network namespace: loopback, the bridge with the node's addresses, forwarding.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use nlink::netlink::link::BridgeLink;
use nlink::netlink::types::route::rt_table::LOCAL as LOCAL_TABLE;
use nlink::{Connection, Ipv4Address, Ipv4Route, Route};

use super::address_pool::AddressPool;
use super::{
    BALANCER_NETWORK, BRIDGE, DNS_ADDRESS, KUBERNETES_ADDRESS, NODE_ADDRESS, NetworkError, POD_PREFIX,
    SERVICE_NETWORK, sysctl,
};

/// A hardware address that follows from the IP address, so that whoever remembers the one for the other stays right. `0a:58` marks
/// a locally administered address.
pub(super) fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [first, second, third, fourth] = address.octets();
    [0x0a, 0x58, first, second, third, fourth]
}

/// A route for the addresses of load balancers, without a device. It is in the table that the kernel looks at first, where it is more
/// precise than the loopback's own.
pub(super) fn balancer_route() -> Ipv4Route {
    let (network, prefix) = BALANCER_NETWORK;
    Ipv4Route::from_addr(network, prefix).table(u32::from(LOCAL_TABLE))
}

/// The node's side of the pods' network.
pub(crate) struct NodeNetwork {
    connection: Connection<Route>,
    addresses: Mutex<AddressPool>,
}

impl NodeNetwork {
    /// Sets up the namespace of the calling thread, which must be new. Run on a thread that was never elsewhere.
    pub(crate) async fn create() -> Result<Self, NetworkError> {
        let connection =
            Connection::<Route>::new().map_err(NetworkError::netlink("open a netlink socket"))?;
        connection.set_link_up("lo").await.map_err(NetworkError::netlink("set lo up"))?;
        // A bridge that was given no hardware address takes that of one of its ports and changes it as pods come and go; what
        // pods send to the one they remember would be lost.
        let bridge = BridgeLink::new(BRIDGE).stp(false).address(hardware_address(NODE_ADDRESS));
        connection.add_link(bridge).await.map_err(NetworkError::needs(
            "bridges",
            "bridge",
            "add the bridge sagene0",
        ))?;
        sysctl::set("net/ipv4/ip_forward", "1")?;
        for interface in ["all", "default", BRIDGE] {
            // Pods reach each other by way of the node although they share a bridge; telling them of the short way would take
            // replies past connection tracking.
            sysctl::set(&format!("net/ipv4/conf/{interface}/send_redirects"), "0")?;
            sysctl::set(&format!("net/ipv4/conf/{interface}/rp_filter"), "2")?;
        }
        for (address, prefix) in [(NODE_ADDRESS, POD_PREFIX), (KUBERNETES_ADDRESS, 32), (DNS_ADDRESS, 32)] {
            connection
                .add_address(Ipv4Address::new(BRIDGE, address, prefix))
                .await
                .map_err(NetworkError::netlink(format!("give {BRIDGE} the address {address}")))?;
        }
        connection.set_link_up(BRIDGE).await.map_err(NetworkError::netlink("set the bridge up"))?;
        let (network, prefix) = SERVICE_NETWORK;
        // The node's own connections to Services need some route before their destination is translated.
        for route in [Ipv4Route::from_addr(network, prefix), balancer_route()] {
            connection
                .add_route(route.dev(BRIDGE).prefsrc(NODE_ADDRESS))
                .await
                .map_err(NetworkError::netlink("route the Services' range"))?;
        }
        Ok(Self { connection, addresses: Mutex::new(AddressPool::new()) })
    }

    pub(super) fn connection(&self) -> &Connection<Route> {
        &self.connection
    }

    pub(super) fn allocate(&self) -> Result<Ipv4Addr, NetworkError> {
        self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).allocate()
    }

    pub(super) fn release(&self, address: Ipv4Addr) {
        self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).release(address);
    }
}
