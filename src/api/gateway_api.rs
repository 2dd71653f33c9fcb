//! `gateway.networking.k8s.io`: the Gateway API, as far as the mesh reads it.

pub mod crd;
pub mod gateway;
pub mod http_route;
pub mod reference;
pub mod routes;

pub use gateway::{GatewayClass, KubernetesGateway};
pub use http_route::HttpRoute;
pub use reference::ReferenceGrant;
pub use routes::{GrpcRoute, TcpRoute, TlsRoute};
