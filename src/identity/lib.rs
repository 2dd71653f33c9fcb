//! Certificates: the mesh CA, signing requests, rotation, trust bundles.
//!
//! The only crate that touches private keys.

pub mod authority;
pub mod material;
pub mod peer;
pub mod request;
pub mod succession;
