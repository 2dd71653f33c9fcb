//! The compiled, immutable configuration that workers read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::assignment::Assignment;
use super::cluster::{Cluster, Discovery};
use super::listener::Listener;
use super::route_table::RouteTable;

/// Everything the request path needs, compiled. Replaced as a whole; parts that did not change are shared.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) listeners: HashMap<String, Arc<Listener>>,
    /// Listeners by address, for connections handed off by original destination.
    pub(crate) by_address: HashMap<SocketAddr, Arc<Listener>>,
    pub(crate) routes: HashMap<String, Arc<RouteTable>>,
    pub(crate) clusters: HashMap<String, Arc<Cluster>>,
    /// EDS assignments by service name.
    pub(crate) assignments: HashMap<String, Arc<Assignment>>,
    /// Resolved endpoints of DNS clusters by cluster name.
    pub(crate) resolved: HashMap<String, Arc<Assignment>>,
}

/// A cluster as `/clusters` shows it.
#[derive(Debug, Clone)]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// How it finds its endpoints.
    pub discovery: Discovery,
    /// Circuit breakers: connections, pending requests, requests, retries (`u32::MAX` = none).
    pub thresholds: [u32; 4],
    /// Its endpoints as the control plane gave them or as they were resolved.
    pub endpoints: Arc<Assignment>,
}

impl Snapshot {
    /// Counts the swaps since start; a worker compares it to know that something changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The endpoints of a cluster, wherever they come from.
    pub(crate) fn endpoints<'s>(&'s self, cluster: &'s Cluster) -> Option<&'s Arc<Assignment>> {
        match &cluster.discovery {
            Discovery::Static | Discovery::OriginalDst => cluster.assignment.as_ref(),
            Discovery::Eds(service) => self.assignments.get(service),
            Discovery::StrictDns | Discovery::LogicalDns => self.resolved.get(&*cluster.name),
        }
    }

    /// Every cluster with its endpoints, sorted by name.
    pub fn clusters(&self) -> Vec<ClusterView> {
        let mut list: Vec<_> = self
            .clusters
            .values()
            .map(|cluster| {
                let t = cluster.thresholds;
                ClusterView {
                    name: cluster.name.to_string(),
                    discovery: cluster.discovery.clone(),
                    thresholds: [t.connections, t.pending, t.requests, t.retries],
                    endpoints: self.endpoints(cluster).cloned().unwrap_or_default(),
                }
            })
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Names and addresses of the active listeners, sorted.
    pub fn listeners(&self) -> Vec<(String, Vec<SocketAddr>)> {
        let mut list: Vec<_> =
            self.listeners.values().map(|l| (l.name.to_string(), l.addresses.clone())).collect();
        list.sort();
        list
    }
}
