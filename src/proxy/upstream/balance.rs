//! Choosing an endpoint: priority level, locality, then the policy of the cluster.

use std::net::SocketAddr;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::config::{Cluster, LbPolicy};

use super::host::Host;

/// A level or locality with fewer healthy endpoints than this share of 1/1.4 gives up load to the others.
const OVERPROVISIONING: usize = 140;
/// The share of a level or locality that is whole.
const WHOLE: usize = 100;
/// Fractions of irrational numbers: their multiples visit every share evenly, and no endpoint twice in a row for long. Two of them,
/// so that the locality that a turn chooses says nothing of the endpoint within it.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const ROOT_OF_TWO: u64 = 0x6A09_E667_F3BC_C909;

type Choice<'h> = SmallVec<[&'h Rc<Host>; 16]>;

/// The endpoints of one priority.
#[derive(Debug, Default)]
pub(super) struct Level {
    hosts: Vec<Rc<Host>>,
    /// All have the same weight, and no locality has a weight of its own: nothing needs to be weighed.
    even: bool,
    /// Those of each locality, where there are several and the cluster weighs them.
    localities: Vec<Weighed>,
}

/// A locality with a weight of its own.
#[derive(Debug)]
struct Weighed {
    weight: u64,
    hosts: Vec<Rc<Host>>,
}

/// What a choice goes by.
pub(super) struct Wish<'w> {
    pub(super) random: u64,
    pub(super) turn: u64,
    pub(super) hash: Option<u64>,
    pub(super) passed_over: PassedOver<'w>,
}

/// What earlier attempts of the same request make unwelcome; it is taken all the same where nothing else is left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PassedOver<'w> {
    /// Endpoints.
    pub(crate) endpoints: &'w [SocketAddr],
    /// Priorities.
    pub(crate) levels: &'w [u32],
}

/// The hash of a client, the same in every proxy.
pub(crate) fn hash_of_client(client: std::net::IpAddr) -> u64 {
    ahash::RandomState::with_seeds(5, 6, 7, 8).hash_one(client)
}

/// Groups endpoints by priority, and by locality where that matters.
pub(super) fn levels(cluster: &Cluster, hosts: &[Rc<Host>]) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for host in hosts {
        let index = (host.endpoint.priority as usize).min(127);
        if levels.len() <= index {
            levels.resize_with(index + 1, Level::default);
        }
        levels[index].hosts.push(host.clone());
    }
    for level in &mut levels {
        let first = level.hosts.first().map(|host| host.endpoint.weight);
        let weighed = cluster.locality_weighted && level.hosts.iter().any(|h| h.endpoint.locality_weight > 0);
        level.localities = if weighed { localities(&level.hosts) } else { Vec::new() };
        level.even = level.localities.is_empty()
            && cluster.slow_start.is_none()
            && level.hosts.iter().all(|host| Some(host.endpoint.weight) == first);
    }
    levels
}

/// The endpoints of each locality; none where there is but one.
fn localities(hosts: &[Rc<Host>]) -> Vec<Weighed> {
    let mut found: Vec<Weighed> = Vec::new();
    for host in hosts {
        let endpoint = &host.endpoint;
        let same = |known: &&mut Weighed| {
            known.hosts.first().is_some_and(|first| first.endpoint.locality == endpoint.locality)
        };
        match found.iter_mut().find(same) {
            Some(known) => known.hosts.push(host.clone()),
            None => {
                found.push(Weighed { weight: endpoint.locality_weight.into(), hosts: vec![host.clone()] })
            }
        }
    }
    if found.len() > 1 { found } else { Vec::new() }
}

/// Chooses among the levels; `None` = no endpoint may be used.
pub(super) fn choose<'l>(cluster: &Cluster, levels: &'l [Level], wish: &Wish<'_>) -> Option<&'l Rc<Host>> {
    if let [only] = levels
        && only.even
        && wish.passed_over.endpoints.is_empty()
        && cluster.lb == LbPolicy::RoundRobin
        && let Some(host) =
            only.hosts.get(usize::try_from(wish.turn).unwrap_or_default() % only.hosts.len().max(1))
        && host.usable()
        && (only.hosts.len() == 1
            || cluster.outlier.is_none() && only.hosts.iter().all(|h| h.endpoint.healthy))
    {
        return Some(host);
    }
    let hashes = matches!(cluster.lb, LbPolicy::RingHash | LbPolicy::Maglev);
    let point = wish.hash.filter(|_| hashes).unwrap_or(wish.random);
    let chosen = choose_level(cluster, levels, point, wish.passed_over.levels)?;
    let Leveled { level, healthy, enough } = untried(levels, chosen, wish.passed_over.endpoints);
    // Panic: with too few healthy endpoints here and elsewhere all are used, rather than the rest overloaded.
    let panic = !enough && healthy.len() * 100 < level.hosts.len() * cluster.panic_percent as usize;
    let candidates = if panic { level.hosts.iter().collect() } else { healthy };
    let candidates = welcome(candidates, wish.passed_over.endpoints);
    let weighed = !panic && !level.localities.is_empty();
    match weighed {
        true if hashes => hashed(&candidates, point, |host| weight_in_locality(level, host)),
        true => pick(cluster, &one_locality(level, candidates, wish), wish),
        false => pick(cluster, &candidates, wish),
    }
}

