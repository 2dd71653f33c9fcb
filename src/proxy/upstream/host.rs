//! One endpoint as one worker sees it: its load, its idle connections, and who waits for one.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::config::{Cluster, Endpoint, Transport};
use crate::http::wire::Wire;
use crate::listen::stream::Stream;
use crate::stats::{ClusterCounters, HostCounters, Registry};
use crate::tls::context::principal_of;

use super::breaker::Permit;
use super::connect::Offer;
use super::original::Caller;
use super::outlier::HostHealth;
use super::pool::Pool;

/// While a limit is reached: how often slots that other workers gave back are looked for.
const RECHECK: Duration = Duration::from_millis(10);

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) transport: Transport,
    pub(crate) counters: Arc<HostCounters>,
    pub(crate) health: Arc<HostHealth>,
    /// Connections are made in this caller's name.
    pub(crate) caller: Option<Caller>,
    /// Held while an HTTP/2 connection is opened.
    pub(crate) opening: tokio::sync::Mutex<()>,
    active: Cell<u32>,
    gate: Rc<Gate>,
    idle: RefCell<Vec<Idle>>,
    h2: RefCell<Option<SharedH2>>,
    principals: RefCell<Option<Principals>>,
    /// When this worker first heard of it.
    since: Instant,
}

/// Who the two ends of a connection with mutual TLS proved to be: this proxy, and the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principals {
    pub(crate) own: Arc<str>,
    pub(crate) endpoint: Arc<str>,
}

/// How many connections are open, and who waits for one.
#[derive(Debug, Default)]
struct Gate {
    open: Cell<u32>,
    waiting: Cell<u32>,
    freed: Notify,
}

impl Gate {
    fn wake(&self) {
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        }
    }
}

#[derive(Debug)]
struct Idle {
    lease: Lease,
    offer: Offer,
    since: Instant,
}

#[derive(Debug)]
struct SharedH2 {
    sender: h2::client::SendRequest<Bytes>,
    offer: Offer,
    requests: u32,
    local: Option<SocketAddr>,
    /// Held by every request that is on it.
    streams: Rc<()>,
    /// Since when a sweep found no request on it, and how many it had carried then.
    quiet: Option<(Instant, u32)>,
}

impl SharedH2 {
    /// Whether it carried nothing for longer than `limit`; as exact as sweeps are frequent.
    fn is_over(&mut self, limit: Duration) -> bool {
        if Rc::strong_count(&self.streams) > 1 {
            self.quiet = None;
            return false;
        }
        match self.quiet {
            Some((since, requests)) if requests == self.requests => since.elapsed() >= limit,
            _ => {
                self.quiet = Some((Instant::now(), self.requests));
                false
            }
        }
    }
}

/// A request's place on an HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct H2Place {
    pub(crate) sender: h2::client::SendRequest<Bytes>,
    /// Our end of the connection.
    pub(crate) local: Option<SocketAddr>,
    /// Counts the request on it while it lives.
    pub(crate) stream: Rc<()>,
}

/// An HTTP/1 connection while a request has it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) wire: Rc<Wire>,
    /// How many requests it has carried, this one included.
    pub(crate) requests: u32,
    /// Our end of it.
    pub(crate) local: Option<SocketAddr>,
    #[expect(dead_code, reason = "counts the connection while it lives")]
    pub(crate) slot: Slot,
}

/// An open connection in the statistics and limits of its cluster, while it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    gate: Rc<Gate>,
    cluster: Arc<ClusterCounters>,
    counters: Arc<HostCounters>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.cluster.upstream_cx_active.sub(1);
        self.counters.cx_active.sub(1);
        self.gate.open.set(self.gate.open.get().saturating_sub(1));
        self.gate.wake();
    }
}

/// A circuit breaker is open.
#[derive(Debug)]
pub(crate) struct Overflow;

/// What a request that needs a connection got.
#[derive(Debug)]
pub(crate) enum Place {
    /// One that is open.
    Idle(Lease),
    /// Leave to open one; it counts as pending until then.
    Open(Slot, Permit),
}

/// Counts a request on a host while it lives.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    host: Rc<Host>,
    pool: Rc<Pool>,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.host.active.set(self.host.active.get().saturating_sub(1));
        self.host.counters.rq_active.sub(1);
        self.pool.counters.upstream_rq_active.sub(1);
    }
}

