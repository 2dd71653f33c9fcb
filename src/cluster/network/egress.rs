//! The way out of the cluster for TCP: connections that pods make to other addresses are accepted here and made again in the
//! machine's network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::{HostNetwork, NODE_ADDRESS, NetworkError, NodeNetwork, forwarder, is_balancer_address};

/// A relay that listens in the node's network namespace.
pub(crate) struct EgressRelay {
    /// One for each family that leads out.
    listeners: Vec<(SocketAddr, TcpListener)>,
    host: HostNetwork,
    /// What the node is called outside.
    node: Ipv4Addr,
}

impl EgressRelay {
    /// Listens on any port of the node's addresses; on its IPv6 address only where the machine has a way to other networks: else clients are
    /// told at once that there is none, and take IPv4.
    pub(crate) async fn bind(host: HostNetwork, network: &NodeNetwork) -> Result<Self, NetworkError> {
        let refused = || NetworkError::system::<io::Error>("listen for connections that leave the cluster");
        let mut listeners = Vec::new();
        for address in network.node_addresses().all().filter(|address| address.is_ipv4() || leads_out(&host))
        {
            let listener = TcpListener::bind((address, 0)).await.map_err(refused())?;
            listeners.push((listener.local_addr().map_err(refused())?, listener));
        }
        Ok(Self { listeners, host, node: network.host_addresses().v4 })
    }

    /// Where redirected connections belong, one address of each family that leads out.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let addresses: Vec<SocketAddr> = self.listeners.iter().map(|(address, _)| *address).collect();
        addresses.into_iter()
    }

    /// Serves until it is aborted.
    pub(crate) async fn run(self) {
        let (host, node) = (self.host, self.node);
        let served = self.listeners.into_iter().map(|(own, listener)| {
            let host = host.clone();
            forwarder::serve(listener, move |stream| {
                connect(host.clone(), original_destination(stream), own, node)
            })
        });
        futures::future::join_all(served).await;
    }
}

/// Whether the machine routes IPv6 to other networks. Nothing is sent.
fn leads_out(host: &HostNetwork) -> bool {
    const ANYWHERE: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1);
    host.udp_to((ANYWHERE, 53).into()).is_ok()
}

async fn connect(
    host: HostNetwork,
    destination: io::Result<SocketAddr>,
    own: SocketAddr,
    node: Ipv4Addr,
) -> io::Result<TcpStream> {
    let destination = destination?;
    // What is no node port may be a pod's in the node's network.
    if destination.ip() == IpAddr::V4(node) {
        return TcpStream::connect((NODE_ADDRESS, destination.port())).await;
    }
    // Somebody called the relay itself, or the machine's loopback, where only load balancers are for pods: those of other clusters.
    let loopback = match destination.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() && !is_balancer_address(ip),
        IpAddr::V6(ip) => ip.is_loopback(),
    };
    if destination == own || loopback {
        return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
    }
    host.connect(destination).await
}

/// Where the connection was going before it was redirected.
fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = match stream.local_addr()?.ip() {
        IpAddr::V4(_) => socket.original_dst_v4()?,
        IpAddr::V6(_) => socket.original_dst_v6()?,
    };
    found.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
