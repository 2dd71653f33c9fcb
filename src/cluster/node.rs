//! The node agent: runs the pods that are bound to the node `sagene` as processes of this machine.
//!
//! Reading order: `agent` (which pods) → `pod` (one pod) → `container_process` (what a container's process does before it becomes the
//! program) → `probe`, `logs`, `volumes` → `runtime` (log, exec, attach, port-forward for the API server).

mod agent;
pub(crate) mod capability;
pub(crate) mod container_process;
mod container_spec;
mod container_state;
mod environment;
mod events;
mod field_value;
mod image;
mod listening;
mod logs;
mod pod;
mod pod_spec;
mod probe;
mod prober;
mod process;
pub(crate) mod quantity;
mod reaper;
mod registration;
mod runtime;
mod scheduler;
mod service_feed;
mod standard_input;
mod terminal;
mod usage;
mod volumes;

pub(crate) use agent::{NodeAgent, NodeAgentConfig};

/// Name of the one node.
pub(crate) const NODE_NAME: &str = "sagene";
