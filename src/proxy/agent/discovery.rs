//! Discovery: the stream from the control plane that tells this proxy what to do.
//!
//! Whatever arrives is brought into force at once, in the order in which the control plane sends it (clusters,
//! endpoints, listeners, routes); what the accepted resources name is then subscribed to. A lost stream changes
//! nothing: the last good configuration serves on, is kept on disk, and is what a restarted proxy begins with.

mod credentials;
mod name_table;
mod state;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use sagene_base::readiness::ReadinessGate;
use sagene_xds::client::{self, Client, ClientOptions, Event, Subscription};
use tokio::time::{Instant, sleep_until};

use super::control_plane::ControlPlane;
use super::saved_state::SavedState;
use super::status::AgentMetrics;
use crate::config::{ConfigStore, Update, Wanted, type_url};
use credentials::Credentials;
pub(crate) use state::{DiscoveryState, NAME_TABLE, PROXY_CONFIG, is_local_secret};

/// Pause after the last change before the configuration is written to disk.
const SAVE_DELAY: Duration = Duration::from_secs(1);

/// The discovery of one proxy.
pub(crate) struct Discovery {
    pub(crate) control_plane: ControlPlane,
    pub(crate) node: Node,
    pub(crate) cluster_id: String,
    pub(crate) state: DiscoveryState,
    pub(crate) store: Arc<ConfigStore>,
    pub(crate) saved: SavedState,
    pub(crate) metrics: Arc<AgentMetrics>,
    /// Whether the name table is wanted.
    pub(crate) with_names: bool,
}

impl Discovery {
    /// Brings back what was in force when the proxy last ran.
    pub(crate) fn restore(&mut self) {
        for update in self.saved.load_configuration() {
            let (kind, count) =
                (sagene_xds::type_url::short_name(&update.type_url).to_owned(), update.upserts.len());
            match self.state.apply(update) {
                Ok(()) => tracing::info!(%kind, count, "last good configuration restored"),
                Err(refusal) => {
                    tracing::warn!(%kind, error = %refusal.message, "a part of the last good configuration is not usable")
                }
            }
        }
    }

    /// Follows the control plane until the process ends; `ready` is told when all needed to serve is there.
    pub(crate) async fn run(mut self, ready: ReadinessGate) {
        let mut ready = Some(ready);
        self.say_ready(&mut ready);
        let mut restored = self.restored();
        let (client, mut events) = self.connect();
        let mut wanted = self.store.wanted_changes();
        wanted.mark_changed();
        let mut save_at: Option<Instant> = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Update(update)) => {
                        self.take(&client, update, &mut restored);
                        self.say_ready(&mut ready);
                        save_at.get_or_insert_with(|| Instant::now() + SAVE_DELAY);
                    }
                    Some(Event::Connected) => tracing::info!(address = %self.control_plane.address, "connected to the control plane"),
                    Some(Event::Disconnected { reason }) => {
                        self.metrics.discovery_failure();
                        tracing::warn!(address = %self.control_plane.address, %reason, "not connected to the control plane; the last good configuration serves on");
                    }
                    None => return,
                },
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = wanted.borrow_and_update().clone();
                    self.state.forget_unwanted(&now);
                    subscribe(&client, &now);
                    self.say_ready(&mut ready);
                }
                () = sleep_until(save_at.unwrap_or_else(Instant::now)), if save_at.is_some() => {
                    save_at = None;
                    if let Err(error) = self.saved.save_configuration(&self.store) {
                        tracing::warn!(%error, "cannot keep the configuration on disk; a restarted proxy will need the control plane");
                    }
                }
            }
        }
    }

    fn connect(&self) -> (Client, client::Events) {
        let mut options = ClientOptions::new(self.node.clone(), self.control_plane.address.clone());
        options.metadata = Arc::new(Credentials::new(self.control_plane.clone(), &self.cluster_id));
        let (client, events) = Client::spawn(options, Arc::new(self.control_plane.clone()));
        client.subscribe(type_url::CLUSTER, Subscription::Wildcard);
        client.subscribe(type_url::LISTENER, Subscription::Wildcard);
        client.subscribe(PROXY_CONFIG, Subscription::Wildcard);
        if self.with_names {
            client.subscribe(NAME_TABLE, Subscription::Wildcard);
        }
        (client, events)
    }

    /// Names that came from disk. The control plane does not know that this proxy has them, so it will not say when
    /// they are gone: its first answer says it by leaving them out.
    fn restored(&self) -> BTreeMap<String, BTreeSet<String>> {
        [type_url::CLUSTER, type_url::LISTENER]
            .into_iter()
            .map(|type_url| (type_url.to_owned(), self.state.received(type_url)))
            .collect()
    }

    fn take(
        &mut self,
        client: &Client,
        update: client::Update,
        restored: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        self.metrics.discovery_response();
        let mut change = Update {
            type_url: update.type_url.clone(),
            upserts: update.upserts.clone(),
            removed: update.removed.clone(),
        };
        if let Some(before) = restored.remove(&update.type_url) {
            let now: BTreeSet<&String> = update.upserts.iter().map(|(name, ..)| name).collect();
            change.removed.extend(before.into_iter().filter(|name| !now.contains(name)));
        }
        let kind = sagene_xds::type_url::short_name(&update.type_url);
        tracing::debug!(
            kind,
            changed = change.upserts.len(),
            removed = change.removed.len(),
            "configuration received"
        );
        match self.state.apply(change) {
            Ok(()) => client.accept(&update),
            Err(refusal) => {
                tracing::warn!(kind, error = %refusal.message, "configuration refused");
                client.reject(&update, refusal.message, refusal.names);
            }
        }
    }

    fn say_ready(&self, ready: &mut Option<ReadinessGate>) {
        if ready.is_some()
            && self.state.is_complete()
            && let Some(gate) = ready.take()
        {
            gate.ready();
        }
    }
}

/// Asks for what the accepted resources name.
fn subscribe(client: &Client, wanted: &Wanted) {
    client.subscribe(type_url::ENDPOINT, Subscription::Names(wanted.endpoints.clone()));
    client.subscribe(type_url::ROUTE, Subscription::Names(wanted.routes.clone()));
    let secrets = wanted.secrets.iter().filter(|name| !is_local_secret(name)).cloned().collect();
    client.subscribe(type_url::SECRET, Subscription::Names(secrets));
}
