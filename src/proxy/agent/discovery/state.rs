//! What discovery has sent so far, what it still owes, and what the proxy asks it for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use prost::Message;

use super::super::file_secrets::is_file_secret;
use super::name_table;
use crate::config::{ConfigStore, Update, Wanted, type_url};
use crate::dns::NameTable;

/// Type of the name table.
pub(crate) const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";
/// Type of the mesh's proxy configuration.
pub(crate) const PROXY_CONFIG: &str = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig";

/// `istio.mesh.v1alpha1.ProxyConfig`, as far as it concerns a running proxy: more roots to trust.
#[derive(Clone, PartialEq, Message)]
struct WireProxyConfig {
    #[prost(string, repeated, tag = "34")]
    ca_certificates_pem: Vec<String>,
}

/// What discovery is told about resources that were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Type URL, name, field and reason of each.
    pub(crate) message: String,
    /// Their names.
    pub(crate) names: Vec<String>,
}

impl Refusal {
    fn of(name: &str, error: &dyn std::fmt::Display) -> Self {
        Self { message: format!("{name:?}: {error}"), names: vec![name.to_owned()] }
    }
}

/// Secrets that the agent itself provides; discovery is not asked for them.
pub(crate) fn is_local_secret(name: &str) -> bool {
    name == "default" || name == "ROOTCA" || is_file_secret(name)
}

/// Takes what discovery sends and brings it into force.
#[derive(Debug)]
pub(crate) struct DiscoveryState {
    store: Arc<ConfigStore>,
    names: Arc<ArcSwap<NameTable>>,
    /// Names received of each type.
    received: HashMap<String, BTreeSet<String>>,
    /// More roots to trust, PEM.
    trust_bundle: tokio::sync::watch::Sender<Vec<String>>,
}

impl DiscoveryState {
    pub(crate) fn new(store: Arc<ConfigStore>, names: Arc<ArcSwap<NameTable>>) -> Self {
        Self {
            store,
            names,
            received: HashMap::new(),
            trust_bundle: tokio::sync::watch::Sender::new(Vec::new()),
        }
    }

    /// Roots that the mesh configuration adds.
    pub(crate) fn trust_bundle(&self) -> tokio::sync::watch::Receiver<Vec<String>> {
        self.trust_bundle.subscribe()
    }

    /// Brings one change into force. What could be taken is in force even when the rest is refused, and the last good
    /// version of that stays.
    pub(crate) fn apply(&mut self, update: Update) -> Result<(), Refusal> {
        let received = self.received.entry(update.type_url.clone()).or_default();
        received.extend(update.upserts.iter().map(|(name, ..)| name.clone()));
        for name in &update.removed {
            received.remove(name);
        }
        match update.type_url.as_str() {
            NAME_TABLE => self.apply_names(&update),
            PROXY_CONFIG => self.apply_proxy_config(&update),
            _ => self.store.apply(update).map_err(|rejections| Refusal {
                message: rejections.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
                names: rejections.into_iter().map(|rejection| rejection.name).collect(),
            }),
        }
    }

    fn apply_names(&self, update: &Update) -> Result<(), Refusal> {
        if let Some((name, _, table)) = update.upserts.last() {
            let table = name_table::decode(&table.value, &self.names.load())
                .map_err(|error| Refusal::of(name, &error))?;
            self.names.store(Arc::new(table));
        }
        Ok(())
    }

    fn apply_proxy_config(&self, update: &Update) -> Result<(), Refusal> {
        if let Some((name, _, config)) = update.upserts.last() {
            let config = WireProxyConfig::decode(config.value.as_slice())
                .map_err(|error| Refusal::of(name, &error))?;
            self.trust_bundle.send_if_modified(|bundle| {
                let changed = *bundle != config.ca_certificates_pem;
                if changed {
                    *bundle = config.ca_certificates_pem;
                }
                changed
            });
        }
        Ok(())
    }

    /// Drops what nothing refers to any more: endpoints of clusters and routes of listeners that are gone.
    pub(crate) fn forget_unwanted(&mut self, wanted: &Wanted) {
        for (type_url, names) in [
            (type_url::ENDPOINT, &wanted.endpoints),
            (type_url::ROUTE, &wanted.routes),
            (type_url::SECRET, &wanted.secrets),
        ] {
            let Some(received) = self.received.get_mut(type_url) else {
                continue;
            };
            let removed: Vec<String> = received.difference(names).cloned().collect();
            if removed.is_empty() {
                continue;
            }
            for name in &removed {
                received.remove(name);
            }
            let update = Update { type_url: type_url.to_owned(), upserts: Vec::new(), removed };
            if let Err(rejections) = self.store.apply(update) {
                tracing::warn!(?rejections, "could not drop unused resources");
            }
        }
    }

    /// Whether everything needed to serve is there: clusters, listeners, and the endpoints and routes they name.
    /// Certificates of gateways may come later; until then only their handshakes fail. A cluster or listener that was refused and has no
    /// earlier version is missing, as in Istio: a rollout must not replace a pod that serves by one that cannot.
    pub(crate) fn is_complete(&self) -> bool {
        let wanted = self.store.wanted();
        let has = |type_url: &str, names: &BTreeSet<String>| {
            names.is_empty()
                || self.received.get(type_url).is_some_and(|received| received.is_superset(names))
        };
        [type_url::CLUSTER, type_url::LISTENER].into_iter().all(|type_url| self.is_in_force(type_url))
            && has(type_url::ENDPOINT, &wanted.endpoints)
            && has(type_url::ROUTE, &wanted.routes)
    }

    /// Whether resources of a type came, and each of them has a version in force.
    fn is_in_force(&self, type_url: &str) -> bool {
        self.received.get(type_url).is_some_and(|received| {
            let known = self.store.resources(type_url);
            !known.iter().any(|raw| raw.resource.is_none() && received.contains(&raw.name))
        })
    }

    /// Names received of a type.
    pub(crate) fn received(&self, type_url: &str) -> BTreeSet<String> {
        self.received.get(type_url).cloned().unwrap_or_default()
    }
}