impl Host {
    pub(super) fn new(cluster: &Cluster, endpoint: Arc<Endpoint>, registry: &Registry) -> Self {
        let labels = &endpoint.transport_labels;
        let matched =
            cluster.transports.iter().find(|t| t.labels.iter().all(|(k, v)| labels.get(k) == Some(v)));
        let transport = matched.map_or(&cluster.transport, |t| &t.transport).clone();
        Self {
            transport,
            counters: registry.host(&cluster.name, endpoint.address),
            health: registry.health(&cluster.name, endpoint.address),
            caller: None,
            opening: tokio::sync::Mutex::default(),
            active: Cell::new(0),
            gate: Rc::default(),
            idle: RefCell::default(),
            h2: RefCell::default(),
            principals: RefCell::default(),
            since: Instant::now(),
            endpoint,
        }
    }

    /// An endpoint of an original-destination cluster.
    pub(super) fn for_caller(
        cluster: &Cluster,
        endpoint: Arc<Endpoint>,
        registry: &Registry,
        caller: Option<Caller>,
    ) -> Self {
        Self { caller, ..Self::new(cluster, endpoint, registry) }
    }

    /// Remembers who the ends of a new connection are, for metrics. The same names stay the same objects.
    pub(crate) fn note_principals(&self, stream: &Stream) {
        let Stream::Client(tls) = stream else { return };
        let own = self.transport.tls.as_ref().and_then(|tls| tls.current()?.principal.clone());
        let endpoint = tls.get_ref().1.peer_certificates().and_then(principal_of);
        let (Some(own), Some(endpoint)) = (own, endpoint) else { return };
        let noted = Some(Principals { own, endpoint });
        let mut known = self.principals.borrow_mut();
        if *known != noted {
            *known = noted;
        }
    }

    /// Who the ends of its connections are; `None` without mutual TLS.
    pub(crate) fn principals(&self) -> Option<Principals> {
        self.principals.borrow().clone()
    }

