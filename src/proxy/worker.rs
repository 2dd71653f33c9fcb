//! The traffic threads: one per core, each with its own sockets, connections and pools.

pub(crate) mod context;
mod proxy;
mod sockets;

pub use proxy::{Proxy, ProxyOptions, StartError};

#[cfg(test)]
mod tests;
