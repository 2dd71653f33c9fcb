//! The way out of the cluster for TCP: connections that pods make to other addresses are accepted here and made again in the
//! machine's network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};

use super::{HostNetwork, NODE_ADDRESS, NetworkError, forwarder, is_balancer_address};

/// A relay that listens in the node's network namespace.
pub(crate) struct EgressRelay {
    listener: TcpListener,
    port: u16,
    host: HostNetwork,
}

impl EgressRelay {
    /// Listens on any port of the node's address.
    pub(crate) async fn bind(host: HostNetwork) -> Result<Self, NetworkError> {
        let refused = || NetworkError::system::<io::Error>("listen for connections that leave the cluster");
        let listener = TcpListener::bind((NODE_ADDRESS, 0)).await.map_err(refused())?;
        let port = listener.local_addr().map_err(refused())?.port();
        Ok(Self { listener, port, host })
    }

    /// Where redirected connections belong.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Serves until it is aborted.
    pub(crate) async fn run(self) {
        let host = self.host;
        let own = SocketAddr::from((NODE_ADDRESS, self.port));
        forwarder::serve(self.listener, move |stream| {
            connect(host.clone(), original_destination(stream), own)
        })
        .await;
    }
}

async fn connect(
    host: HostNetwork,
    destination: io::Result<SocketAddr>,
    own: SocketAddr,
) -> io::Result<TcpStream> {
    let destination = destination?;
    // Somebody called the relay itself, or the machine's loopback, where only load balancers are for pods: those of other clusters.
    let loopback = matches!(destination.ip(), IpAddr::V4(ip) if ip.is_loopback() && !is_balancer_address(ip));
    if destination == own || loopback {
        return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
    }
    host.connect(destination).await
}

/// Where the connection was going before it was redirected.
fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let address = getsockopt(stream, sockopt::OriginalDst)?;
    let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
    Ok(SocketAddr::from((ip, u16::from_be(address.sin_port))))
}
