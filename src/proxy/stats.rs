//! Counters of the data path: one shard per worker, merged when somebody asks.

mod registry;

pub use registry::{EndpointStats, Registry, Sample, SampleValue};
