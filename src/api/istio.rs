//! Istio's APIs: custom resources by group, the mesh configuration and the installation input.

pub mod crd;
pub mod extensions;
pub mod mesh_config;
pub mod networking;
pub mod operator;
pub mod security;
pub mod status;
pub mod telemetry;
pub mod types;

pub use mesh_config::MeshConfig;
pub use operator::IstioOperator;
pub use status::IstioStatus;