    /// The same endpoint with other attributes (weight, health): its connections go on.
    pub(super) fn renewed(&self, endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            transport: self.transport.clone(),
            counters: self.counters.clone(),
            health: self.health.clone(),
            caller: self.caller,
            opening: tokio::sync::Mutex::default(),
            active: Cell::new(self.active.get()),
            gate: self.gate.clone(),
            idle: self.idle.take().into(),
            h2: self.h2.take().into(),
            principals: self.principals.clone(),
            since: self.since,
        }
    }

    /// Fit for traffic, by the control plane and by outlier detection.
    pub(super) fn usable(&self) -> bool {
        self.endpoint.healthy && !self.health.is_ejected()
    }

    /// For how long this worker has known it.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Requests in flight from this worker.
    pub(super) fn load(&self) -> u32 {
        self.active.get()
    }

    /// Nothing is open or waiting.
    pub(super) fn is_unused(&self) -> bool {
        self.active.get() == 0 && self.gate.open.get() == 0
    }

    /// Counts a request until the returned guard is dropped; `None` = the cluster has as many as it may have.
    pub(crate) fn begin(self: &Rc<Self>, pool: &Rc<Pool>) -> Option<ActiveRequest> {
        let counters = &pool.counters;
        if counters.upstream_rq_active.get() >= u64::from(pool.cluster.thresholds.requests) {
            counters.upstream_rq_pending_overflow.add(1);
            return None;
        }
        counters.upstream_rq_active.add(1);
        counters.upstream_rq_total.add(1);
        self.active.set(self.active.get() + 1);
        self.counters.rq_active.add(1);
        self.counters.rq_total.add(1);
        Some(ActiveRequest { host: self.clone(), pool: pool.clone() })
    }

    /// An idle HTTP/1 connection, or leave to open one. Waits while the cluster has as many as it may have.
    pub(crate) async fn connection(&self, pool: &Pool, offer: Offer) -> Result<Place, Overflow> {
        if let Some(lease) = self.take_idle(offer, pool.cluster.idle_timeout) {
            return Ok(Place::Idle(lease));
        }
        let pending = pool.pending_permit().ok_or(Overflow)?;
        if let Some(slot) = self.slot(pool) {
            return Ok(Place::Open(slot, pending));
        }
        pool.counters.upstream_cx_overflow.add(1);
        let _waiting = Waiting::new(&self.gate.waiting);
        loop {
            let _ = tokio::time::timeout(RECHECK, self.gate.freed.notified()).await;
            if let Some(lease) = self.take_idle(offer, pool.cluster.idle_timeout) {
                return Ok(Place::Idle(lease));
            }
            if let Some(slot) = self.slot(pool) {
                return Ok(Place::Open(slot, pending));
            }
        }
    }

    /// Leave to open a connection. A host without one gets it in any case: a request must not wait for what never comes.
    fn slot(&self, pool: &Pool) -> Option<Slot> {
        let counters = &pool.counters;
        let full = counters.upstream_cx_active.get() >= u64::from(pool.cluster.thresholds.connections);
        if full && self.gate.open.get() > 0 {
            return None;
        }
        Some(self.count_connection(pool))
    }

    /// As [`Self::slot`], for a connection that requests share.
    pub(crate) fn h2_slot(&self, pool: &Pool) -> Result<Slot, Overflow> {
        self.slot(pool).ok_or_else(|| {
            pool.counters.upstream_cx_overflow.add(1);
            Overflow
        })
    }

    /// A slot whether the limit is reached or not.
    pub(crate) fn count_connection(&self, pool: &Pool) -> Slot {
        pool.counters.upstream_cx_active.add(1);
        self.counters.cx_active.add(1);
        self.gate.open.set(self.gate.open.get() + 1);
        Slot { gate: self.gate.clone(), cluster: pool.counters.clone(), counters: self.counters.clone() }
    }

    fn take_idle(&self, offer: Offer, idle_timeout: Option<Duration>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        while let Some(index) = idle.iter().rposition(|each| each.offer == offer) {
            let Idle { mut lease, since, .. } = idle.swap_remove(index);
            if !lease.wire.has_news() && idle_timeout.is_none_or(|limit| since.elapsed() < limit) {
                lease.requests += 1;
                return Some(lease);
            }
            // Closing wakes who waits, and must find the list free.
            drop(idle);
            drop(lease);
            idle = self.idle.borrow_mut();
        }
        None
    }

    /// Puts a connection back for the next request.
    pub(crate) fn put_idle(&self, lease: Lease, offer: Offer) {
        if self.transport.proxy_header.is_some() {
            // The connection speaks for one client.
            return;
        }
        lease.wire.rest();
        self.idle.borrow_mut().push(Idle { lease, offer, since: Instant::now() });
        self.gate.wake();
    }

    /// Closes idle connections that are over `limit` (the shared one of HTTP/2, too) or that their peer closed.
    pub(super) fn sweep(&self, limit: Option<Duration>) {
        let keep = |each: &Idle| {
            limit.is_none_or(|limit| each.since.elapsed() < limit) && !each.lease.wire.has_news()
        };
        let (kept, closed): (Vec<_>, Vec<_>) = self.idle.take().into_iter().partition(keep);
        *self.idle.borrow_mut() = kept;
        drop(closed);
        let over = limit.and_then(|limit| self.h2.borrow_mut().take_if(|shared| shared.is_over(limit)));
        drop(over);
    }

    /// When a connection was last put back; `None` = none is idle.
    pub(super) fn last_put_back(&self) -> Option<Instant> {
        self.idle.borrow().iter().map(|each| each.since).max()
    }

    /// The shared HTTP/2 connection, if it is alive and has not carried `most` requests (0 = any number).
    /// and not full.
    pub(crate) fn h2(&self, offer: Offer, most: u32, at_once: Option<u32>) -> Option<H2Place> {
        let mut shared = self.h2.borrow_mut();
        let known =
            shared.as_mut().filter(|each| each.offer == offer && (most == 0 || each.requests < most))?;
        if at_once.is_some_and(|at_once| Rc::strong_count(&known.streams) > at_once as usize) {
            return None;
        }
        known.requests += 1;
        Some(H2Place { sender: known.sender.clone(), local: known.local, stream: known.streams.clone() })
    }

    /// Shares an HTTP/2 connection, which has one request already.
    pub(crate) fn set_h2(&self, place: &H2Place, offer: Offer) {
        if self.transport.proxy_header.is_some() {
            return;
        }
        *self.h2.borrow_mut() = Some(SharedH2 {
            sender: place.sender.clone(),
            offer,
            requests: 1,
            local: place.local,
            streams: place.stream.clone(),
            quiet: None,
        });
    }
}

/// Counts who waits, while it lives.
struct Waiting<'h>(&'h Cell<u32>);

impl<'h> Waiting<'h> {
    fn new(count: &'h Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
