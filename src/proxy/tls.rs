//! TLS both ways: contexts built from Envoy's messages, certificates that change under running connections.

pub(crate) mod context;
pub(crate) mod names;
mod parameters;
mod revocation;
pub(crate) mod secret;
pub(crate) mod verify;
