//! Messages of any type of Envoy's and Istio's configuration, by descriptors that are tables in the program: what no type in Rust is needed
//! for is read, looked at, changed and written as it came. Decision 7 says why this is not a library's.
//!
//! This room knows the wire format alone; what JSON makes of a message is told in [`super::json`].

mod message;
mod table;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use message::{MapKey, Message, Value};
pub(super) use table::{FieldDescriptor, Kind, MessageDescriptor};
pub use wire::WireError;