/// Those that are not passed over; all where that leaves none.
fn welcome<'l>(candidates: Choice<'l>, passed_over: &[SocketAddr]) -> Choice<'l> {
    if passed_over.is_empty() {
        return candidates;
    }
    let is_welcome = |host: &&Rc<Host>| !passed_over.contains(&host.endpoint.address);
    let fresh: Choice<'_> = candidates.iter().copied().filter(is_welcome).collect();
    if fresh.is_empty() { candidates } else { fresh }
}

/// A level with its healthy endpoints.
struct Leveled<'l> {
    level: &'l Level,
    healthy: Choice<'l>,
    /// The levels together can take the whole load.
    enough: bool,
}

/// The level by how much of the load each can take, lowest first.
fn choose_level<'l>(
    cluster: &Cluster,
    levels: &'l [Level],
    point: u64,
    passed_over: &[u32],
) -> Option<Leveled<'l>> {
    let healthy = |level: &'l Level| level.hosts.iter().filter(|h| h.usable()).collect::<Choice<'l>>();
    if let [only] = levels {
        let healthy = healthy(only);
        let enough = share(healthy.len(), only.hosts.len()) == WHOLE;
        return Some(Leveled { level: only, healthy, enough });
    }
    let usable = |level: &Level| level.hosts.iter().filter(|h| h.usable()).count();
    let mut shares: SmallVec<[usize; 8]> =
        levels.iter().map(|level| share(usable(level), level.hosts.len())).collect();
    let enough = shares.iter().sum::<usize>() >= WHOLE;
    let is_passed = |index: usize| passed_over.iter().any(|level| *level as usize == index);
    if shares.iter().enumerate().any(|(index, share)| *share > 0 && !is_passed(index)) {
        shares
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| is_passed(*index))
            .for_each(|(_, share)| *share = 0);
    }
    let total = shares.iter().sum::<usize>().min(WHOLE);
    if total == 0 {
        // Nobody is healthy: the first level that has endpoints, if panic is allowed at all.
        let level = levels.iter().find(|level| !level.hosts.is_empty())?;
        return (cluster.panic_percent > 0).then(|| Leveled { level, healthy: Choice::new(), enough });
    }
    let mut point = usize::try_from(point % total as u64).unwrap_or_default();
    for (level, share) in levels.iter().zip(shares) {
        if point < share {
            return Some(Leveled { level, healthy: healthy(level), enough });
        }
        point -= share;
    }
    None
}

/// A level that has endpoints which no attempt was made at, where the chosen one has none: trying once more what just failed helps
/// nobody.
fn untried<'l>(levels: &'l [Level], chosen: Leveled<'l>, tried: &[SocketAddr]) -> Leveled<'l> {
    let fresh = |host: &Rc<Host>| host.usable() && !tried.contains(&host.endpoint.address);
    if tried.is_empty() || levels.len() == 1 || chosen.healthy.iter().any(|host| fresh(host)) {
        return chosen;
    }
    match levels.iter().find(|level| level.hosts.iter().any(fresh)) {
        Some(level) => {
            let healthy = level.hosts.iter().filter(|host| host.usable()).collect();
            Leveled { level, healthy, enough: true }
        }
        None => chosen,
    }
}

/// How much of its load a group can take, of [`WHOLE`].
fn share(usable: usize, all: usize) -> usize {
    (usable * OVERPROVISIONING / all.max(1)).min(WHOLE)
}

/// Those candidates that are in one locality, which is chosen by weight, less where endpoints are missing from it.
fn one_locality<'l>(level: &'l Level, candidates: Choice<'l>, wish: &Wish<'_>) -> Choice<'l> {
    let weight = |locality: &Weighed| {
        let usable =
            locality.hosts.iter().filter(|host| candidates.iter().any(|c| Rc::ptr_eq(c, host))).count();
        locality.weight * share(usable, locality.hosts.len()) as u64
    };
    let weights: SmallVec<[u64; 8]> = level.localities.iter().map(weight).collect();
    let total: u64 = weights.iter().sum();
    let mut point = portion(wish.turn.wrapping_mul(ROOT_OF_TWO), total);
    for (locality, weight) in level.localities.iter().zip(weights) {
        if point < weight {
            let here = |host: &&Rc<Host>| locality.hosts.iter().any(|one| Rc::ptr_eq(one, host));
            return candidates.into_iter().filter(here).collect();
        }
        point -= weight;
    }
    candidates
}

