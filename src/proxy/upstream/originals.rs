//! Endpoints of an original-destination cluster: made when a client names them, forgotten when nothing goes there any more.
//!
//! With callers' own addresses (`original_src`) each client has an endpoint of its own, so their number is bounded here: beyond it those
//! that were used longest ago are forgotten with their idle connections. What is in use is never touched.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::host::Host;
use super::original::Original;

/// Most endpoints that one worker keeps for one cluster only because they may be wanted again.
const MOST: usize = 1024;

type Hosts = HashMap<Original, Rc<Host>, ahash::RandomState>;

/// The endpoints of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Originals {
    hosts: RefCell<Hosts>,
    /// So many are looked through next time; twice what was in use the last time, so that a look is worth its while.
    crowded: Cell<usize>,
}

impl Default for Originals {
    fn default() -> Self {
        Self { hosts: RefCell::default(), crowded: Cell::new(MOST) }
    }
}

impl Originals {
    /// The endpoint of a destination; `make` makes it when it is new.
    pub(super) fn get(&self, original: Original, make: impl FnOnce() -> Host) -> Rc<Host> {
        if let Some(known) = self.hosts.borrow().get(&original) {
            return known.clone();
        }
        let forgotten = self.make_room();
        let host = Rc::new(make());
        self.hosts.borrow_mut().insert(original, host.clone());
        drop(forgotten);
        host
    }

    /// Closes what has idled over `limit`, and forgets endpoints without connections.
    pub(super) fn sweep(&self, limit: Option<Duration>) {
        let mut hosts = self.hosts.borrow_mut();
        hosts.values().for_each(|host| host.sweep(limit));
        hosts.retain(|_, host| !host.is_unused());
        let in_use = hosts.values().filter(|host| host.load() > 0).count();
        self.crowded.set(MOST.max(in_use * 2));
    }

    /// Where there are too many: takes out the idle ones that were used longest ago, down to three quarters of what is kept.
    fn make_room(&self) -> Vec<Rc<Host>> {
        let mut hosts = self.hosts.borrow_mut();
        if hosts.len() < self.crowded.get() {
            return Vec::new();
        }
        let idle = hosts.iter().filter(|(_, host)| host.load() == 0);
        let mut idle: Vec<_> = idle.map(|(original, host)| (host.last_put_back(), *original)).collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        let in_use = hosts.len() - idle.len();
        let surplus = hosts.len().saturating_sub(MOST / 4 * 3);
        self.crowded.set(MOST.max(in_use * 2));
        idle.iter().take(surplus).filter_map(|(_, original)| hosts.remove(original)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use envoy_types::pb::envoy::config::cluster::v3 as cluster;

    use super::*;
    use crate::config::{Cluster, Snapshot};
    use crate::stats::Registry;
    use crate::upstream::original::Caller;
    use crate::upstream::pool::Pools;

    fn snapshot() -> Snapshot {
        use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
        let from = cluster::Cluster {
            name: "inbound|80||".to_owned(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32)),
            lb_policy: LbPolicy::ClusterProvided as i32,
            ..cluster::Cluster::default()
        };
        let compiled = Cluster::compile(&from, None, &Arc::default()).unwrap();
        Snapshot { clusters: [(from.name, compiled)].into(), ..Snapshot::default() }
    }

    /// Client `number`, who goes to an address of its own, too.
    fn client(number: u32) -> Original {
        let ip = |base: [u8; 4]| IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(base) + number));
        let address = SocketAddr::new(ip([192, 168, 0, 0]), 80);
        Original { address, caller: Some(Caller { ip: ip([10, 0, 0, 0]), mark: 0 }) }
    }

    #[test]
    fn ten_thousand_clients_that_came_once_are_forgotten_and_the_one_that_stays_is_not() {
        let (snapshot, registry, pools) = (snapshot(), Registry::default(), Pools::default());
        let pool = pools.get("inbound|80||", &snapshot, &registry).unwrap();
        let visit =
            |number| pool.choose(0, None, Default::default(), Some(client(number)), &registry).unwrap();
        let stays = visit(0);
        let request = stays.begin(&pool).unwrap();
        for number in 1..10_000 {
            drop(visit(number));
        }
        let kept = pool.originals.hosts.borrow().len();
        assert!(kept <= MOST, "{kept} endpoints are kept");
        assert!(Rc::ptr_eq(&stays, &visit(0)), "an endpoint in use was forgotten");

        pools.sweep(&snapshot);
        registry.forget_unused();
        assert_eq!(pool.originals.hosts.borrow().len(), 1);
        assert_eq!(registry.endpoints("inbound|80||").len(), 1, "statistics outlive their endpoints");
        drop((request, stays));
        pools.sweep(&snapshot);
        registry.forget_unused();
        assert!(registry.endpoints("inbound|80||").is_empty());
    }
}
