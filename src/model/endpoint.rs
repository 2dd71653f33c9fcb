//! Where a service's requests can go: addresses with what the mesh knows of the workload behind each.

mod from_slices;
mod from_workload_entries;

use std::sync::Arc;

use crate::labels::Labels;
use crate::spiffe::Identity;

pub use from_slices::of_slices;
pub use from_workload_entries::{of_inline, of_selected};

/// Whether an endpoint takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Ready.
    Healthy,
    /// Not ready; sent along only where all are wanted.
    Unhealthy,
    /// Terminating but still serving.
    Draining,
}

/// The workload behind an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Name of the workload.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Canonical service.
    pub canonical_name: String,
    /// Canonical revision.
    pub canonical_revision: String,
}

/// One address of one port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// IP address, DNS name, or absolute path of a Unix socket (`unix://…`).
    pub address: String,
    /// The workload's addresses of another family, where the service has addresses of both.
    pub also_at: Vec<String>,
    /// Port of the workload; 0 for Unix sockets.
    pub port: u16,
    /// Number of the service's port that it serves.
    pub service_port: u16,
    /// Labels that subsets select by.
    pub labels: Arc<Labels>,
    /// Who answers there; `None` outside the mesh.
    pub identity: Option<Identity>,
    /// The workload's proxy takes mutual TLS.
    pub mutual_tls: bool,
    /// `region/zone/subzone`, empty where unknown.
    pub locality: Arc<str>,
    /// Node it runs on.
    pub node: String,
    /// Share of requests relative to others; 0 counts as 1.
    pub weight: u32,
    /// Whether it takes requests.
    pub health: Health,
    /// What runs there.
    pub workload: Arc<Workload>,
    /// Host name of the pod within a headless service.
    pub hostname: String,
}

impl Endpoint {
    /// Every address of it, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.address).chain(&self.also_at).map(String::as_str)
    }
}
