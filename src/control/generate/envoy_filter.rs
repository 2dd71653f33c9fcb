//! EnvoyFilters: patches on what was generated, applied last and in Istio's order.
//!
//! A patch that does not fit (unknown type, wrong field, two types to merge) is left out and told of; the others hold.

mod chain;
mod cluster;
mod condition;
mod http;
mod listener;
mod merge;
mod patch;
mod route;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use regex::Regex;
use sagene_api::Object;
use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::networking::envoy_filter::ApplyTo;
use sagene_model::Snapshot;
use sagene_model::labels::has_all;

use super::proto::Kind;
use super::{Proxy, ProxyType, Resource, type_url};
use crate::index::services::lock;
use patch::Patch;
pub use patch::{PatchProblem, problems};

/// Every EnvoyFilter, in the order in which they apply.
#[derive(Debug, Default)]
pub(crate) struct EnvoyFilters {
    filters: Vec<Arc<Filter>>,
    selections: Mutex<HashMap<(ProxyType, Vec<usize>), Arc<Selection>>>,
}

/// One EnvoyFilter with its patches read.
#[derive(Debug)]
struct Filter {
    object: Arc<Object<EnvoyFilter>>,
    patches: Vec<Patch>,
}

/// The patches that hold for a proxy. Proxies with the same share it, and what was patched with it.
#[derive(Debug)]
pub(crate) struct Selection {
    patches: Vec<Arc<Filter>>,
    /// For each filter, which of its patches are meant for the proxy.
    wanted: Vec<Vec<usize>>,
    gateway: bool,
    /// By address of what was patched, which is kept so that the address stays its own. `None` = removed.
    known: Mutex<HashMap<usize, Patched>>,
}

type Patched = (Arc<Resource>, Option<Arc<Resource>>);

impl EnvoyFilters {
    /// Reads all of a snapshot.
    pub(crate) fn build(snapshot: &Snapshot, root_namespace: &str) -> Self {
        let mut filters: Vec<Arc<Filter>> = snapshot
            .envoy_filters
            .iter()
            .map(|object| Arc::new(Filter { object: object.clone(), patches: patch::read(object) }))
            .collect();
        filters.sort_by_key(|filter| {
            let metadata = &filter.object.metadata;
            (
                filter.object.spec.priority,
                metadata.namespace != root_namespace,
                metadata.creation_timestamp,
                format!("{}.{}", metadata.name, metadata.namespace),
            )
        });
        Self { filters, selections: Mutex::default() }
    }

    /// What holds for a proxy; `None` where nothing does.
    pub(crate) fn select(&self, proxy: &Proxy, root_namespace: &str) -> Option<Arc<Selection>> {
        let chosen: Vec<(Arc<Filter>, Vec<usize>)> = self
            .filters
            .iter()
            .filter(|filter| selects(&filter.object, proxy, root_namespace))
            .filter_map(|filter| {
                let patches = filter.patches.iter().enumerate();
                let wanted: Vec<usize> =
                    patches.filter(|(_, patch)| patch.wants(proxy)).map(|(index, _)| index).collect();
                (!wanted.is_empty()).then(|| (filter.clone(), wanted))
            })
            .collect();
        if chosen.is_empty() {
            return None;
        }
        let places = chosen.iter().flat_map(|(filter, wanted)| {
            std::iter::once(Arc::as_ptr(filter) as usize).chain(wanted.iter().copied())
        });
        let key = (proxy.proxy_type, places.collect());
        let mut selections = lock(&self.selections);
        let made = selections.entry(key).or_insert_with(|| {
            let (patches, wanted) = chosen.into_iter().unzip();
            let gateway = proxy.proxy_type == ProxyType::Router;
            Arc::new(Selection { patches, wanted, gateway, known: Mutex::default() })
        });
        Some(made.clone())
    }

    /// Forgets what was patched and is not served any more.
    pub(crate) fn forget_unused(&self) {
        for selection in lock(&self.selections).values() {
            lock(&selection.known).retain(|_, (before, _)| Arc::strong_count(before) > 1);
        }
    }
}

