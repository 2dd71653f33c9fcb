//! Clusters as one worker sees them: endpoints with their load, health and idle connections.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{Assignment, Cluster, Discovery, Endpoint, LbPolicy, Snapshot};
use crate::http::wire::Wire;
use crate::stats::{ClusterCounters, HostCounters, Registry};
use crate::tls::context::UpstreamTls;

use super::connect::Offer;

/// All clusters of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    clusters: RefCell<HashMap<Arc<str>, Rc<Pool>>>,
}

/// One cluster.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) cluster: Arc<Cluster>,
    assignment: Option<Arc<Assignment>>,
    hosts: Vec<Rc<Host>>,
    originals: RefCell<HashMap<SocketAddr, Rc<Host>>>,
    turn: Cell<usize>,
    pub(crate) counters: Arc<ClusterCounters>,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) tls: Option<Arc<UpstreamTls>>,
    active: Cell<u32>,
    idle: RefCell<Vec<Idle>>,
    h2: RefCell<Option<(h2::client::SendRequest<Bytes>, Offer)>>,
    failures_5xx: Cell<u32>,
    failures_gateway: Cell<u32>,
    ejections: Cell<u32>,
    ejected_until: Cell<Option<Instant>>,
    pub(crate) counters: Arc<HostCounters>,
}

#[derive(Debug)]
struct Idle {
    wire: Rc<Wire>,
    offer: Offer,
    since: Instant,
    requests: u32,
}

/// Counts a request on a host while it lives.
#[derive(Debug)]
pub(crate) struct ActiveRequest(Rc<Host>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
        self.0.counters.rq_active.sub(1);
    }
}

