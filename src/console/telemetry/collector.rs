//! Scrapes every proxy on a beat and feeds the [`History`].

use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;

use super::exposition;
use super::history::{Exposed, History};

/// Families the console asks for.
const PREFIX: &str = "istio_";
/// Scrapes under way at once.
const CONCURRENCY: usize = 16;
/// Time one proxy has to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// One proxy that exposes metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod: a pod of the same name made anew is another target.
    pub uid: String,
    /// IP address of the pod.
    pub address: String,
    /// When its proxy began to count; `None` where that is not known.
    pub started: Option<SystemTime>,
}

/// Why a proxy could not be scraped.
#[derive(Debug, thiserror::Error)]
#[error("scraping {pod}: {reason}")]
pub struct ScrapeError {
    /// The pod, `name.namespace`.
    pub pod: String,
    /// What went wrong.
    pub reason: String,
}

/// A boxed future of one scrape.
pub type Scrape<'a> = Pin<Box<dyn Future<Output = Result<String, ScrapeError>> + Send + 'a>>;

/// How proxies are found and reached: directly from within the cluster, through a port-forward from outside.
pub trait Scraper: Send + Sync {
    /// The proxies of now.
    fn targets(&self) -> Vec<Target>;
    /// The Prometheus exposition of one proxy (`/stats/prometheus`).
    fn scrape<'a>(&'a self, target: &'a Target) -> Scrape<'a>;
    /// The spans of the last requests of one proxy, as Zipkin has them (`/spans`); nothing where they are not kept.
    fn spans<'a>(&'a self, target: &'a Target) -> Scrape<'a> {
        let _ = target;
        Box::pin(std::future::ready(Ok("[]".to_owned())))
    }
}

/// Owns the beat.
pub struct Collector {
    scraper: Arc<dyn Scraper>,
    history: Arc<RwLock<History>>,
    interval: Duration,
}

impl Collector {
    /// A collector that scrapes every `interval`.
    pub fn new(scraper: Arc<dyn Scraper>, history: Arc<RwLock<History>>, interval: Duration) -> Self {
        Self { scraper, history, interval }
    }

    /// Runs for ever; drop the future to stop.
    pub async fn run(self) {
        let mut beat = tokio::time::interval(self.interval);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.collect().await;
        }
    }

    /// One beat.
    pub async fn collect(&self) {
        let targets = self.scraper.targets();
        let scraped = futures::stream::iter(targets.clone())
            .map(|target| scrape(self.scraper.clone(), target))
            .buffer_unordered(CONCURRENCY)
            .filter_map(futures::future::ready)
            .collect()
            .await;
        let mut history = self.history.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        history.retain_targets(|uid| targets.iter().any(|target| target.uid == uid));
        history.record(Instant::now(), scraped);
    }
}

/// What one proxy exposes; `None` where it did not answer in time.
async fn scrape(scraper: Arc<dyn Scraper>, target: Target) -> Option<Exposed> {
    match tokio::time::timeout(DEADLINE, scraper.scrape(&target)).await {
        Ok(Ok(text)) => Some(Exposed {
            age: target.started.and_then(|started| started.elapsed().ok()),
            target: target.uid,
            samples: exposition::parse(&text, PREFIX),
        }),
        Ok(Err(error)) => {
            tracing::debug!(%error, "scrape failed");
            None
        }
        Err(_) => {
            tracing::debug!(pod = %target.pod, "scrape timed out");
            None
        }
    }
}
