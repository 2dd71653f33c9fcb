//! Discovery: connected proxies get what the index generates for them, and are told again when a change concerns them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use sagene_api::istio::mesh_config::MeshConfig;
use sagene_model::discovery_selectors::Discovered;
use sagene_model::{Identity, Snapshot};
use sagene_store::Store;
use sagene_xds::server::Connections;
use tokio::sync::watch;

use crate::{
    generate::Proxy,
    index::Index,
    key_sets::KeySets,
    mesh_settings,
    metrics::Metrics,
    options::ControlPlaneOptions,
    security::{authentication::Authenticator, authorities::Authorities, secret_access::SecretAccess},
};

mod handler;
mod pace;
pub(crate) mod push;

/// A connected client.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The proxy it is; `None` for tools, which may only ask questions.
    pub(crate) proxy: Option<Proxy>,
    /// Who it proved to be; `None` on the plaintext port.
    pub(crate) caller: Option<Identity>,
    /// It refused something, now or before.
    refused: AtomicBool,
}

impl Peer {
    pub(crate) fn new(proxy: Option<Proxy>, caller: Option<Identity>) -> Self {
        Self { proxy, caller, refused: AtomicBool::new(false) }
    }

    /// Whether it ever refused anything: what most proxies never do need not be looked for.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Everything discovery works with; share it behind an `Arc`.
pub(crate) struct Discovery {
    pub(crate) options: Arc<ControlPlaneOptions>,
    pub(crate) store: Store,
    pub(crate) index: ArcSwap<Index>,
    /// Told of every other index. It comes a while after the change in the store that it is made of.
    pub(crate) indexed: watch::Sender<()>,
    /// Told when a proxy refuses something, and when one that did takes something.
    pub(crate) refusals: watch::Sender<()>,
    pub(crate) keys: Arc<KeySets>,
    pub(crate) mesh_config: ArcSwap<MeshConfig>,
    /// The namespaces that the index was made of.
    pub(crate) discovered: ArcSwap<Discovered>,
    pub(crate) connections: Connections<Peer>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) secret_access: SecretAccess,
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) identifier: String,
    pub(crate) synced: AtomicBool,
    pub(crate) last_push: ArcSwap<Option<PushRecord>>,
}

/// The last push, for the debug view `push_status`.
#[derive(Debug, Clone)]
pub(crate) struct PushRecord {
    pub(crate) number: u64,
    pub(crate) at: std::time::SystemTime,
    pub(crate) took: Duration,
    pub(crate) changes: usize,
    pub(crate) proxies: usize,
}

impl Discovery {
    /// Whether the first complete state of the cluster is in the index.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Puts another index in the place of the one before, and tells those who wait for it.
    pub(crate) fn publish(&self, index: Index) {
        self.index.store(Arc::new(index));
        self.indexed.send_replace(());
    }

    /// What there is in the namespaces that the mesh sees.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Arc::unwrap_or_clone(self.store.snapshot());
        // The settings in force may be a moment behind the snapshot.
        let read = mesh_settings::mesh_config(&snapshot, &self.options);
        let mesh = read.map_or_else(|_| self.mesh_config.load_full(), Arc::new);
        Discovered::of(&snapshot, &mesh.discovery_selectors).narrow(&mut snapshot);
        snapshot
    }

    /// Since when the oldest push waits for its proxy, for the metric of the queue.
    pub(crate) fn longest_wait(&self) -> Duration {
        let waiting = self.connections.all().iter().filter_map(|c| c.waiting_since()).min();
        waiting.map_or(Duration::ZERO, |since| Instant::now().duration_since(since))
    }
}
