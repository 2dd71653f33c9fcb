//! Names to addresses, by hickory: a statically linked program must not ask the C library.

use std::{io, net::IpAddr, time::Duration};

use hickory_resolver::TokioResolver;
use tokio::sync::OnceCell;

/// Resolves names as the system is configured to (`/etc/resolv.conf`, `/etc/hosts`). The files are read at the first name that is
/// no address.
#[derive(Default)]
pub struct Resolver {
    system: OnceCell<TokioResolver>,
}

impl Resolver {
    /// A resolver that has read nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every address of `host`, IPv4 first; an address (with or without brackets) is its own answer.
    pub async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse() {
            return Ok(vec![address]);
        }
        let resolver = self.system.get_or_try_init(system_resolver).await?;
        let answer = resolver.lookup_ip(host).await.map_err(|error| {
            io::Error::new(io::ErrorKind::NotFound, format!("cannot resolve {host}: {error}"))
        })?;
        let mut addresses: Vec<IpAddr> = answer.iter().collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Resolver").finish_non_exhaustive()
    }
}

async fn system_resolver() -> io::Result<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
    let options = builder.options_mut();
    options.timeout = Duration::from_secs(2);
    // Addresses of a mesh change with its pods; a short memory is enough to spare a reconnect storm.
    options.positive_max_ttl = Some(Duration::from_secs(5));
    options.negative_max_ttl = Some(Duration::from_secs(1));
    builder.build().map_err(io::Error::other)
}
