//! `--run-validation`: makes a connection that the rules must redirect and looks where it arrives.
//!
//! The probe goes to an address of the loopback device that nothing else uses, so it works in every pod and leaves
//! none of its packets on the wire. The process must be one the rules take for the proxy: user or group 1337, or able
//! to mark its socket.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::OriginalDst};
use socket2::{Domain, Protocol, Socket, Type};

use super::arguments::CaptureConfig;
use super::{CaptureError, PROXY_MARK};

/// Where the probe connects to; the port is Istio's.
const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 6), 15002);

/// Waits at most `timeout` for the probe to be connected, and as long for it to arrive.
pub(super) fn run(config: &CaptureConfig, timeout: Duration) -> Result<(), CaptureError> {
    let listener = listen(config.inbound_port, timeout).map_err(|source| {
        system(format!("listen on port {} for the validation", config.inbound_port), source)
    })?;
    let failed = |reason: String| CaptureError::NotRedirected {
        target: TARGET.into(),
        expected_port: config.inbound_port,
        reason,
    };
    // The kernel completes the connection before anybody accepts it, so one thread does both.
    let _probe = connect(timeout).map_err(|error| failed(error.to_string()))?;
    match listener.accept() {
        Ok((socket, _)) => check(&socket).map_err(failed),
        Err(_) => Err(failed("it reached something else".to_owned())),
    }
}

/// The receive timeout of a listening socket also bounds `accept`.
fn listen(port: u16, timeout: Duration) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.listen(1)?;
    socket.set_read_timeout(Some(timeout))?;
    Ok(socket)
}

fn system(action: String, source: std::io::Error) -> CaptureError {
    CaptureError::System { action, source }
}

fn connect(timeout: Duration) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // Refused without the capability; then the user id must do.
    let _ = socket.set_mark(PROXY_MARK);
    socket.connect_timeout(&SocketAddr::from(TARGET).into(), timeout)?;
    Ok(socket)
}

/// The connection must still know where it was meant to go.
fn check(stream: &Socket) -> Result<(), String> {
    let original = getsockopt(stream, OriginalDst)
        .map_err(|error| format!("the original destination is unknown ({error})"))?;
    let address = Ipv4Addr::from(u32::from_be(original.sin_addr.s_addr));
    let port = u16::from_be(original.sin_port);
    if (address, port) == (*TARGET.ip(), TARGET.port()) {
        return Ok(());
    }
    Err(format!("its original destination was {address}:{port}"))
}
