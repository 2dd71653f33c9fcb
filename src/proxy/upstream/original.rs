//! Where a captured connection was going, and in whose name the proxy connects there.

use std::net::{IpAddr, SocketAddr};

use crate::http::info::ConnectionInfo;

/// A destination that the client chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Original {
    pub(crate) address: SocketAddr,
    /// Connections to it are made in this caller's name.
    pub(crate) caller: Option<Caller>,
}

impl Original {
    /// Where `connection`, or a request on it, is to go.
    pub(crate) fn of(connection: &ConnectionInfo, address: SocketAddr) -> Self {
        let same_family = |caller: &Caller| caller.ip.is_ipv4() == address.is_ipv4();
        Self { address, caller: connection.caller.filter(same_family) }
    }
}

/// A client whose address the upstream is to see (listener filter `original_src`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) ip: IpAddr,
    /// `SO_MARK` of connections in its name, by which packets are kept inside the pod; 0 = none.
    pub(crate) mark: u32,
}

impl Caller {
    /// The caller at `remote`; none for the loopback device, whose addresses mean something else to everybody.
    pub(crate) fn at(remote: SocketAddr, mark: u32) -> Option<Self> {
        let ip = remote.ip().to_canonical();
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(Self { ip, mark })
    }
}

/// From where a connection is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    /// `SO_MARK` of the proxy's own sockets.
    pub(crate) mark: Option<u32>,
    pub(crate) caller: Option<Caller>,
}
