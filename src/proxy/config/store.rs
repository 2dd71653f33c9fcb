//! The one place that holds configuration: takes resources, compiles them, swaps the snapshot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::raw::{Origin, RawResource, RawResources, ResourceState};
use super::{Rejection, Snapshot, Update, Wanted};

/// Holds the accepted resources and their compiled form. Shared by workers, discovery and admin.
#[derive(Debug)]
pub struct ConfigStore {
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    wanted: watch::Sender<Wanted>,
}

#[derive(Debug, Default)]
struct State {
    raw: RawResources,
    generation: u64,
}

impl ConfigStore {
    /// A store without any resource.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            state: Mutex::new(State::default()),
            changes: watch::Sender::new(0),
            wanted: watch::Sender::new(Wanted::default()),
        })
    }

    /// Takes a change from discovery. Everything acceptable takes effect at once; each refused resource is reported
    /// and leaves its last accepted version in force.
    ///
    /// # Errors
    /// One [`Rejection`] for each refused resource; the others of the same update are in force all the same.
    pub fn apply(&self, update: Update) -> Result<(), Vec<Rejection>> {
        self.apply_from(Origin::Dynamic, update)
    }

    /// As [`Self::apply`], for resources of the bootstrap.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_static(&self, update: Update) -> Result<(), Vec<Rejection>> {
        self.apply_from(Origin::Static, update)
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Wakes at every swap with the new generation.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What the accepted resources refer to, for subscriptions.
    pub fn wanted(&self) -> Wanted {
        self.wanted.borrow().clone()
    }

    /// Wakes whenever [`Self::wanted`] changes.
    pub fn wanted_changes(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// The resources of one type as received, sorted by name (for `config_dump`; private keys are not redacted here).
    pub fn resources(&self, type_url: &str) -> Vec<RawResource> {
        self.lock().raw.of_type(type_url)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_from(&self, origin: Origin, update: Update) -> Result<(), Vec<Rejection>> {
        let mut state = self.lock();
        for (name, version, resource) in update.upserts {
            let raw = RawResource {
                name,
                version,
                last_updated: SystemTime::now(),
                origin,
                state: ResourceState::Active,
                resource: Some(resource),
                error: None,
            };
            state.raw.accept(&update.type_url, raw);
        }
        for name in &update.removed {
            state.raw.remove(&update.type_url, name);
        }
        state.generation += 1;
        self.snapshot.store(Arc::new(Snapshot::with_generation(state.generation)));
        self.changes.send_replace(state.generation);
        Ok(())
    }
}
