//! What the node and its pods use, as measured.

use std::time::Duration;

use jiff::Timestamp;

/// What something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time per time, on average over the window.
    pub cores: f64,
    /// Memory at the end of the window.
    pub bytes: u64,
}

/// One container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerUsage {
    /// Its name.
    pub name: String,
    /// What its processes use.
    pub usage: Usage,
}

/// One pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodUsage {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The containers that have run for the whole window.
    pub containers: Vec<ContainerUsage>,
}

/// The node, and the pods on it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeUsage {
    /// The end of the window.
    pub measured_at: Timestamp,
    /// The time that averages are of.
    pub window: Duration,
    /// The node's name.
    pub node: String,
    /// Everything that runs on the machine.
    pub usage: Usage,
    /// Pods that have run for the whole window.
    pub pods: Vec<PodUsage>,
}
