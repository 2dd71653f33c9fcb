//! What the shapes mean: hosts, selectors, services, endpoints, routes, policies, SPIFFE identities.
//!
//! Pure and total: no tokio, kube or tonic. The only host, route and policy matcher, so that analyze, the console, the control
//! plane and the proxy cannot disagree.

pub mod address_allocation;
pub mod attribute_gen;
pub mod destination_rule;
pub mod discovery_selectors;
pub mod endpoint;
pub mod gateway;
pub mod gateway_api;
pub mod grpc_status;
pub mod hostname;
pub mod jwks;
pub mod labels;
pub mod locality;
pub mod mesh;
pub mod not_yet_effective;
pub mod peer_authentication;
pub mod protocol;
pub mod request_attributes;
pub mod service;
pub mod sidecar_scope;
pub mod snapshot;
pub mod spiffe;
pub mod virtual_service;
pub mod visibility;
pub mod workload;

pub use hostname::Hostname;
pub use mesh::Mesh;
pub use protocol::Protocol;
pub use service::Service;
pub use snapshot::{Change, ChangeSet, Kind, Snapshot};
pub use spiffe::Identity;
