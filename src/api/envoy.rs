//! Envoy's messages: their JSON, and reading a bootstrap file.
//!
//! The messages themselves are those of the `envoy-types` crate.

pub mod bootstrap;
pub mod json;
mod reflect;
