//! The cluster's DNS on 10.96.0.10: Services, headless Services, ports and pods under `cluster.local`; all else is asked of the
//! machine's own servers.

mod answer;
mod names;
mod server;
mod upstream;

pub(crate) use names::ClusterNames;
pub(crate) use server::DnsServer;
