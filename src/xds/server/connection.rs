//! The connected clients: who they are, what they watch, and how to wake the task that serves them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use envoy_types::pb::envoy::config::core::v3::Node;
use tokio::sync::{Notify, watch};

use crate::session::{Protocol, Push, WatchStatus};

/// One type on one connection, as debug views show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypeStatus {
    /// Nonces, names, what is refused.
    pub watch: WatchStatus,
    /// When the last response was handed to the connection.
    pub sent_at: Option<SystemTime>,
    /// When the client last took one.
    pub acked_at: Option<SystemTime>,
}

/// A connected client.
#[derive(Debug)]
pub struct Connection<P> {
    /// Unique in this process: node id and a number.
    pub id: String,
    /// What the handler made of it.
    pub peer: P,
    /// As the client described itself.
    pub node: Node,
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// Where it comes from, if the transport says.
    pub remote: Option<std::net::SocketAddr>,
    /// When it came.
    pub connected_at: SystemTime,
    types: Mutex<BTreeMap<String, TypeStatus>>,
    pending: Mutex<Push>,
    pending_since: Mutex<Option<std::time::Instant>>,
    settled: watch::Sender<bool>,
    wake: Notify,
    close: Notify,
}

impl<P> Connection<P> {
    pub(super) fn new(id: String, peer: P, node: Node, protocol: Protocol) -> Self {
        Self {
            id,
            peer,
            node,
            protocol,
            remote: None,
            connected_at: SystemTime::now(),
            types: Mutex::default(),
            pending: Mutex::default(),
            pending_since: Mutex::default(),
            settled: watch::Sender::new(false),
            wake: Notify::new(),
            close: Notify::new(),
        }
    }

    /// Asks the stream to look at what may have changed. Pushes that wait already are merged.
    pub fn push(&self, push: &Push) {
        if push.is_empty() {
            return;
        }
        {
            let mut pending = lock(&self.pending);
            pending.merge(push);
            self.settled.send_replace(false);
        }
        lock(&self.pending_since).get_or_insert_with(std::time::Instant::now);
        self.wake.notify_one();
    }

    /// Ends the stream; the client connects again.
    pub fn disconnect(&self) {
        self.close.notify_one();
    }

    /// Where every subscription stands, by type URL.
    pub fn types(&self) -> BTreeMap<String, TypeStatus> {
        lock(&self.types).clone()
    }

    /// The names that are watched of one type; `None` where it is not subscribed to.
    pub fn watched(&self, type_url: &str) -> Option<Arc<[Arc<str>]>> {
        lock(&self.types).get(type_url).map(|status| status.watch.names.clone())
    }

    /// Since when a push waits, if one does.
    pub fn waiting_since(&self) -> Option<std::time::Instant> {
        *lock(&self.pending_since)
    }

    /// Whether the client has taken or rejected all that it was pushed.
    pub fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Resolves when the client has taken or rejected all that it was pushed, or is gone.
    pub async fn settled(&self) {
        // The sender lives as long as the connection.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// What [`Self::settled`] says from now on, as far as no push waits.
    pub(super) fn settle(&self, settled: bool) {
        let pending = lock(&self.pending);
        let settled = settled && pending.is_empty();
        self.settled.send_if_modified(|known| std::mem::replace(known, settled) != settled);
    }

    pub(super) async fn woken(&self) -> Push {
        loop {
            self.wake.notified().await;
            lock(&self.pending_since).take();
            let push = std::mem::take(&mut *lock(&self.pending));
            if !push.is_empty() {
                return push;
            }
        }
    }

    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    pub(super) fn record<'a>(
        &self,
        statuses: impl Iterator<Item = (&'a str, WatchStatus)>,
        update: impl Fn(&str, &mut TypeStatus),
    ) {
        let mut types = lock(&self.types);
        let mut fresh = BTreeMap::new();
        for (type_url, watch) in statuses {
            let mut status = types.remove(type_url).unwrap_or_default();
            status.watch = watch;
            update(type_url, &mut status);
            fresh.insert(type_url.to_owned(), status);
        }
        *types = fresh;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every connected client; cheap to clone.
#[derive(Debug)]
pub struct Connections<P> {
    shared: Arc<Shared<P>>,
}

#[derive(Debug)]
struct Shared<P> {
    all: RwLock<BTreeMap<String, Arc<Connection<P>>>>,
    number: AtomicU64,
}

impl<P> Clone for Connections<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P> Default for Connections<P> {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { all: RwLock::default(), number: AtomicU64::new(0) }) }
    }
}

impl<P> Connections<P> {
    /// All of them, by id.
    pub fn all(&self) -> Vec<Arc<Connection<P>>> {
        self.read().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn next_number(&self) -> u64 {
        self.shared.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn add(&self, connection: Arc<Connection<P>>) {
        let mut all = self.shared.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(connection.id.clone(), connection);
    }

    pub(super) fn remove(&self, id: &str) {
        let gone = self.shared.all.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(gone) = gone {
            // Whatever still waits in it reaches nobody.
            gone.settled.send_replace(true);
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Connection<P>>>> {
        self.shared.all.read().unwrap_or_else(PoisonError::into_inner)
    }
}
