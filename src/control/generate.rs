//! Envoy configuration from the index: clusters, endpoints, listeners, routes, secrets, the name table.
//!
//! Every function here is pure: index and proxy in, resource out. Names and shapes are Istio's, because its tools read them.

pub(crate) mod access_log;
pub(crate) mod authorization;
pub(crate) mod cluster;
pub(crate) mod content_hash;
pub(crate) mod endpoint;
pub mod envoy_filter;
pub mod extension;
pub(crate) mod families;
pub(crate) mod listener;
pub(crate) mod name_table;
pub(crate) mod names;
pub(crate) mod proto;
pub mod proxy;
pub(crate) mod request_authentication;
pub mod resource;
pub(crate) mod route;
pub(crate) mod secret;
pub mod settings;
pub(crate) mod telemetry;
pub mod topology;
pub(crate) mod transport;
pub mod type_url;
pub mod version_skew;

pub mod not_yet_effective;

pub use not_yet_effective::not_yet_effective;
pub use proxy::{Proxy, ProxyError, ProxyType};
pub use resource::{Resource, ResourceSet};
pub use settings::Settings;

#[cfg(test)]
pub(crate) mod tests;
