//! Downstream connections: accepting, sniffing, choosing a filter chain, TLS.

pub(crate) mod accept;
pub(crate) mod proxy_protocol;
pub(crate) mod sniff;
pub(crate) mod stream;
