//! The graph of who talks to whom, in the shape that Kiali's API serves.
//!
//! [`options`] says what is asked for, [`build`] folds telemetry into nodes and edges, [`elements`] is the JSON, [`decorate`] adds
//! what configuration knows (virtual services, circuit breakers, missing sidecars, names of things without traffic).

pub mod build;
pub mod decorate;
pub mod elements;
pub mod options;

pub use elements::Graph;
pub use options::{GraphOptions, GraphType};
