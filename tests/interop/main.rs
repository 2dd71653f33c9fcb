//! Interop: programs of others against ours, as themselves.
//!
//! Envoy runs as the sidecar of a pod among ours: the same bootstrap, capture, certificates and discovery that Istio gives it.

mod certificate;
mod envoy_pod;
mod secret_server;
mod sidecar;

#[path = "../support/http.rs"]
mod http;
#[expect(dead_code, reason = "what other suites ask of a mesh")]
#[path = "../e2e/mesh.rs"]
mod mesh;
#[expect(dead_code, reason = "what other suites run without a mesh")]
#[path = "../support/program.rs"]
mod program;
#[path = "../support/skip.rs"]
mod skip;
