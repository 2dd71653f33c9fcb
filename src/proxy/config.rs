//! What the proxy is told to do: Envoy resources as received, and the compiled form that the workers read.
//!
//! Resources come in through [`ConfigStore::apply`], whoever sends them (discovery stream, static bootstrap, local
//! certificates). They are compiled off the request path; workers only ever see a whole, immutable [`Snapshot`].

mod raw;
mod snapshot;
mod store;
pub mod type_url;
mod update;

pub use raw::{Origin, RawResource, ResourceState};
pub use snapshot::Snapshot;
pub use store::ConfigStore;
pub use update::{Rejection, Update, Wanted};
