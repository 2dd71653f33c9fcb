//! Structural schemas of the shapes: small builders for the rules that types alone cannot say, the generator that turns a
//! type into what a CustomResourceDefinition accepts, and the strict reading that reports unknown fields.

pub(crate) mod definition;
pub mod proto_names;
pub mod rules;
pub mod strict;
