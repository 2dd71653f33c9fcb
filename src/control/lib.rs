//! The control plane: index, generators, push, certificate service, webhooks, debug endpoints.
//!
//! Never depends on the proxy, the console or the embedded cluster.

pub mod metrics;
pub mod options;
mod security;
mod serve;

pub use options::{ControlPlaneOptions, Ports};
