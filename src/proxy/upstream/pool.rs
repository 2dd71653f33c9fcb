//! Clusters as one worker sees them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{Assignment, Cluster, Discovery, Endpoint, Snapshot};
use crate::stats::{ClusterCounters, Registry};

use super::balance::{self, Level, PassedOver, Wish};
use super::host::Host;
use super::original::Original;
use super::originals::Originals;

/// All clusters of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    clusters: RefCell<HashMap<Arc<str>, Known, ahash::RandomState>>,
}

/// A pool, and the configuration with which it was last found to be up to date.
#[derive(Debug)]
struct Known {
    pool: Rc<Pool>,
    generation: u64,
}

/// One cluster.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) counters: Arc<ClusterCounters>,
    assignment: Option<Arc<Assignment>>,
    hosts: Vec<Rc<Host>>,
    levels: Vec<Level>,
    pub(super) originals: Originals,
    turn: Cell<u64>,
}

impl Pools {
    /// The cluster of a name as the snapshot has it now; hosts that stay keep their connections.
    pub(crate) fn get(&self, name: &str, snapshot: &Snapshot, registry: &Registry) -> Option<Rc<Pool>> {
        let mut pools = self.clusters.borrow_mut();
        let known = pools.get_mut(name);
        if let Some(known) = known.as_ref().filter(|known| known.generation == snapshot.generation) {
            return Some(known.pool.clone());
        }
        let cluster = snapshot.clusters.get(name)?;
        let assignment = snapshot.endpoints(cluster);
        if let Some(known) = known
            && known.pool.is_of(cluster, assignment)
        {
            known.generation = snapshot.generation;
            return Some(known.pool.clone());
        }
        let old = pools.get(name).map(|known| known.pool.clone());
        let pool = Rc::new(Pool::build(cluster.clone(), assignment.cloned(), old.as_deref(), registry));
        pools.insert(cluster.name.clone(), Known { pool: pool.clone(), generation: snapshot.generation });
        Some(pool)
    }

    /// Closes what has idled too long and forgets clusters that are gone.
    pub(crate) fn sweep(&self, snapshot: &Snapshot) {
        let mut pools = self.clusters.borrow_mut();
        pools.retain(|name, _| snapshot.clusters.contains_key(&**name));
        for Known { pool, .. } in pools.values() {
            let limit = pool.cluster.idle_timeout;
            pool.hosts.iter().for_each(|host| host.sweep(limit));
            pool.originals.sweep(limit);
        }
    }
}

impl Pool {
    fn build(
        cluster: Arc<Cluster>,
        assignment: Option<Arc<Assignment>>,
        old: Option<&Self>,
        registry: &Registry,
    ) -> Self {
        // Connections outlive a change of the cluster that does not concern how they are opened.
        let old = old.filter(|old| old.cluster.connects_like(&cluster));
        let endpoints = assignment.iter().flat_map(|a| &a.endpoints);
        let kept: HashMap<SocketAddr, &Rc<Host>, ahash::RandomState> =
            old.iter().flat_map(|old| &old.hosts).map(|host| (host.endpoint.address, host)).collect();
        let hosts: Vec<_> = endpoints
            .map(|endpoint| {
                let labels = &endpoint.transport_labels;
                match kept.get(&endpoint.address).filter(|host| host.endpoint.transport_labels == *labels) {
                    Some(same) if *same.endpoint == **endpoint => Rc::clone(same),
                    Some(changed) => Rc::new(changed.renewed(endpoint.clone())),
                    None => Rc::new(Host::new(&cluster, endpoint.clone(), registry)),
                }
            })
            .collect();
        if cluster.outlier.is_none() {
            hosts.iter().for_each(|host| host.health.forgive());
        }
        let levels = balance::levels(&cluster, &hosts);
        let originals = old.map(|old| old.originals.clone()).unwrap_or_default();
        let counters = registry.cluster(&cluster.stat_name);
        registry.set_limits(&cluster.stat_name, cluster.thresholds);
        let turn = Cell::new(old.map_or(0, |old| old.turn.get()));
        Self { assignment, hosts, levels, originals, turn, counters, cluster }
    }

    fn is_of(&self, cluster: &Arc<Cluster>, assignment: Option<&Arc<Assignment>>) -> bool {
        let same_endpoints = match (&self.assignment, assignment) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        same_endpoints && Arc::ptr_eq(&self.cluster, cluster)
    }

    /// Every endpoint of the assignment.
    pub(super) fn hosts(&self) -> &[Rc<Host>] {
        &self.hosts
    }

    /// Chooses an endpoint. `hash` steers consistent hashing, `original` is where the connection was going.
    pub(crate) fn choose(
        &self,
        random: u64,
        hash: Option<u64>,
        passed_over: PassedOver<'_>,
        original: Option<Original>,
        registry: &Registry,
    ) -> Option<Rc<Host>> {
        if self.cluster.discovery == Discovery::OriginalDst {
            return original.map(|original| self.original(original, registry));
        }
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        balance::choose(&self.cluster, &self.levels, &Wish { random, turn, hash, passed_over }).cloned()
    }

    fn original(&self, mut original: Original, registry: &Registry) -> Rc<Host> {
        if let Some(port) = self.cluster.port_override {
            original.address.set_port(port);
        }
        self.originals.get(original, || {
            let endpoint = Endpoint {
                address: original.address,
                also_at: Vec::new(),
                weight: 1,
                priority: 0,
                healthy: true,
                hostname: String::new(),
                locality: Default::default(),
                locality_weight: 0,
                transport_labels: Default::default(),
                workload: None,
            };
            Host::for_caller(&self.cluster, Arc::new(endpoint), registry, original.caller)
        })
    }
}
