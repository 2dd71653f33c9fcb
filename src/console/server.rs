//! The HTTP face: the page with its assets, and the REST interface under `/kiali/api`.
//!
//! Paths follow Kiali's, so that links and clients made for it find what they look for.

mod api;
mod assets;
mod metrics;
mod namespaces;
mod series;
mod traces;

pub(crate) use assets::{asset as asset_of, traces as traces_page};

use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;

use crate::graph::decorate::MeshView;
use crate::telemetry::{Collector, History, Scraper};
use crate::traces::{TraceStore, receive};

/// How the console is set up.
pub struct ConsoleOptions {
    /// Reaches the proxies.
    pub scraper: Arc<dyn Scraper>,
    /// What configuration knows.
    pub mesh: Arc<dyn MeshView>,
    /// Time between scrapes. Default of the callers: 2 s.
    pub interval: Duration,
    /// One line that says whose view this is, shown on the page.
    pub source: String,
}

/// A console ready to serve.
pub struct Console {
    state: Arc<Shared>,
    collector: Collector,
}

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) history: Arc<RwLock<History>>,
    pub(crate) mesh: Arc<dyn MeshView>,
    pub(crate) source: String,
    pub(crate) scraper: Arc<dyn Scraper>,
    pub(crate) traces: Arc<TraceStore>,
    /// When proxies were last asked for spans.
    pub(crate) spans_fetched: tokio::sync::Mutex<Option<std::time::Instant>>,
}

impl Shared {
    pub(crate) fn window(&self, duration: Duration) -> crate::telemetry::Window {
        self.history.read().unwrap_or_else(|poisoned| poisoned.into_inner()).window(duration)
    }
}

impl Console {
    /// Builds the console; nothing runs yet.
    pub fn new(options: ConsoleOptions) -> Self {
        let history = Arc::new(RwLock::new(History::default()));
        let collector = Collector::new(options.scraper.clone(), history.clone(), options.interval);
        let shared = Shared {
            history,
            mesh: options.mesh,
            source: options.source,
            scraper: options.scraper,
            traces: Arc::default(),
            spans_fetched: tokio::sync::Mutex::default(),
        };
        Self { state: Arc::new(shared), collector }
    }

    /// The routes, for a server of the caller's.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(|| async { Redirect::temporary("/kiali/") }))
            .route("/kiali", get(|| async { Redirect::permanent("/kiali/") }))
            .route("/kiali/", get(assets::index))
            .route("/kiali/console/{*page}", get(|| async { Redirect::temporary("/kiali/") }))
            .route("/kiali/metrics", get(assets::metrics))
            .route("/kiali/traces", get(assets::traces))
            .route("/kiali/namespaces", get(assets::namespaces))
            .route("/kiali/assets/{name}", get(assets::asset))
            .route("/healthz", get(|| async { "ok" }))
            .route("/kiali/healthz", get(|| async { "ok" }))
            .nest("/kiali/api", api::router())
            .fallback(api::not_found)
            .with_state(self.state.clone())
            .merge(receive::router(self.state.traces.clone()))
    }

    /// Scrapes and serves until `shutdown` resolves.
    ///
    /// # Errors
    /// What the listener says when it can accept no more.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let server = axum::serve(listener, self.router()).with_graceful_shutdown(shutdown);
        tokio::select! {
            result = server => result,
            () = self.collector.run() => Ok(()),
        }
    }
}