fn selects(object: &Object<EnvoyFilter>, proxy: &Proxy, root_namespace: &str) -> bool {
    let namespace = &object.metadata.namespace;
    if *namespace != proxy.namespace && namespace != root_namespace {
        return false;
    }
    if !object.spec.target_refs.is_empty() {
        let own = proxy.labels.get("gateway.networking.k8s.io/gateway-name");
        return object.spec.target_refs.iter().any(|target| {
            target.kind == "Gateway" && *namespace == proxy.namespace && own == Some(&target.name)
        });
    }
    object.spec.workload_selector.as_ref().is_none_or(|selector| has_all(&proxy.labels, &selector.labels))
}

impl Patch {
    /// Whether it changes resources of a type. Sidecars have the routes to their workload within the listener.
    fn changes(&self, type_url: &str) -> bool {
        let route =
            matches!(self.apply_to, ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute);
        match type_url {
            type_url::CLUSTER => self.apply_to == ApplyTo::Cluster,
            type_url::ROUTE => route,
            type_url::LISTENER => {
                let filter = matches!(
                    self.apply_to,
                    ApplyTo::FilterChain | ApplyTo::NetworkFilter | ApplyTo::HttpFilter
                );
                route || filter || self.apply_to == ApplyTo::Listener
            }
            type_url::EXTENSION_CONFIG => self.apply_to == ApplyTo::ExtensionConfig,
            _ => false,
        }
    }

    /// Whether the patch is for this proxy at all: its version and metadata.
    fn wants(&self, proxy: &Proxy) -> bool {
        let Some(wanted) = self.condition.proxy.as_ref() else { return true };
        let version = &wanted.proxy_version;
        // Checked when the patch was read; an expression that does not compile matches nothing.
        if !version.is_empty()
            && !Regex::new(version).is_ok_and(|version| version.is_match(&proxy.istio_version))
        {
            return false;
        }
        wanted.metadata.iter().all(|(key, value)| {
            let found = proxy.metadata.fields.get(key).and_then(|found| found.kind.as_ref());
            matches!(found, Some(Kind::StringValue(text)) if text == value)
        })
    }
}

impl Selection {
    /// The patches of a kind of thing, in order.
    fn of(&self, apply_to: ApplyTo) -> impl Iterator<Item = &Patch> {
        let chosen = self.patches.iter().zip(&self.wanted);
        chosen
            .flat_map(|(filter, wanted)| wanted.iter().filter_map(|index| filter.patches.get(*index)))
            .filter(move |patch| patch.apply_to == apply_to)
    }

    /// The EnvoyFilters with patches for resources of a type.
    pub(crate) fn filters_of(&self, type_url: &str) -> Vec<Arc<Object<EnvoyFilter>>> {
        let chosen = self.patches.iter().zip(&self.wanted);
        let changing = chosen.filter(|(filter, wanted)| {
            wanted.iter().filter_map(|index| filter.patches.get(*index)).any(|patch| patch.changes(type_url))
        });
        changing.map(|(filter, _)| filter.object.clone()).collect()
    }

    /// A resource after its patches, made once.
    fn once(
        &self,
        resource: &Arc<Resource>,
        make: impl FnOnce() -> Option<Arc<Resource>>,
    ) -> Option<Arc<Resource>> {
        let key = Arc::as_ptr(resource) as usize;
        if let Some((_, patched)) = lock(&self.known).get(&key) {
            return patched.clone();
        }
        let made = make();
        lock(&self.known).entry(key).or_insert_with(|| (resource.clone(), made)).1.clone()
    }

    /// Clusters after their patches, and those that patches add.
    pub(crate) fn clusters(&self, resources: Vec<Arc<Resource>>) -> Vec<Arc<Resource>> {
        let kept = resources.iter().filter_map(|one| self.once(one, || cluster::patched(self, one)));
        let mut made: Vec<Arc<Resource>> = kept.collect();
        cluster::add(self, &mut made);
        made
    }

    /// Listeners after their patches, and those that patches add.
    pub(crate) fn listeners(&self, resources: Vec<Arc<Resource>>) -> Vec<Arc<Resource>> {
        let kept = resources.iter().filter_map(|one| self.once(one, || listener::patched(self, one)));
        let mut made: Vec<Arc<Resource>> = kept.collect();
        listener::add(self, &mut made);
        made
    }

    /// A route configuration after its patches.
    pub(crate) fn route(&self, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
        self.once(resource, || route::patched(self, resource))
    }
}
