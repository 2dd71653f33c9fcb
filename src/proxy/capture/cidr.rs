//! Address ranges as the flags of `istio-iptables` write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address range: `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// Any address of the range.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl Cidr {
    /// The range that holds one address.
    pub fn host(address: IpAddr) -> Self {
        Self { address, prefix: width(address) }
    }
}

/// Number of bits of an address.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr =
            address.parse().map_err(|_| "expected an address range such as 10.0.0.0/8".to_owned())?;
        let prefix = match prefix {
            None => width(address),
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= width(address))
                .ok_or_else(|| format!("the prefix length must be between 0 and {}", width(address)))?,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
