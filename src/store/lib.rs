//! Where configuration comes from (a Kubernetes API, files, memory): immutable snapshots, a change feed, status writing.
//!
//! The only server-side crate with a Kubernetes client. A [`Store`] holds the newest [`Snapshot`]; a [`Feed`] says what changed since
//! its reader last asked. Sources fill a store: [`kubernetes::watch`], [`memory::Memory`].

use std::sync::Arc;

use sagene_model::{ChangeSet, Snapshot};

pub mod kubernetes;
pub mod memory;
mod state;

pub use state::Rejected;
use state::{Pending, Shared, lock};

/// The newest configuration; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// A feed of changes from now on.
    pub fn subscribe(&self) -> Feed {
        Feed { pending: self.shared.subscribe() }
    }

    /// Objects whose newest version cannot be read.
    pub fn rejected(&self) -> Vec<Rejected> {
        lock(&self.shared.rejected).values().cloned().collect()
    }
}

/// Changes one reader has not seen yet. They are merged while nobody reads, so a slow reader costs no memory.
#[derive(Debug)]
pub struct Feed {
    pending: Arc<Pending>,
}

impl Feed {
    /// Waits until something changed and returns everything that changed since the last call.
    pub async fn changed(&mut self) -> ChangeSet {
        loop {
            let changes = self.take();
            if !changes.is_empty() {
                return changes;
            }
            self.pending.wake.notified().await;
        }
    }

    /// What changed since the last call, without waiting.
    pub fn take(&mut self) -> ChangeSet {
        std::mem::take(&mut *lock(&self.pending.changes))
    }
}
