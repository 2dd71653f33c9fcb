//! System calls that the standard library and socket2 do not wrap.

pub(crate) mod memory;

use std::net::SocketAddr;

use tokio::net::TcpStream;

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
