//! What can go wrong when capturing traffic, each with its way out.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the rules could not be built, written or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A flag has a value that cannot be honored.
    #[error("--{flag} {value:?}: {reason}")]
    Flag {
        /// Long name of the flag.
        flag: &'static str,
        /// The offending part of its value.
        value: String,
        /// What is wrong and what would be accepted.
        reason: String,
    },
    /// The name servers to capture could not be read.
    #[error("cannot read {}; pass --capture-all-dns to capture every DNS server", .path.display())]
    ResolvConf {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process lacks the capability.
    #[error("not permitted to change packet-filter rules: give the container the NET_ADMIN capability")]
    Permission(#[source] nlink::Error),
    /// The kernel cannot do it.
    #[error(
        "this kernel cannot redirect connections ({family}): it needs nf_tables with NAT and redirect \
         (CONFIG_NF_TABLES, CONFIG_NFT_NAT, CONFIG_NFT_REDIR, CONFIG_NFT_CT; modules nf_tables, nft_chain_nat, nft_redir, nft_ct)"
    )]
    Unsupported {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What the kernel said.
        source: nlink::Error,
    },
    /// The kernel cannot hand over connections with their addresses.
    #[error(
        "this kernel cannot capture in mode TPROXY ({family}): it needs nf_tables with TPROXY and policy routing \
         (CONFIG_NFT_TPROXY, CONFIG_NF_TPROXY_IPV4, CONFIG_NF_TPROXY_IPV6, CONFIG_IP_MULTIPLE_TABLES, CONFIG_NF_CONNTRACK_MARK; \
         module nft_tproxy); REDIRECT needs none of them"
    )]
    NoTproxy {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What the kernel said.
        source: nlink::Error,
    },
    /// The kernel refused the rules for another reason.
    #[error("the kernel refused the {family} packet-filter rules")]
    Refused {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What the kernel said.
        source: nlink::Error,
    },
    /// The asynchronous runtime, or a socket of the check, could not be made.
    #[error("cannot {action}")]
    System {
        /// What was being done.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The rules are there, but a connection was not redirected as they say.
    #[error(
        "validation failed: a connection to {target} was not redirected to port {expected_port}: {reason}"
    )]
    NotRedirected {
        /// Where the probe connected to.
        target: SocketAddr,
        /// Where it should have arrived.
        expected_port: u16,
        /// What happened instead.
        reason: String,
    },
}
