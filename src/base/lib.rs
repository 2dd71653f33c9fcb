//! Runtime kit that every server role shares: logging set-up, drain, readiness, supervised tasks, backoff, hints.
//!
//! This room knows nothing of meshes, Kubernetes or Envoy.
