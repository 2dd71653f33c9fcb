//! Choosing an endpoint: priority level, locality, then the policy of the cluster.

use std::net::SocketAddr;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::config::{Cluster, LbPolicy};

use super::host::Host;

/// A level with fewer healthy endpoints than this share of 1/1.4 spills over to the next.
const OVERPROVISIONING: usize = 140;

type Choice<'h> = SmallVec<[&'h Rc<Host>; 16]>;

/// The endpoints of one priority.
#[derive(Debug, Default)]
pub(super) struct Level {
    hosts: Vec<Rc<Host>>,
    /// All have the same weight, and so have their localities: nothing needs to be weighed.
    even: bool,
}

/// What a choice goes by.
pub(super) struct Wish<'w> {
    pub(super) random: u64,
    pub(super) turn: u64,
    pub(super) hash: Option<u64>,
    /// Endpoints that are passed over while others are left.
    pub(super) avoid: &'w [SocketAddr],
}

/// The hash of a client, the same in every proxy.
pub(crate) fn hash_of_client(client: std::net::IpAddr) -> u64 {
    ahash::RandomState::with_seeds(5, 6, 7, 8).hash_one(client)
}

/// Groups endpoints by priority.
pub(super) fn levels(cluster: &Cluster, hosts: &[Rc<Host>]) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for host in hosts {
        let index = host.endpoint.priority as usize;
        if levels.len() <= index.min(127) {
            levels.resize_with(index.min(127) + 1, Level::default);
        }
        levels[index.min(127)].hosts.push(host.clone());
    }
    for level in &mut levels {
        let first = level.hosts.first().map(|host| host.endpoint.weight);
        let localities =
            cluster.locality_weighted && level.hosts.iter().any(|h| h.endpoint.locality_weight > 0);
        level.even = !localities && level.hosts.iter().all(|host| Some(host.endpoint.weight) == first);
    }
    levels
}

/// Chooses among the levels; `None` = no endpoint may be used.
pub(super) fn choose<'l>(cluster: &Cluster, levels: &'l [Level], wish: &Wish<'_>) -> Option<&'l Rc<Host>> {
    if let [only] = levels
        && only.even
        && wish.avoid.is_empty()
        && cluster.lb == LbPolicy::RoundRobin
        && let Some(host) =
            only.hosts.get(usize::try_from(wish.turn).unwrap_or_default() % only.hosts.len().max(1))
        && host.usable()
        && (only.hosts.len() == 1
            || cluster.outlier.is_none() && only.hosts.iter().all(|h| h.endpoint.healthy))
    {
        return Some(host);
    }
    let (level, healthy) = choose_level(cluster, levels, wish.random)?;
    // Panic: with too few healthy endpoints all are used, rather than the rest overloaded.
    let panic = healthy.len() * 100 < level.hosts.len() * cluster.panic_percent as usize;
    let candidates: Choice<'_> = if panic { level.hosts.iter().collect() } else { healthy };
    let candidates = if cluster.locality_weighted && !level.even && !panic {
        one_locality(level, candidates, wish.random)
    } else {
        candidates
    };
    let fresh: Choice<'_> =
        candidates.iter().copied().filter(|h| !wish.avoid.contains(&h.endpoint.address)).collect();
    let candidates = if fresh.is_empty() { candidates } else { fresh };
    pick(cluster.lb, &candidates, wish)
}

/// The level by how much of the load each can take, lowest first; with the healthy endpoints of it.
fn choose_level<'l>(cluster: &Cluster, levels: &'l [Level], random: u64) -> Option<(&'l Level, Choice<'l>)> {
    let healthy = |level: &'l Level| level.hosts.iter().filter(|h| h.usable()).collect::<Choice<'l>>();
    if let [only] = levels {
        return Some((only, healthy(only)));
    }
    let share = |level: &Level| {
        let usable = level.hosts.iter().filter(|h| h.usable()).count();
        (usable * OVERPROVISIONING / level.hosts.len().max(1)).min(100)
    };
    let shares: SmallVec<[usize; 8]> = levels.iter().map(share).collect();
    let total: usize = shares.iter().sum::<usize>().min(100);
    if total == 0 {
        // Nobody is healthy: the first level that has endpoints, if panic is allowed at all.
        let first = levels.iter().find(|level| !level.hosts.is_empty())?;
        return (cluster.panic_percent > 0).then(|| (first, Choice::new()));
    }
    let mut point = usize::try_from(random % total as u64).unwrap_or_default();
    for (level, share) in levels.iter().zip(shares) {
        if point < share {
            return Some((level, healthy(level)));
        }
        point -= share;
    }
    None
}

