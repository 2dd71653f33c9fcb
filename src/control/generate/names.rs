//! Names of clusters, listeners and server names, as Istio forms and reads them.

/// Cluster that answers nothing.
pub(crate) const BLACK_HOLE: &str = "BlackHoleCluster";
/// Cluster that leads where the client meant to go.
pub(crate) const PASSTHROUGH: &str = "PassthroughCluster";
/// The same for inbound connections.
pub(crate) const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

/// `outbound|<port>|<subset>|<host>`
pub(crate) fn outbound(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// `outbound_.<port>_.<subset>_.<host>`: the server name of mutual TLS.
pub(crate) fn server_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

/// `inbound|<port>||`
pub(crate) fn inbound(port: u16) -> String {
    format!("inbound|{port}||")
}

/// Port, subset and host of an outbound cluster.
pub(crate) fn parse_outbound(name: &str) -> Option<(u16, &str, &str)> {
    let mut parts = name.strip_prefix("outbound|")?.splitn(3, '|');
    Some((parts.next()?.parse().ok()?, parts.next()?, parts.next()?))
}

/// `<address>_<port>`: routes of a listener that the workload connects to by itself.
pub(crate) fn routes_of_socket(address: &str, port: u16) -> String {
    format!("{address}_{port}")
}

/// Port of the routes of such a listener.
pub(crate) fn parse_routes_of_socket(name: &str) -> Option<u16> {
    let (address, port) = name.rsplit_once('_')?;
    let port = port.parse().ok()?;
    address.parse::<std::net::IpAddr>().ok().map(|_| port)
}

/// Ends a statistics prefix, so that names with dots can be told apart.
pub(crate) fn delimited(prefix: &str) -> String {
    format!("{prefix};")
}
