//! The TCP proxy.

pub(crate) mod proxy;
