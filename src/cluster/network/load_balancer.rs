//! Listeners on the machine's loopback for Services of type LoadBalancer and for node ports.
//!
//! A Service of type LoadBalancer gets an address of its own in [`BALANCER_NETWORK`], the first on which its ports are free, so that it
//! is reached at the ports it names, as on any other cluster. Ports that are not for this user are moved.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{BALANCER_NETWORK, HostNetwork, forwarder};

/// Added to a port that this user may not have: an unprivileged one may not listen below 1024.
const OFFSET: u16 = 8000;

/// Addresses that are tried: the first ones of [`BALANCER_NETWORK`].
const ADDRESSES: std::ops::RangeInclusive<u32> = 1..=254;

/// A listener outside and where its connections go inside.
struct Listener {
    host: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is listened for: a Service address inside the cluster.
pub(crate) type Inside = (IpAddr, u16);

/// The open listeners.
pub(crate) struct LoadBalancer {
    host: HostNetwork,
    /// What the node is called outside.
    node: Ipv4Addr,
    listeners: HashMap<(Inside, Purpose), Listener>,
}

/// Why a port is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A Service of type LoadBalancer: any port will do, a familiar one is better.
    LoadBalancer,
    /// A node port on one of the machine's addresses: that very port or none.
    NodePort(SocketAddrV4),
}

/// A port of a Service, and the one that stood for it on this machine before a restart.
pub(crate) type WantedPort = (u16, Option<u16>);

impl LoadBalancer {
    /// For the node that is called `node` outside.
    pub(crate) fn new(host: HostNetwork, node: Ipv4Addr) -> Self {
        Self { host, node, listeners: HashMap::new() }
    }

    /// What the node is called outside.
    pub(crate) fn node(&self) -> Ipv4Addr {
        self.node
    }