/// An endpoint's part of the weight of its locality.
fn weight_in_locality(level: &Level, host: &Rc<Host>) -> f64 {
    let own = f64::from(host.endpoint.weight);
    let locality = level.localities.iter().find(|one| one.hosts.iter().any(|each| Rc::ptr_eq(each, host)));
    locality.map_or(own, |locality| {
        let all: f64 = locality.hosts.iter().map(|each| f64::from(each.endpoint.weight)).sum();
        own * locality.weight as f64 / all.max(1.0)
    })
}

fn pick<'h>(cluster: &Cluster, candidates: &[&'h Rc<Host>], wish: &Wish<'_>) -> Option<&'h Rc<Host>> {
    if candidates.len() <= 1 {
        return candidates.first().copied();
    }
    let weights = Weights::of(cluster, candidates);
    match cluster.lb {
        LbPolicy::RoundRobin if weights.even() => {
            candidates.get(usize::try_from(wish.turn).unwrap_or_default() % candidates.len()).copied()
        }
        LbPolicy::RoundRobin => weights.at(wish.turn.wrapping_mul(GOLDEN)),
        LbPolicy::LeastRequest(choices) => (0..choices)
            .filter_map(|i| weights.at(wish.random.wrapping_mul(GOLDEN.wrapping_add(u64::from(i) * 2))))
            .min_by_key(|host| host.load()),
        LbPolicy::Random => weights.at(wish.random),
        LbPolicy::RingHash | LbPolicy::Maglev => {
            hashed(candidates, wish.hash.unwrap_or(wish.random), |host| f64::from(host.endpoint.weight))
        }
    }
}

/// Candidates with the weights they have now.
struct Weights<'c, 'h> {
    candidates: &'c [&'h Rc<Host>],
    /// What is left of new ones' weights, in thousandths of them; empty where none is new.
    reduced: SmallVec<[u64; 16]>,
}

impl<'c, 'h> Weights<'c, 'h> {
    fn of(cluster: &Cluster, candidates: &'c [&'h Rc<Host>]) -> Self {
        let mut reduced = SmallVec::new();
        if let Some(slow_start) = &cluster.slow_start {
            let shares: SmallVec<[Option<f64>; 16]> =
                candidates.iter().map(|host| slow_start.share(host.age())).collect();
            if shares.iter().any(Option::is_some) {
                let thousandths = |share: Option<f64>| (share.unwrap_or(1.0) * 1000.0).max(1.0) as u64;
                reduced.extend(shares.into_iter().map(thousandths));
            }
        }
        Self { candidates, reduced }
    }

    fn weight(&self, index: usize, host: &Host) -> u64 {
        u64::from(host.endpoint.weight) * self.reduced.get(index).copied().unwrap_or(1)
    }

    fn even(&self) -> bool {
        let mut weights = self.candidates.iter().enumerate().map(|(index, host)| self.weight(index, host));
        let first = weights.next();
        weights.all(|weight| Some(weight) == first)
    }

    /// The endpoint at a point of the whole range of `u64`, each having its weight's share of it.
    fn at(&self, point: u64) -> Option<&'h Rc<Host>> {
        let each = || self.candidates.iter().enumerate();
        let total = each().map(|(index, host)| self.weight(index, host)).sum();
        let mut at = portion(point, total);
        each()
            .find(|(index, host)| {
                let share = self.weight(*index, host);
                let hit = at < share;
                at = at.saturating_sub(share);
                hit
            })
            .map(|(_, host)| *host)
    }
}

/// Where a point of the whole range of `u64` is in `0..total`.
fn portion(point: u64, total: u64) -> u64 {
    ((u128::from(point) * u128::from(total)) >> 64) as u64
}

/// Rendezvous hashing has what a ring or a Maglev table is for, without the table: one endpoint's loss moves only its own keys, and
/// weights are exact.
fn hashed<'h>(
    candidates: &[&'h Rc<Host>],
    key: u64,
    weight: impl Fn(&Rc<Host>) -> f64,
) -> Option<&'h Rc<Host>> {
    let score = |host: &Rc<Host>| {
        // Fixed keys: every proxy must send a key to the same endpoint.
        let hash = ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one((host.endpoint.address, key));
        let unit = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        weight(host) / -unit.max(f64::MIN_POSITIVE).ln()
    };
    candidates.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))
}
