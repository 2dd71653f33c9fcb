//! Upstream: clusters as one worker sees them, choosing an endpoint, connections and their pools.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod connect;
pub(crate) mod dns;
pub(crate) mod host;
pub(crate) mod original;
mod originals;
pub(crate) mod outlier;
pub(crate) mod pool;
