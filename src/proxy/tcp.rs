//! The TCP proxy.

pub(crate) mod peer_exchange;
pub(crate) mod proxy;
mod tunnel;
