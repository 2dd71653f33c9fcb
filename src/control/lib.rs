//! The control plane: index, generators, push, certificate service, webhooks, debug endpoints.
//!
//! Never depends on the proxy, the console or the embedded cluster.

mod control_plane;
mod debug;
mod discovery;
pub mod generate;
pub mod index;
pub mod key_sets;
mod mesh_settings;
pub mod metrics;
pub mod options;
mod run;
mod security;
mod serve;
mod webhook;
mod writers;

pub use control_plane::{Addresses, ControlPlane, ControlPlaneError};
pub use options::{ControlPlaneOptions, Ports, ScopesPort};
pub use run::run;
