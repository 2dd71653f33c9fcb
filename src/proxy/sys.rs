//! System calls that the standard library and socket2 do not wrap.

pub(crate) mod socket_option;

use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Lets a socket have addresses that are not this machine's: needs CAP_NET_ADMIN or CAP_NET_RAW.
pub(crate) fn make_transparent(socket: &socket2::SockRef<'_>, family_of: SocketAddr) -> std::io::Result<()> {
    if family_of.is_ipv4() { socket.set_ip_transparent_v4(true) } else { socket.set_ip_transparent_v6(true) }
}

/// Where a redirected connection was going (`SO_ORIGINAL_DST`); `None` when it was not redirected.
pub(crate) fn original_destination(socket: &TcpStream) -> Option<SocketAddr> {
    let reference = socket2::SockRef::from(socket);
    let local = socket.local_addr().ok()?;
    let found = if local.ip().to_canonical().is_ipv4() {
        reference.original_dst_v4().ok()?
    } else {
        reference.original_dst_v6().ok()?
    };
    let mut found = found.as_socket()?;
    found.set_ip(found.ip().to_canonical());
    Some(found)
}
