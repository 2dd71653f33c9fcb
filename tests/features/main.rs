//! Features of the mesh from its YAML to bytes on the wire: the control plane generates, a proxy takes what it generated, real
//! sockets see the difference.

mod access_log_service;
mod compressor;
mod connections;
mod envoy_filter;
mod external_authorization;
mod faults;
mod headers;
mod locality;
mod mesh;
mod protocols;
mod rate_limit_service;
mod request_authentication;
mod service;
mod telemetry;
mod tracing;
mod tunnel;
mod wait;