impl Pools {
    /// The cluster of a name as the snapshot has it now; hosts that stay keep their connections.
    pub(crate) fn get(&self, name: &str, snapshot: &Snapshot, registry: &Registry) -> Option<Rc<Pool>> {
        let cluster = snapshot.clusters.get(name)?;
        let assignment = snapshot.endpoints(cluster);
        let mut pools = self.clusters.borrow_mut();
        if let Some(pool) = pools.get(name) {
            let same_endpoints = match (&pool.assignment, assignment) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                (None, None) => true,
                _ => false,
            };
            if same_endpoints && Arc::ptr_eq(&pool.cluster, cluster) {
                return Some(pool.clone());
            }
        }
        let old = pools.get(name).filter(|pool| Arc::ptr_eq(&pool.cluster, cluster)).cloned();
        let pool = Rc::new(Pool::build(cluster.clone(), assignment.cloned(), old.as_deref(), registry));
        pools.insert(cluster.name.clone(), pool.clone());
        Some(pool)
    }

    /// Closes what has idled too long and forgets clusters that are gone.
    pub(crate) fn sweep(&self, snapshot: &Snapshot) {
        let mut pools = self.clusters.borrow_mut();
        pools.retain(|name, _| snapshot.clusters.contains_key(&**name));
        for pool in pools.values() {
            let limit = pool.cluster.idle_timeout;
            for host in pool.hosts.iter().chain(pool.originals.borrow().values()) {
                host.idle.borrow_mut().retain(|idle| {
                    limit.is_none_or(|limit| idle.since.elapsed() < limit) && !idle.wire.has_news()
                });
            }
            pool.originals
                .borrow_mut()
                .retain(|_, host| host.active.get() > 0 || !host.idle.borrow().is_empty());
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
        let endpoints = assignment.iter().flat_map(|a| &a.endpoints);
        let hosts = endpoints.map(|endpoint| {
            let kept = old.and_then(|old| old.hosts.iter().find(|host| *host.endpoint == **endpoint));
            kept.cloned().unwrap_or_else(|| Rc::new(Host::new(&cluster, endpoint.clone(), registry)))
        });
        let hosts = hosts.collect();
        let counters = registry.cluster(&cluster.stat_name);
        Self { assignment, hosts, originals: RefCell::default(), turn: Cell::new(0), counters, cluster }
    }

    /// Chooses an endpoint. `hash` steers consistent hashing, `avoid` is passed over while others are left,
    /// `original` is where the connection was going.
    pub(crate) fn choose(
        &self,
        random: u64,
        hash: Option<u64>,
        avoid: &[SocketAddr],
        original: Option<SocketAddr>,
        registry: &Registry,
    ) -> Option<Rc<Host>> {
        if self.cluster.discovery == Discovery::OriginalDst {
            return original.map(|address| self.original(address, registry));
        }
        let lowest = self.hosts.iter().filter(|h| h.usable()).map(|h| h.endpoint.priority).min();
        let priority = lowest.or_else(|| self.hosts.iter().map(|h| h.endpoint.priority).min())?;
        let level: smallvec::SmallVec<[&Rc<Host>; 16]> =
            self.hosts.iter().filter(|h| h.endpoint.priority == priority).collect();
        let healthy: smallvec::SmallVec<[&Rc<Host>; 16]> =
            level.iter().copied().filter(|h| h.usable()).collect();
        // Panic: with too few healthy endpoints, all are used rather than the rest overloaded.
        let panic = healthy.len() * 100 < level.len() * self.cluster.panic_percent as usize;
        let pool = if panic { level } else { healthy };
        let fresh: smallvec::SmallVec<[&Rc<Host>; 16]> =
            pool.iter().copied().filter(|h| !avoid.contains(&h.endpoint.address)).collect();
        let pool = if fresh.is_empty() { pool } else { fresh };
        self.pick(&pool, random, hash).cloned()
    }

    fn pick<'h>(&self, pool: &[&'h Rc<Host>], random: u64, hash: Option<u64>) -> Option<&'h Rc<Host>> {
        if pool.len() <= 1 {
            return pool.first().copied();
        }
        let weighted = |point: u64| {
            let total: u64 = pool.iter().map(|h| h.share()).sum();
            let mut point = point.checked_rem(total)?;
            pool.iter().copied().find(|h| {
                let hit = point < h.share();
                point = point.saturating_sub(h.share());
                hit
            })
        };
        match self.cluster.lb {
            LbPolicy::RoundRobin => {
                let turn = self.turn.get().wrapping_add(1);
                self.turn.set(turn);
                if pool.iter().all(|h| h.share() == pool[0].share()) {
                    pool.get(turn % pool.len()).copied()
                } else {
                    weighted((turn as u64 * 0x9E37_79B9) >> 7)
                }
            }
            LbPolicy::LeastRequest(choices) => (0..choices)
                .filter_map(|i| weighted(random.rotate_left(i * 13)))
                .min_by_key(|h| h.active.get()),
            LbPolicy::Random => weighted(random),
            // Rendezvous hashing: as a ring or Maglev table, one endpoint's loss moves only its own keys.
            LbPolicy::RingHash(_) | LbPolicy::Maglev(_) => {
                let key = hash.unwrap_or(random);
                pool.iter().copied().max_by(|a, b| a.rendezvous(key).total_cmp(&b.rendezvous(key)))
            }
        }
    }

    fn original(&self, mut address: SocketAddr, registry: &Registry) -> Rc<Host> {
        if let Some(port) = self.cluster.port_override {
            address.set_port(port);
        }
        let mut originals = self.originals.borrow_mut();
        originals
            .entry(address)
            .or_insert_with(|| {
                let endpoint = Endpoint {
                    address,
                    weight: 1,
                    priority: 0,
                    healthy: true,
                    hostname: String::new(),
                    locality: Default::default(),
                    locality_weight: 0,
                    transport_labels: Default::default(),
                    workload: None,
                };
                Rc::new(Host::new(&self.cluster, Arc::new(endpoint), registry))
            })
            .clone()
    }

    /// Notes the outcome of a request for outlier detection; `status` is `None` for a connection failure.
    pub(crate) fn note(&self, host: &Host, status: Option<u16>) {
        let Some(outlier) = &self.cluster.outlier else { return };
        let bad = status.is_none_or(|s| s >= 500);
        let gateway = status.is_none_or(|s| (502..=504).contains(&s));
        host.failures_5xx.set(if bad { host.failures_5xx.get() + 1 } else { 0 });
        host.failures_gateway.set(if gateway { host.failures_gateway.get() + 1 } else { 0 });
        let over = |limit: Option<u32>, count: &Cell<u32>| limit.is_some_and(|limit| count.get() >= limit);
        if !over(outlier.consecutive_5xx, &host.failures_5xx)
            && !over(outlier.consecutive_gateway, &host.failures_gateway)
        {
            return;
        }
        let ejected = self.hosts.iter().filter(|h| h.is_ejected()).count();
        // Envoy always allows one ejection, whatever the percentage.
        if ejected > 0 && (ejected + 1) * 100 > self.hosts.len() * outlier.max_percent as usize {
            return;
        }
        host.failures_5xx.set(0);
        host.failures_gateway.set(0);
        host.ejections.set(host.ejections.get() + 1);
        let length = outlier.base_ejection.saturating_mul(host.ejections.get()).min(outlier.max_ejection);
        host.ejected_until.set(Some(Instant::now() + length));
        self.counters.outlier_ejections.add(1);
    }
}