    /// The address of a Service: the one it has, else `earlier`, which it had before a restart, else the first that no other Service
    /// has and that has all `ports` free, which are then open. Where all are taken, the first that no other Service has.
    pub(crate) fn address(
        &mut self,
        service: IpAddr,
        ports: &[WantedPort],
        earlier: Option<Ipv4Addr>,
    ) -> Ipv4Addr {
        let mut others = Vec::new();
        for ((inside, purpose), listener) in &self.listeners {
            match listener.host.ip() {
                IpAddr::V4(address) if *purpose == Purpose::LoadBalancer && inside.0 == service => {
                    return address;
                }
                address => others.push(address),
            }
        }
        let (network, _) = BALANCER_NETWORK;
        let range = ADDRESSES.map(|host| Ipv4Addr::from(u32::from(network) + host));
        let free =
            |address: &Ipv4Addr| is_balancer_address(*address) && !others.contains(&IpAddr::V4(*address));
        let candidates: Vec<Ipv4Addr> = earlier.into_iter().chain(range).filter(free).collect();
        for address in &candidates {
            let listeners = ports.iter().map(|port| self.listen(*address, *port));
            if let Ok(listeners) = listeners.collect::<io::Result<Vec<_>>>() {
                for ((port, _), listener) in ports.iter().zip(listeners) {
                    let _is_open = self.serve((service, *port), Purpose::LoadBalancer, listener);
                }
                return *address;
            }
        }
        candidates.first().copied().unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// The port it had, else itself, else its neighbor that an unprivileged user may have.
    fn listen(&self, address: Ipv4Addr, (port, earlier): WantedPort) -> io::Result<std::net::TcpListener> {
        let listen = |port| self.host.listen(SocketAddr::from((address, port)));
        if let Some(Ok(listener)) = earlier.map(listen) {
            return Ok(listener);
        }
        match (listen(port), port.checked_add(OFFSET)) {
            (Err(error), Some(moved)) if error.kind() == io::ErrorKind::PermissionDenied => listen(moved),
            (listener, _) => listener,
        }
    }

    /// Opens a node port for `inside`, on the node's address and on 127.0.0.1; tells what it is kept open for. Where somebody else on this
    /// machine has the port, the Service is reached in other ways.
    pub(crate) fn open_node_port(&mut self, inside: Inside, port: u16) -> [(Inside, Purpose); 2] {
        [self.node, Ipv4Addr::LOCALHOST].map(|address| {
            let purpose = Purpose::NodePort(SocketAddrV4::new(address, port));
            let _taken = self.open(address, inside, purpose, None);
            (inside, purpose)
        })
    }

    /// Opens a listener on `address` for `inside` and returns its port; an open one stays. `earlier` is the port it had before a
    /// restart. `None`: no port could be opened.
    pub(crate) fn open(
        &mut self,
        address: Ipv4Addr,
        inside: Inside,
        purpose: Purpose,
        earlier: Option<u16>,
    ) -> Option<u16> {
        if let Some(listener) = self.listeners.get(&(inside, purpose)) {
            return Some(listener.host.port());
        }
        let candidates = candidates(inside.1, purpose, earlier);
        let listener = candidates
            .into_iter()
            .find_map(|port| self.host.listen(SocketAddr::from((address, port))).ok())?;
        self.serve(inside, purpose, listener)
    }

    fn serve(&mut self, inside: Inside, purpose: Purpose, listener: std::net::TcpListener) -> Option<u16> {
        let listener = TcpListener::from_std(listener).ok()?;
        let host = listener.local_addr().ok()?;
        let target = SocketAddr::from(inside);
        let task = tokio::spawn(forwarder::serve(listener, move |_| TcpStream::connect(target)));
        self.listeners.insert((inside, purpose), Listener { host, task });
        Some(host.port())
    }

    /// Closes every listener that `wanted` does not name, with its connections.
    pub(crate) fn retain(&mut self, wanted: impl Fn(Inside, Purpose) -> bool) {
        self.listeners.retain(|(inside, purpose), _| wanted(*inside, *purpose));
    }
}

/// Ports to try, best first. Zero means any.
fn candidates(port: u16, purpose: Purpose, earlier: Option<u16>) -> Vec<u16> {
    match purpose {
        Purpose::NodePort(at) => vec![at.port()],
        Purpose::LoadBalancer => {
            let mut ports: Vec<u16> = earlier.into_iter().collect();
            ports.push(port);
            ports.extend(port.checked_add(OFFSET));
            ports.push(0);
            ports
        }
    }
}

/// Whether an address is one that Services of type LoadBalancer get.
pub(crate) fn is_balancer_address(address: Ipv4Addr) -> bool {
    let (network, prefix) = BALANCER_NETWORK;
    (u32::from(address) ^ u32::from(network)).leading_zeros() >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn services_that_want_the_same_ports_get_addresses_of_their_own() {
        let host = HostNetwork::start().expect("the host network");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut balancer = LoadBalancer::new(host, Ipv4Addr::LOCALHOST);
        let (one, two) = (IpAddr::from([10, 96, 0, 1]), IpAddr::from([10, 96, 0, 2]));
        let first = balancer.address(one, &[(port, None)], None);
        // Other ports, and yet another address.
        let second = balancer.address(two, &[(0, None)], Some(first));
        assert_ne!(first, second);
        assert!(is_balancer_address(first) && is_balancer_address(second));
        assert_eq!(balancer.address(one, &[(port, None)], None), first);
        assert_eq!(balancer.open(first, (one, port), Purpose::LoadBalancer, None), Some(port));
        balancer.retain(|inside, _| inside.0 == two);
        assert_eq!(balancer.address(two, &[(port, None)], Some(first)), second);
    }

    #[test]
    fn a_port_is_kept_then_itself_then_its_familiar_neighbor_then_any() {
        assert_eq!(candidates(80, Purpose::LoadBalancer, Some(9080)), [9080, 80, 8080, 0]);
        assert_eq!(candidates(443, Purpose::LoadBalancer, None), [443, 8443, 0]);
        assert_eq!(candidates(60_000, Purpose::LoadBalancer, None), [60_000, 0]);
        let node_port = Purpose::NodePort(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 30_080));
        assert_eq!(candidates(80, node_port, Some(1)), [30_080]);
    }
}
