//! Shapes on the wire and in YAML: Istio resources, the slice of Kubernetes a mesh reads, MeshConfig, Envoy protobufs and
//! their JSON mapping.
//!
//! No I/O, no async, no behaviour beyond (de)serialising and schema.

#[macro_use]
pub mod encoding;
mod camel_case;
pub mod duration;
pub mod envoy;
pub mod gateway_api;
pub mod istio;
pub mod kubernetes;
pub mod object;
pub mod schema;
pub mod shape;
mod sorted_map;
pub mod trace;
pub mod tree;
pub mod yaml;

pub use camel_case::camel_case;
pub use duration::Duration;
pub use object::{Object, ObjectMeta, OwnerReference, ParseError, Resource};
pub use sorted_map::SortedMap;
pub use tree::Tree;
