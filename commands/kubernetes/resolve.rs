//! Host names of API servers, resolved by the program itself: a static binary has no system resolver.

use std::net::IpAddr;

use anyhow::Context as _;
use hickory_resolver::TokioResolver;
use http::Uri;
use kube::Config;

use crate::exit::Failure;

/// Replaces a host name in the cluster's address by an IP address, keeping the name for TLS. IP literals and `localhost` need no
/// lookup.
pub(crate) async fn resolve_host(config: &mut Config) -> Result<(), Failure> {
    let Some(host) = config.cluster_url.host().map(|host| host.trim_matches(['[', ']']).to_owned()) else {
        return Ok(());
    };
    if host.parse::<IpAddr>().is_ok() || config.proxy_url.is_some() {
        return Ok(());
    }
    let address = if host == "localhost" { IpAddr::from([127, 0, 0, 1]) } else { lookup(&host).await? };
    let literal = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    let authority = match config.cluster_url.port_u16() {
        Some(port) => format!("{literal}:{port}"),
        None => literal,
    };
    let mut parts = config.cluster_url.clone().into_parts();
    parts.authority = Some(authority.parse()?);
    config.cluster_url = Uri::from_parts(parts)?;
    config.tls_server_name.get_or_insert(host);
    Ok(())
}

async fn lookup(host: &str) -> Result<IpAddr, Failure> {
    let resolver =
        TokioResolver::builder_tokio().context("cannot read the system's DNS settings")?.build()?;
    let found = resolver
        .lookup_ip(host)
        .await
        .with_context(|| format!("cannot resolve the API server's name {host}"))?;
    found.iter().next().ok_or_else(|| Failure::new(format!("the API server's name {host} has no address")))
}
