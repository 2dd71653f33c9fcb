//! The control plane: index, generators, push, certificate service, webhooks, debug endpoints.
//!
//! Never depends on the proxy, the console or the embedded cluster.

pub mod generate;
pub mod index;
