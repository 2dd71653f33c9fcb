//! Starting, draining and stopping the traffic threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use envoy_types::pb::envoy::config::core::v3::Node;

use crate::config::{ConfigStore, Rejection};
use crate::filter::peer_metadata::OwnMetadata;
use crate::stats::Registry;
use crate::tracing::{export::zipkin_span, recent::RecentSpans};
use tokio::sync::watch;

use super::context::{Drain, Shared, Worker};
use super::sockets::Sockets;

/// How long a traffic thread may take until it listens; a busy machine makes milliseconds seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How the traffic threads run.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Traffic threads; 0 = one per core.
    pub workers: usize,
    /// Packet mark for upstream sockets (1337), so that capture rules let them pass when the process has not the
    /// proxy's user id. `None` = no mark.
    pub socket_mark: Option<u32>,
    /// Who this proxy is: its metadata goes to peers (peer metadata exchange) and into metric labels.
    pub node: Node,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self { workers: 1, socket_mark: None, node: Node::default() }
    }
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A thread could not be made.
    #[error("cannot start traffic thread {index}; is the process limit reached?")]
    Thread {
        /// Which thread.
        index: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bootstrap holds resources that cannot be honored.
    #[error("the bootstrap is not acceptable: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bootstrap(Vec<Rejection>),
}

/// The running traffic threads.
#[derive(Debug)]
pub struct Proxy {
    store: Arc<ConfigStore>,
    stats: Arc<Registry>,
    shared: Arc<Shared>,
    own: Arc<OwnMetadata>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Starts the traffic threads on the configuration of `store`, and follows its changes. Returns once the
    /// listeners that are known already have their sockets.
    ///
    /// # Errors
    /// [`StartError::Thread`].
    pub fn start(options: ProxyOptions, store: Arc<ConfigStore>) -> Result<Self, StartError> {
        let stats = Arc::<Registry>::default();
        let own = Arc::new(OwnMetadata::of_node(&options.node));
        let shared = Arc::new(Shared {
            connections: AtomicUsize::new(0),
            draining: watch::Sender::new(Drain::Nothing),
            closed: watch::Sender::new(Drain::Nothing),
            stopping: watch::Sender::new(false),
            listening: Mutex::default(),
            spans: RecentSpans::default(),
        });
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if options.workers == 0 { cores() } else { options.workers };
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let (ready, started) = std::sync::mpsc::channel();
            let (store, stats, own, shared) = (store.clone(), stats.clone(), own.clone(), shared.clone());
            let mark = options.socket_mark;
            let run = move || run_worker(index, || Worker::new(store, stats, own, mark, shared), &ready);
            let thread = std::thread::Builder::new().name(format!("wrk:worker_{index}")).spawn(run);
            threads.push(thread.map_err(|source| StartError::Thread { index, source })?);
            // One after the other, so that all workers share the port that the first one got. One that could not start is not waited for.
            let _ = started.recv_timeout(START_LIMIT);
        }
        Ok(Self { store, stats, shared, own, threads })
    }

    /// Starts on the static resources of an Envoy bootstrap.
    ///
    /// # Errors
    /// [`StartError::Bootstrap`] names every resource and field that cannot be honored.
    pub fn run_static(options: ProxyOptions, bootstrap: &Bootstrap) -> Result<Self, StartError> {
        let store = ConfigStore::new();
        store.apply_bootstrap(bootstrap).map_err(StartError::Bootstrap)?;
        Self::start(options, store)
    }

    /// The configuration that the threads follow.
    pub fn config(&self) -> &Arc<ConfigStore> {
        &self.store
    }

    /// The statistics of all threads.
    pub fn stats(&self) -> &Arc<Registry> {
        &self.stats
    }

    /// Listening sockets and the addresses they really have (port 0 resolved), by listener name.
    pub fn listening(&self) -> Vec<(String, std::net::SocketAddr)> {
        self.shared.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Spans of the last traced requests, the oldest first, as Zipkin has them.
    pub fn recent_spans(&self) -> Vec<sagene_api::trace::zipkin::Span> {
        self.shared.spans.all().iter().map(|span| zipkin_span(span, &self.own)).collect()
    }

    /// Downstream connections open now.
    pub fn active_connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Asks the peers of all or of inbound connections to go elsewhere (`connection: close`, GOAWAY), and serves on.
    pub fn send_away(&self, inbound_only: bool) {
        let which = if inbound_only { Drain::Inbound } else { Drain::Both };
        self.shared.draining.send_modify(|drain| *drain = (*drain).max(which));
    }

    /// Closes listening sockets at once, all or those of inbound connections; what is open goes on.
    pub fn close_listeners(&self, inbound_only: bool) {
        let which = if inbound_only { Drain::Inbound } else { Drain::All };
        self.shared.closed.send_modify(|closed| *closed = (*closed).max(which));
    }

    /// Stops accepting, tells peers (`connection: close`, GOAWAY) and waits for open connections, `deadline` at most.
    /// Returns how many connections were still open.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.shared.draining.send_replace(Drain::All);
        let gone = async {
            while self.active_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(deadline, gone).await;
        self.active_connections()
    }

    /// Ends all threads at once.
    pub fn stop(mut self) {
        self.shared.stopping.send_replace(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
    }
}

fn run_worker(index: usize, make: impl FnOnce() -> std::rc::Rc<Worker>, ready: &std::sync::mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let Ok(runtime) = runtime else {
        tracing::error!(index, "a traffic thread has no event loop; are file descriptors used up?");
        return;
    };
    runtime.block_on(async move {
        let worker = make();
        if index == 0 {
            tokio::task::spawn_local(crate::upstream::dns::run(worker.store.clone()));
        }
        let mut changes = worker.store.changes();
        let (mut draining, mut stopping) =
            (worker.shared.draining.subscribe(), worker.shared.stopping.subscribe());
        let mut closed = worker.shared.closed.subscribe();
        let mut sockets = Sockets::default();
        let mut sweep = tokio::time::interval(Duration::from_secs(10));
        worker.refresh();
        sockets.follow(&worker);
        let _ = ready.send(());
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    worker.refresh();
                    if !worker.ending() {
                        sockets.follow(&worker);
                    }
                }
                Ok(()) = draining.changed() => {
                    if worker.ending() {
                        sockets.close(&worker);
                    }
                }
                Ok(()) = closed.changed() => {
                    if !worker.ending() {
                        sockets.follow(&worker);
                    }
                }
                _ = stopping.changed() => break,
                _ = sweep.tick() => {
                    worker.refresh();
                    if index == 0 {
                        worker.registry.forget_unused();
                    }
                }
            }
        }
    });
}
