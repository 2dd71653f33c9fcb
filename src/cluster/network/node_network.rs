//! The node's network namespace: loopback, the bridge with the node's addresses, forwarding.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use nlink::netlink::link::BridgeLink;
use nlink::netlink::types::route::rt_table::LOCAL as LOCAL_TABLE;
use nlink::{Connection, Ipv4Address, Ipv4Route, Ipv6Address, Ipv6Route, Route};

use super::address_pool::AddressPool;
use super::{
    Addresses, BALANCER_NETWORK, BRIDGE, DNS_ADDRESS, HostAddress, KUBERNETES_ADDRESS, NODE_ADDRESS,
    NODE_ADDRESS_V6, NetworkError, POD_PREFIX, POD_PREFIX_V6, SERVICE_NETWORK, SERVICE_NETWORK_V6, sysctl,
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
    dual_stack: bool,
    host_address: HostAddress,
}

impl NodeNetwork {
    /// Sets up the namespace of the calling thread, which must be new. Run on a thread that was never elsewhere. With `dual_stack` pods
    /// get IPv6 addresses, too, unless the kernel refuses.
    pub(crate) async fn create(dual_stack: bool, host_address: HostAddress) -> Result<Self, NetworkError> {
        let connection =
            Connection::<Route>::new().map_err(NetworkError::netlink("open a netlink socket"))?;
        connection.set_link_up("lo").await.map_err(NetworkError::netlink("set lo up"))?;
        if dual_stack {
            sysctl::quiet_ipv6();
        }
        // A bridge that was given no hardware address takes that of one of its ports and changes it as pods come and go; what
        // pods send to the one they remember would be lost.
        let bridge = BridgeLink::new(BRIDGE).stp(false).address(hardware_address(NODE_ADDRESS));
        connection.add_link(bridge).await.map_err(NetworkError::needs(
            "bridges",
            "bridge",
            "add the bridge sagene0",
        ))?;
        sysctl::set("net/ipv4/ip_forward", "1")?;
        for name in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            // Where `br_netfilter` is loaded, the bridge itself would translate destinations and send a packet on, past routing; back to
            // the pod that it came from it sends none.
            sysctl::try_set(&format!("net/bridge/{name}"), "0");
        }
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
        let dual_stack = dual_stack
            && match add_ipv6(&connection).await {
                Ok(()) => true,
                Err(error) => {
                    let error = sagene_base::task::error_chain(&error);
                    tracing::warn!(error, "pods have IPv4 addresses alone");
                    false
                }
            };
        Ok(Self { connection, addresses: Mutex::new(AddressPool::new()), dual_stack, host_address })
    }

    /// Whether pods and Services have addresses of both families.
    pub(crate) fn is_dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// What the node is called outside: its address on the machine, and beside it the bridge's IPv6 address.
    pub(crate) fn host_addresses(&self) -> Addresses {
        Addresses { v4: self.host_address.address(), ..self.node_addresses() }
    }

    /// The node's own addresses, on the bridge.
    pub(crate) fn node_addresses(&self) -> Addresses {
        Addresses::of_node(self.dual_stack)
    }

    pub(super) fn connection(&self) -> &Connection<Route> {
        &self.connection
    }

    pub(super) fn allocate(&self) -> Result<Addresses, NetworkError> {
        let address = self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).allocate()?;
        Ok(Addresses::of_pod(address, self.dual_stack))
    }

    pub(super) fn release(&self, addresses: Addresses) {
        self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).release(addresses.v4);
    }
}

/// The node's side of the second family.
async fn add_ipv6(connection: &Connection<Route>) -> Result<(), NetworkError> {
    sysctl::set("net/ipv6/conf/all/forwarding", "1")?;
    let address = Ipv6Address::new(BRIDGE, NODE_ADDRESS_V6, POD_PREFIX_V6).nodad();
    connection
        .add_address(address)
        .await
        .map_err(NetworkError::netlink(format!("give {BRIDGE} the address {NODE_ADDRESS_V6}")))?;
    let (network, prefix) = SERVICE_NETWORK_V6;
    connection
        .add_route(Ipv6Route::from_addr(network, prefix).dev(BRIDGE).prefsrc(NODE_ADDRESS_V6))
        .await
        .map_err(NetworkError::netlink("route the Services' IPv6 range"))
}