/// One locality by weight, less where endpoints are missing from it, and its candidates.
fn one_locality<'l>(level: &'l Level, candidates: Choice<'l>, random: u64) -> Choice<'l> {
    let mut groups: SmallVec<[(&(String, String, String), u64, usize, usize); 8]> = SmallVec::new();
    for host in &level.hosts {
        let endpoint = &host.endpoint;
        let here = usize::from(candidates.iter().any(|c| Rc::ptr_eq(c, host)));
        match groups.iter_mut().find(|(name, ..)| **name == endpoint.locality) {
            Some((_, _, all, usable)) => {
                *all += 1;
                *usable += here;
            }
            None => groups.push((&endpoint.locality, endpoint.locality_weight.into(), 1, here)),
        }
    }
    let weight = |(_, weight, all, usable): &(_, u64, usize, usize)| {
        weight * 100 * (usable * OVERPROVISIONING / all).min(100) as u64 / 100
    };
    let total: u64 = groups.iter().map(weight).sum();
    // Other bits than those that chose the level.
    let Some(mut point) = random.rotate_left(32).checked_rem(total) else { return candidates };
    let chosen = groups.iter().find(|group| {
        let hit = point < weight(group);
        point = point.saturating_sub(weight(group));
        hit
    });
    match chosen {
        Some((name, ..)) => candidates.into_iter().filter(|h| h.endpoint.locality == **name).collect(),
        None => candidates,
    }
}

fn pick<'h>(policy: LbPolicy, candidates: &[&'h Rc<Host>], wish: &Wish<'_>) -> Option<&'h Rc<Host>> {
    if candidates.len() <= 1 {
        return candidates.first().copied();
    }
    match policy {
        LbPolicy::RoundRobin => {
            let first = candidates[0].endpoint.weight;
            if candidates.iter().all(|h| h.endpoint.weight == first) {
                return candidates
                    .get(usize::try_from(wish.turn).unwrap_or_default() % candidates.len())
                    .copied();
            }
            // Multiples of the golden ratio visit every share evenly, and no endpoint twice in a row for long.
            weighted(candidates, wish.turn.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        }
        LbPolicy::LeastRequest(choices) => (0..choices)
            .filter_map(|i| {
                weighted(
                    candidates,
                    wish.random.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.wrapping_add(u64::from(i) * 2)),
                )
            })
            .min_by_key(|host| host.load()),
        LbPolicy::Random => weighted(candidates, wish.random),
        // Rendezvous hashing has what a ring or a Maglev table is for, without the table: one endpoint's loss moves
        // only its own keys, and weights are exact.
        LbPolicy::RingHash | LbPolicy::Maglev => {
            let key = wish.hash.unwrap_or(wish.random);
            candidates.iter().copied().max_by(|a, b| rendezvous(a, key).total_cmp(&rendezvous(b, key)))
        }
    }
}

/// The endpoint at a point of the whole range of `u64`, each having its weight's share of it.
fn weighted<'h>(candidates: &[&'h Rc<Host>], point: u64) -> Option<&'h Rc<Host>> {
    let total: u64 = candidates.iter().map(|h| u64::from(h.endpoint.weight)).sum();
    let mut at = ((u128::from(point) * u128::from(total)) >> 64) as u64;
    candidates.iter().copied().find(|h| {
        let share = u64::from(h.endpoint.weight);
        let hit = at < share;
        at = at.saturating_sub(share);
        hit
    })
}

fn rendezvous(host: &Host, key: u64) -> f64 {
    // Fixed keys: every proxy must send a key to the same endpoint.
    let hash = ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one((host.endpoint.address, key));
    let unit = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    f64::from(host.endpoint.weight) / -unit.max(f64::MIN_POSITIVE).ln()
}
