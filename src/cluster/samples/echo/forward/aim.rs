//! Where requests go, and under which name: the header `host` names the server in requests and in TLS, wherever the URL leads.

use std::net::IpAddr;

use sagene_base::resolve::Resolver;

use super::super::super::curl::Connecting;
use super::super::grpc::ForwardEchoRequest;

/// How connections are made, and the URL with the server's name in it. Servers prove who they are where authorities are named,
/// as with the original.
pub(super) async fn aim(
    request: &ForwardEchoRequest,
    scheme: &str,
    path: &str,
) -> Result<(Connecting, String), String> {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mut connecting = Connecting {
        ca_file: some(&request.ca_cert_file),
        certificate: some(&request.cert_file),
        key: some(&request.key_file),
        insecure: request.insecure_skip_verify || request.ca_cert_file.is_empty(),
        http2: request.http2,
        follow: request.follow_redirects,
        resolve: Vec::new(),
    };
    let authority = request.authority();
    let by_tls = some(&request.server_name).filter(|_| scheme == "https");
    let Some(named) = by_tls.or_else(|| request.header("host").map(str::to_owned)) else {
        return Ok((connecting, format!("{scheme}://{authority}{path}")));
    };
    let (host, port) = split(authority, if scheme == "https" { 443 } else { 80 })?;
    let (name, own_port) = split(&named, 0)?;
    connecting.resolve.push((name.to_owned(), port, resolved(host).await?));
    // Without a port in the URL the connection goes to the one that the name stands for.
    let name = if own_port == 0 { name.to_owned() } else { format!("{name}:{port}") };
    Ok((connecting, format!("{scheme}://{name}{path}")))
}

/// Host and port.
pub(super) fn split(authority: &str, default: u16) -> Result<(&str, u16), String> {
    let Some((host, port)) = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
        return Ok((authority, default));
    };
    port.parse().map(|port| (host, port)).map_err(|_| format!("{authority:?}: {port:?} is no port"))
}

/// The first address of a host.
pub(super) async fn resolved(host: &str) -> Result<IpAddr, String> {
    let addresses = Resolver::new().lookup(host).await.map_err(|error| error.to_string())?;
    addresses.first().copied().ok_or_else(|| format!("{host} has no address"))
}
