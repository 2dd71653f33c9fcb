//! The aggregated discovery service both ways: delta and state of the world, nonces, ACK and NACK.
//!
//! Does not know what a resource means. [`client`] is what a proxy runs, [`server`] what a control plane serves; [`session`] is the
//! server's state machine without any I/O.

pub mod client;
mod request;
pub mod resource;
pub mod server;
pub mod session;
pub mod type_url;
mod wire;

pub use request::DiscoveryRequest;
pub use resource::{Resource, ResourceSet};
