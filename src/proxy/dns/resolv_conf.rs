//! The resolver configuration of a container: which servers it asks, and what it appends to short names.

use std::net::IpAddr;

/// What `/etc/resolv.conf` says, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines in their order, each address once. Lines that hold no address are left out.
    pub servers: Vec<IpAddr>,
    /// Domains of the last `search` (or `domain`) line, lower case, without dots at their ends.
    pub search: Vec<String>,
}

impl ResolvConf {
    /// Reads the text of a resolv.conf; whatever is not understood is skipped, as the C library does.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse().ok());
                    if let Some(address) = address
                        && !parsed.servers.contains(&address)
                    {
                        parsed.servers.push(address);
                    }
                }
                Some("search" | "domain") => {
                    parsed.search = words
                        .map(|word| word.trim_matches('.').to_ascii_lowercase())
                        .filter(|word| !word.is_empty())
                        .collect();
                }
                _ => {}
            }
        }
        parsed
    }
}
