//! The authority in force: follows the Secrets and files it comes from, and lets one authority take over from another.
//!
//! A Secret `cacerts` that appears or changes is taken up without a restart. One that disappears changes nothing: it is what replacing it by
//! `kubectl delete` and `create` looks like.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use sagene_api::kubernetes::Secret;
use sagene_base::task::error_chain;
use sagene_identity::{
    authority::CertificateAuthority,
    material::{PLUGGED_IN_SECRET, SELF_SIGNED_SECRET},
    succession::{Outcome, RetiredRoot, Succession},
};
use sagene_model::Kind;
use sagene_store::{Feed, Store, kubernetes::Synced};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::authority::{self, Entries, Found};
use crate::options::ControlPlaneOptions;

/// How often mounted files are looked at: nothing tells when they change.
const MOUNT_PERIOD: Duration = Duration::from_secs(10);

/// What everybody in the control plane works with; replaced as a whole.
pub(crate) struct InForce {
    /// Signs.
    pub(crate) authority: Arc<CertificateAuthority>,
    /// Every trusted root, PEM.
    pub(crate) roots: String,
    /// Those of them that are on their way out.
    pub(crate) retired: Vec<RetiredRoot>,
}

/// The authorities of the mesh, one of them in force; share it behind an `Arc`.
pub(crate) struct Authorities {
    succession: Mutex<Succession>,
    in_force: watch::Sender<Arc<InForce>>,
    options: Arc<ControlPlaneOptions>,
}

impl Authorities {
    pub(crate) fn new(succession: Succession, options: Arc<ControlPlaneOptions>) -> Self {
        let in_force = watch::Sender::new(Arc::new(InForce::of(&succession)));
        Self { succession: Mutex::new(succession), in_force, options }
    }

    /// What is in force now.
    pub(crate) fn current(&self) -> Arc<InForce> {
        self.in_force.borrow().clone()
    }

    /// Wakes whenever that changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<InForce>> {
        self.in_force.subscribe()
    }

    /// Follows Secrets, files and time until the process ends. `plugged_in`: whether the first authority was.
    pub(crate) async fn follow(self: Arc<Self>, store: Store, mut synced: Synced, plugged_in: bool) {
        let mut feed = store.subscribe();
        synced.wait().await;
        let mut source = Source { plugged_in, last: None, missed: false };
        loop {
            if let Some(found) = self.look(&store, &mut source).await {
                source.missed = false;
                self.take(found, &mut source);
            }
            if self.lock().advance(SystemTime::now()) {
                self.publish();
                info!(retired_roots = self.current().retired.len(), "certificate authorities changed over");
            }
            let pause = self.until_next_step().min(MOUNT_PERIOD);
            // A period without a change is the normal case.
            let _ = tokio::time::timeout(pause, secret_changed(&mut feed, &self.options.namespace)).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Succession> {
        self.succession.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        let fresh = Arc::new(InForce::of(&self.lock()));
        self.in_force.send_replace(fresh);
    }

    fn until_next_step(&self) -> Duration {
        let next = self.lock().next_step();
        next.map_or(Duration::MAX, |at| at.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// What is configured now; `None` = nothing that could take over.
    async fn look(&self, store: &Store, source: &mut Source) -> Option<Found> {
        let namespace = &self.options.namespace;
        let snapshot = store.snapshot();
        let secret = |name: &'static str| {
            let entries = entries_of(&snapshot.get::<Secret>(namespace, name)?.spec.data);
            Some(Found {
                entries,
                place: format!("Secret {namespace}/{name}"),
                plugged_in: name == PLUGGED_IN_SECRET,
            })
        };
        if let Some(found) = secret(PLUGGED_IN_SECRET) {
            return Some(found);
        }
        if let Some(found) = authority::mounted().await {
            return Some(found);
        }
        if !source.plugged_in {
            return secret(SELF_SIGNED_SECRET);
        }
        if !std::mem::replace(&mut source.missed, true) {
            warn!(
                "Secret {namespace}/{PLUGGED_IN_SECRET} is gone; its authority stays in force until this process ends. \
                 Create it again before the control plane restarts"
            );
        }
        None
    }

    fn take(&self, found: Found, source: &mut Source) {
        if source.last.as_ref() == Some(&found.entries) {
            return;
        }
        let place = &found.place;
        match authority::make(&found, &self.options) {
            Ok(fresh) => {
                let outcome = self.lock().offer(fresh, SystemTime::now());
                source.plugged_in = found.plugged_in;
                match outcome {
                    Outcome::Known => {}
                    Outcome::Signs => info!(%place, "certificate authority in force"),
                    Outcome::Announced => {
                        let signs_in = self.options.announcement;
                        info!(%place, ?signs_in, "the roots of another certificate authority are trusted; it will sign");
                    }
                }
                if outcome != Outcome::Known || self.roots_differ() {
                    self.publish();
                }
            }
            Err(error) => {
                let error = error_chain(&error);
                error!(%error, "certificate authority not taken, the one before stays in force");
            }
        }
        source.last = Some(found.entries);
    }

    /// An announcement that was taken back.
    fn roots_differ(&self) -> bool {
        self.lock().trusted() != self.current().roots
    }
}

impl InForce {
    fn of(succession: &Succession) -> Self {
        Self {
            authority: succession.current().clone(),
            roots: succession.trusted(),
            retired: succession.retired().to_vec(),
        }
    }
}

/// Where the authority in force comes from.
struct Source {
    plugged_in: bool,
    /// What was looked at last, whatever came of it.
    last: Option<Entries>,
    /// The plugged-in authority is gone; told of once.
    missed: bool,
}

fn entries_of(data: &BTreeMap<String, sagene_api::kubernetes::secret::ByteString>) -> Entries {
    data.iter().map(|(name, bytes)| (name.clone(), bytes.0.clone())).collect()
}

/// Resolves when a Secret of an authority may have changed.
async fn secret_changed(feed: &mut Feed, namespace: &str) {
    let concerned = |name: &str| [PLUGGED_IN_SECRET, SELF_SIGNED_SECRET].contains(&name);
    loop {
        let changes = feed.changed().await;
        let mut secrets = changes.contents().filter(|change| change.kind == Kind::Secret);
        if secrets.any(|change| change.namespace == namespace && concerned(&change.name)) {
            return;
        }
    }
}
