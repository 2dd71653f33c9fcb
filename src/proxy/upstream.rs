//! Upstream: clusters as one worker sees them, choosing an endpoint, connections and their pools.

pub(crate) mod connect;
pub(crate) mod dns;
pub(crate) mod pool;
