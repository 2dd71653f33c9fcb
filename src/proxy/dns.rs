//! The proxy's name server: answers for the mesh's hosts, passes everything else on.
//!
//! Names come from the control plane as a name table (NDS). A name that is in the table is answered here; any other
//! goes to the servers of `/etc/resolv.conf`. When those cannot be reached the answer is SERVFAIL, never NXDOMAIN:
//! "I could not ask" must not read as "there is no such name".

mod answer;
mod lookup;
mod resolv_conf;
mod server;
mod statistics;
mod table;
mod upstream;

#[cfg(test)]
mod tests;

pub use lookup::{LookupError, lookup};
pub use resolv_conf::ResolvConf;
pub use server::{DnsError, DnsOptions, DnsServer};
pub use statistics::DnsStatistics;
pub use table::{Host, NameTable};
