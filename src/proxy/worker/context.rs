//! What everything on one worker shares.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::access_log::remote::Waiting;
use crate::config::{ConfigStore, Direction, HttpManager, Listener, RouteSource, RouteTable, Snapshot};
use crate::filter::peer_metadata::{ID_HEADER, METADATA_HEADER, OwnMetadata, Peer, PeerCache};
use crate::http::headers::HeaderList;
use crate::stats::{HttpCounters, Registry};
use crate::tracing::recent::RecentSpans;
use crate::tracing::report::Reporter;
use crate::upstream::pool::{Pool, Pools};

/// Which connections are told to go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Drain {
    Nothing,
    /// Those to the workload; sockets stay open.
    Inbound,
    /// All; sockets stay open.
    Both,
    /// All, and nothing more is accepted.
    All,
}

impl Drain {
    fn concerns(self, direction: Direction) -> bool {
        match self {
            Self::Nothing => false,
            Self::Inbound => direction == Direction::Inbound,
            Self::Both | Self::All => true,
        }
    }
}

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connections: AtomicUsize,
    /// What drains; it only ever becomes more.
    pub(crate) draining: watch::Sender<Drain>,
    /// In which directions nothing more is accepted, while what is open goes on.
    pub(crate) closed: watch::Sender<Drain>,
    /// Becomes `true` once, when everything must end.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) listening: Mutex<Vec<(String, std::net::SocketAddr)>>,
    /// Spans of the last traced requests.
    pub(crate) spans: RecentSpans,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) store: Arc<ConfigStore>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) istio: Arc<Mutex<crate::stats::IstioShard>>,
    pub(crate) own: Arc<OwnMetadata>,
    pub(crate) unknown: Arc<str>,
    pub(crate) unknown_peer: Arc<Peer>,
    pub(crate) mark: Option<u32>,
    pub(crate) shared: Arc<Shared>,
    /// Spans that wait for their collectors.
    pub(crate) spans: Reporter,
    /// Entries of access logs that wait for their services.
    pub(crate) log_entries: Waiting,
    snapshot: RefCell<Arc<Snapshot>>,
    pools: Pools,
    peers: RefCell<PeerCache>,
    http: RefCell<HashMap<Arc<str>, Arc<HttpCounters>, ahash::RandomState>>,
    random: Cell<u64>,
    date: RefCell<(Instant, Rc<str>)>,
}

impl Worker {
    pub(crate) fn new(
        store: Arc<ConfigStore>,
        registry: Arc<Registry>,
        own: Arc<OwnMetadata>,
        mark: Option<u32>,
        shared: Arc<Shared>,
    ) -> Rc<Self> {
        use std::hash::{BuildHasher, Hasher};
        // The standard library's keys are random for each process and thread.
        let seed = std::hash::RandomState::new().build_hasher().finish() | 1;
        Rc::new(Self {
            snapshot: RefCell::new(store.snapshot()),
            istio: registry.shard(),
            unknown: "unknown".into(),
            unknown_peer: Arc::default(),
            pools: Pools::default(),
            spans: Reporter::default(),
            log_entries: Waiting::default(),
            peers: RefCell::default(),
            http: RefCell::default(),
            random: Cell::new(seed),
            date: RefCell::new((Instant::now(), http_date().into())),
            store,
            registry,
            own,
            mark,
            shared,
        })
    }

    /// The configuration in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Counts the changes of the configuration.
    pub(crate) fn generation(&self) -> u64 {
        self.snapshot.borrow().generation()
    }

    /// Takes over a new configuration.
    pub(crate) fn refresh(&self) {
        *self.snapshot.borrow_mut() = self.store.snapshot();
        self.pools.sweep(&self.snapshot());
    }

    /// A random number (xorshift): for load balancing and shares, not for secrets.
    pub(crate) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// The cluster of a name.
    pub(crate) fn pool(&self, name: &str) -> Option<Rc<Pool>> {
        self.pools.get(name, &self.snapshot.borrow(), &self.registry)
    }

    /// The routes of a connection manager.
    pub(crate) fn routes(&self, manager: &HttpManager) -> Option<Arc<RouteTable>> {
        match &manager.routes {
            RouteSource::Inline(table) => Some(table.clone()),
            RouteSource::Discovered(name) => self.snapshot.borrow().routes.get(name).cloned(),
        }
    }

    /// The peer that the headers tell of.
    pub(crate) fn peer(&self, headers: &HeaderList) -> Option<Arc<Peer>> {
        let value = headers.get(METADATA_HEADER)?;
        let key = headers.get(ID_HEADER).unwrap_or(value);
        // Both parts are the key: a sender must not be able to speak for another one's id.
        let key = [key, value].concat();
        self.peers.borrow_mut().get(&key, || Peer::decode(value))
    }

    /// The peer that an endpoint's metadata tells of.
    pub(crate) fn endpoint_peer(&self, text: &str) -> Option<Arc<Peer>> {
        self.peers.borrow_mut().get(text.as_bytes(), || Some(Peer::of_endpoint(text)))
    }

    /// Statistics of connection managers by prefix.
    pub(crate) fn http_counters(&self, prefix: &Arc<str>) -> Arc<HttpCounters> {
        if let Some(known) = self.http.borrow().get(prefix) {
            return known.clone();
        }
        let counters = self.registry.http(prefix);
        self.http.borrow_mut().insert(prefix.clone(), counters.clone());
        counters
    }

    /// Statistics of a listener by its first address.
    pub(crate) fn listener_counters(&self, listener: &Listener) -> Arc<HttpCounters> {
        self.registry.listener(&listener.addresses.first().map(ToString::to_string).unwrap_or_default())
    }

    /// Whether everything ends.
    pub(crate) fn ending(&self) -> bool {
        *self.shared.draining.borrow() == Drain::All
    }

    /// Whether connections of this direction are accepted.
    pub(crate) fn accepts(&self, direction: Direction) -> bool {
        !self.shared.closed.borrow().concerns(direction)
    }

    /// Whether connections of this direction drain.
    pub(crate) fn draining(&self, direction: Direction) -> bool {
        self.shared.draining.borrow().concerns(direction)
    }

    /// Returns when connections of this direction start to drain.
    pub(crate) async fn drain_started(&self, direction: Direction) {
        self.drains_until(|drain| drain.concerns(direction)).await;
    }

    /// Returns when the process starts to end, which all connections have to follow.
    pub(crate) async fn end_started(&self) {
        self.drains_until(|drain| *drain == Drain::All).await;
    }

    async fn drains_until(&self, holds: impl FnMut(&Drain) -> bool) {
        let mut draining = self.shared.draining.subscribe();
        if draining.wait_for(holds).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The `date` header, made once a second at most.
    pub(crate) fn date(&self) -> Rc<str> {
        let mut date = self.date.borrow_mut();
        if date.0.elapsed() >= Duration::from_secs(1) {
            *date = (Instant::now(), http_date().into());
        }
        date.1.clone()
    }
}

fn http_date() -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format("%a, %d %b %Y %H:%M:%S GMT", &now).unwrap_or_default()
}

/// Counts a downstream connection while it lives.
pub(crate) struct ConnectionGuard(Arc<Shared>);

impl ConnectionGuard {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
