//! Counters of the data path: one shard per worker, merged when somebody asks.

#[allow(clippy::mutable_key_type, reason = "keys are compared by address and by values that never change")]
mod istio;
mod overrides;
mod registry;
mod render;

pub(crate) use istio::{IstioShard, RequestLabels, TcpLabels};
pub(crate) use overrides::IstioStatsConfig;
pub(crate) use registry::{ClusterCounters, Counter, HostCounters, HttpCounters};
pub use registry::{EndpointStats, Registry, Sample, SampleValue};
