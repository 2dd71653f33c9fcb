//! Where configuration comes from (a Kubernetes API, files, memory): immutable snapshots, a change feed, status writing.
//!
//! The only server-side crate with a Kubernetes client.
