//! The listening sockets of everything that is not traffic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}; is another proxy running in this pod?")]
pub struct PortError {
    /// The address.
    pub address: SocketAddr,
    /// What it is for.
    pub purpose: &'static str,
    /// What the system said.
    pub source: std::io::Error,
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A port that other pods and kubelet reach: on IPv6 and IPv4 where the kernel has both.
pub(crate) fn on_every_address(port: u16, purpose: &'static str) -> Result<TcpListener, PortError> {
    match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(PortError {
            address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            purpose,
            source: error,
        }),
        Err(_) => at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), purpose),
    }
}

/// A port for this pod alone.
pub(crate) fn on_loopback(port: u16, purpose: &'static str) -> Result<TcpListener, PortError> {
    at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), purpose)
}

/// Exactly this address.
pub(crate) fn at(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, PortError> {
    listen(address).map_err(|source| PortError { address, purpose, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