impl Host {
    fn new(cluster: &Cluster, endpoint: Arc<Endpoint>, registry: &Registry) -> Self {
        let labels = &endpoint.transport_labels;
        let matched =
            cluster.transports.iter().find(|t| t.labels.iter().all(|(k, v)| labels.get(k) == Some(v)));
        let tls = matched.map_or_else(|| cluster.tls.clone(), |t| t.tls.clone());
        let counters = registry.host(&cluster.name, endpoint.address);
        Self {
            tls,
            counters,
            active: Cell::new(0),
            idle: RefCell::default(),
            h2: RefCell::default(),
            failures_5xx: Cell::new(0),
            failures_gateway: Cell::new(0),
            ejections: Cell::new(0),
            ejected_until: Cell::new(None),
            endpoint,
        }
    }

    fn is_ejected(&self) -> bool {
        self.ejected_until.get().is_some_and(|until| Instant::now() < until)
    }

    fn usable(&self) -> bool {
        self.endpoint.healthy && !self.is_ejected()
    }

    fn share(&self) -> u64 {
        u64::from(self.endpoint.weight) * u64::from(self.endpoint.locality_weight.max(1))
    }

    fn rendezvous(&self, key: u64) -> f64 {
        // Fixed keys: every proxy must send a key to the same endpoint.

        let unit = (ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one((self.endpoint.address, key)) >> 11)
            as f64
            / (1_u64 << 53) as f64;
        f64::from(self.endpoint.weight) / -unit.max(f64::MIN_POSITIVE).ln()
    }

    /// Counts a request until the returned guard is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> ActiveRequest {
        self.active.set(self.active.get() + 1);
        self.counters.rq_active.add(1);
        self.counters.rq_total.add(1);
        ActiveRequest(self.clone())
    }

    /// An idle HTTP/1 connection, with how many requests it has carried.
    pub(crate) fn take_idle(&self, offer: Offer, idle_timeout: Option<Duration>) -> Option<(Rc<Wire>, u32)> {
        let mut idle = self.idle.borrow_mut();
        while let Some(index) = idle.iter().rposition(|each| each.offer == offer) {
            let each = idle.swap_remove(index);
            if !each.wire.has_news() && idle_timeout.is_none_or(|limit| each.since.elapsed() < limit) {
                return Some((each.wire, each.requests));
            }
        }
        None
    }

    /// Puts a connection back for the next request.
    pub(crate) fn put_idle(&self, wire: Rc<Wire>, offer: Offer, requests: u32) {
        wire.rest();
        self.idle.borrow_mut().push(Idle { wire, offer, since: Instant::now(), requests });
    }

    /// The shared HTTP/2 connection, if it is alive.
    pub(crate) fn h2(&self, offer: Offer) -> Option<h2::client::SendRequest<Bytes>> {
        self.h2.borrow().as_ref().filter(|(_, each)| *each == offer).map(|(sender, _)| sender.clone())
    }

    /// Sets or clears the shared HTTP/2 connection.
    pub(crate) fn set_h2(&self, sender: Option<h2::client::SendRequest<Bytes>>, offer: Offer) {
        *self.h2.borrow_mut() = sender.map(|sender| (sender, offer));
    }
}
