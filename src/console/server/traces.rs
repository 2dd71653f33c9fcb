//! Traces as the console of a cluster shows them: the last spans of every proxy, fetched when somebody looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures::StreamExt;
use sagene_api::trace::zipkin::Span;

use super::Shared;
use crate::traces::query::{self, Wanted};

/// Proxies asked at once, and the time each has.
const CONCURRENCY: usize = 16;
const DEADLINE: Duration = Duration::from_secs(3);
/// Proxies are asked again after this time.
const FRESH: Duration = Duration::from_secs(1);

pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(wanted): Query<Wanted>) -> Response {
    shared.fetch_spans().await;
    query::found(&shared.traces, &wanted)
}

pub(super) async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    shared.fetch_spans().await;
    query::trace(&shared.traces, &id)
}

impl Shared {
    /// Takes in what the proxies remember.
    async fn fetch_spans(&self) {
        let mut fetched = self.spans_fetched.lock().await;
        if fetched.is_some_and(|at: Instant| at.elapsed() < FRESH) {
            return;
        }
        let lists: Vec<Vec<Span>> = futures::stream::iter(self.scraper.targets())
            .map(|target| async move {
                match tokio::time::timeout(DEADLINE, self.scraper.spans(&target)).await {
                    Ok(Ok(text)) => serde_json::from_str(&text).unwrap_or_default(),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "spans were not fetched");
                        Vec::new()
                    }
                    Err(_) => Vec::new(),
                }
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        self.traces.insert(lists.into_iter().flatten());
        *fetched = Some(Instant::now());
    }
}
