//! Counters of the data path: one shard per worker, merged when somebody asks.

mod istio;
mod registry;
mod render;

pub(crate) use istio::{IstioShard, RequestLabels, TcpLabels};
pub(crate) use registry::{ClusterCounters, Counter, HostCounters, HttpCounters};
pub use registry::{EndpointStats, Registry, Sample, SampleValue};
