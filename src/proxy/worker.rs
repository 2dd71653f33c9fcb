//! The traffic threads: one per core, each with its own sockets, connections and pools.

mod proxy;

pub use proxy::{Proxy, ProxyOptions, StartError};
