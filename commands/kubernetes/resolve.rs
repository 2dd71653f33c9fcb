//! Host names of API servers, resolved by the program itself: a static binary has no system resolver.

use std::net::IpAddr;

use anyhow::Context as _;
use hickory_resolver::TokioResolver;
use http::Uri;
use kube::Config;

use crate::exit::Failure;

/// Replaces a host name in the cluster's address by an IP address, keeping the name for TLS. IP literals and `localhost` need no
/// lookup. Behind a proxy it is the proxy whose name is looked up; this machine is never reached through one.
pub(crate) async fn resolve_host(config: &mut Config) -> Result<(), Failure> {
    let Some(host) = host_of(&config.cluster_url) else { return Ok(()) };
    if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        config.proxy_url = None;
    }
    if let Some(proxy) = &config.proxy_url {
        // A proxy over TLS has to keep its name.
        if proxy.scheme_str() == Some("http") {
            config.proxy_url = Some(with_address(proxy, "the proxy").await?);
        }
        return Ok(());
    }
    if host.parse::<IpAddr>().is_err() {
        config.cluster_url = with_address(&config.cluster_url, "the API server").await?;
        config.tls_server_name.get_or_insert(host);
    }
    Ok(())
}

fn host_of(url: &Uri) -> Option<String> {
    url.host().map(|host| host.trim_matches(['[', ']']).to_owned())
}

/// The same URL with an IP address for its host.
async fn with_address(url: &Uri, whose: &str) -> Result<Uri, Failure> {
    let Some(host) = host_of(url).filter(|host| host.parse::<IpAddr>().is_err()) else {
        return Ok(url.clone());
    };
    let address =
        if host == "localhost" { IpAddr::from([127, 0, 0, 1]) } else { lookup(&host, whose).await? };
    let literal = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    let user = url.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
    let user = user.map(|(user, _)| format!("{user}@")).unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let mut parts = url.clone().into_parts();
    parts.authority = Some(format!("{user}{literal}{port}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

async fn lookup(host: &str, whose: &str) -> Result<IpAddr, Failure> {
    let resolver =
        TokioResolver::builder_tokio().context("cannot read the system's DNS settings")?.build()?;
    let found =
        resolver.lookup_ip(host).await.with_context(|| format!("cannot resolve {whose}'s name {host}"))?;
    found.iter().next().ok_or_else(|| Failure::new(format!("{whose}'s name {host} has no address")))
}
