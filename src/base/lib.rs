//! Runtime kit that every server role shares: logging set-up, drain, readiness, supervised tasks, backoff, hints, words of gRPC,
//! verifiers of certificates, also of an old form, memory.
//!
//! This room knows nothing of meshes, Kubernetes or Envoy.

pub mod backoff;
pub mod connect;
pub mod crypto;
pub mod dns_message;
pub mod drain;
pub mod grpc_status;
pub mod hint;
pub mod logging;
pub mod memory;
pub mod peer_verifier;
pub mod readiness;
pub mod resolve;
pub mod task;
pub mod threads;
pub mod version1;

pub use hint::{Hint, Hinted};
