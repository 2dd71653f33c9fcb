//! The spans of the last requests, for those who ask the admin server: traces without a collector.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::span::Finished;

/// How many are kept.
const KEPT: usize = 512;

/// A ring of spans, shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct RecentSpans(Mutex<VecDeque<Arc<Finished>>>);

impl RecentSpans {
    /// Keeps a span; the oldest goes.
    pub(crate) fn keep(&self, span: Arc<Finished>) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= KEPT {
            ring.pop_front();
        }
        ring.push_back(span);
    }

    /// All that are kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Finished>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
