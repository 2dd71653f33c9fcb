//! Istio's APIs: custom resources by group, the mesh configuration and the installation input.

pub mod networking;
pub mod security;
pub mod status;
pub mod types;

pub use status::IstioStatus;
