//! The mesh as generators see it: services with endpoints, rules, views of proxies — and everything generated so far.
//!
//! An index is immutable to its users; generated resources are remembered inside. The next index takes over all that a change does not
//! touch, so that a change costs what it changed.

pub mod affected;
mod derived;
pub(crate) mod inbound;
pub(crate) mod ingress;
pub(crate) mod rules;
pub(crate) mod services;
pub(crate) mod view;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use sagene_api::Object;
use sagene_api::istio::networking::EnvoyFilter;
use sagene_model::gateway_api::{self, Converted, StatusReport};
use sagene_model::locality::{self, Place};
use sagene_model::snapshot::{ChangeSet, Kind};
use sagene_model::virtual_service::{self, Resolved};
use sagene_model::{Identity, Snapshot};

pub use affected::{Affected, Concern};
pub use sagene_xds::session::Requested;

use crate::generate::envoy_filter::{EnvoyFilters, Selection};
use crate::generate::telemetry::OwnTraces;
use crate::generate::version_skew::{Adapted, Older};
use crate::generate::{self, Proxy, ProxyType, Resource, ResourceSet, Settings, type_url};
use crate::key_sets::KeySets;
use inbound::{Inbound, InboundKey};
use rules::Rules;
use services::{Services, lock};
use view::{Keep, View, ViewKey};

/// The mesh at one instant.
#[derive(Debug)]
pub struct Index {
    pub(crate) snapshot: Snapshot,
    pub(crate) settings: Arc<Settings>,
    pub(crate) services: Services,
    pub(crate) rules: Arc<Rules>,
    /// Patches of what is generated.
    pub(crate) envoy_filters: Arc<EnvoyFilters>,
    /// Public keys of token issuers.
    pub(crate) keys: Arc<KeySets>,
    /// What Ingresses and objects of the Gateway API mean; it is in the snapshot, too.
    converted: Arc<Converted>,
    /// Every VirtualService, oldest first.
    pub(crate) virtual_services: Arc<Vec<Arc<Resolved>>>,
    relevant_labels: BTreeSet<(String, String)>,
    nearness_labels: BTreeSet<String>,
    /// Some collector of spans is told the names of proxies: they share less then.
    names_in_traces: bool,
    views: Mutex<HashMap<ViewKey, Arc<View>>>,
    inbounds: Mutex<HashMap<InboundKey, Arc<Inbound>>>,
    sets: Mutex<HashMap<SetKey, SharedSet>>,
    /// What proxies of earlier versions get.
    adapted: Arc<Adapted>,
}

/// Names from which on a set of load assignments is shared.
const MANY: usize = 16;

/// What the whole set of a wildcard type depends on: the class of older proxies, and by address the shared parts.
type SetKey = (&'static str, Option<Older>, usize, usize, usize);
/// The set with what it was made of, whose addresses are taken as long as the set is.
type SharedSet = (Arc<View>, Arc<Inbound>, Option<Arc<Selection>>, Arc<ResourceSet>);

impl Index {
    /// An index of a snapshot, from scratch.
    pub fn build(snapshot: Snapshot, settings: Arc<Settings>) -> Self {
        Self::build_with(snapshot, settings, Arc::default())
    }

    /// What is generated and kept of services: type, name, bytes; in order.
    pub(crate) fn cached(&self) -> Vec<(&'static str, String, usize)> {
        let mut found: Vec<_> = self.services.iter().flat_map(|state| state.cached()).collect();
        found.sort();
        found
    }

    /// As [`Self::build`], with public keys of token issuers.
    pub fn build_with(mut snapshot: Snapshot, settings: Arc<Settings>, keys: Arc<KeySets>) -> Self {
        let converted = Arc::new(gateway_api::convert(&snapshot, &settings.mesh));
        derived::insert(&mut snapshot, &converted);
        let services = Services::build(&snapshot, &settings.mesh);
        let virtual_services = Arc::new(virtual_service::resolve_all(&snapshot, &settings.mesh));
        let envoy_filters = Arc::new(EnvoyFilters::build(&snapshot, &settings.mesh.root_namespace));
        let mut index = Self::assemble(snapshot, settings, services, Arc::default(), keys, virtual_services);
        (index.envoy_filters, index.converted) = (envoy_filters, converted);
        index
    }

    fn assemble(
        snapshot: Snapshot,
        settings: Arc<Settings>,
        services: Services,
        rules: Arc<Rules>,
        keys: Arc<KeySets>,
        virtual_services: Arc<Vec<Arc<Resolved>>>,
    ) -> Self {
        let mut index = Self {
            snapshot,
            settings,
            services,
            rules,
            envoy_filters: Arc::default(),
            keys,
            converted: Arc::default(),
            virtual_services,
            relevant_labels: BTreeSet::new(),
            nearness_labels: BTreeSet::new(),
            names_in_traces: false,
            views: Mutex::default(),
            inbounds: Mutex::default(),
            sets: Mutex::default(),
            adapted: Arc::default(),
        };
        index.relevant_labels = view::relevant_labels(&index);
        index.nearness_labels = view::nearness_labels(&index);
        index.names_in_traces = crate::generate::telemetry::names_in_traces(&index);
        index
    }

    /// The index after `changes`, which lead to `snapshot`; and whom they concern.
    pub fn next(
        &self,
        mut snapshot: Snapshot,
        settings: Arc<Settings>,
        changes: &ChangeSet,
    ) -> (Self, Affected) {
        if settings != self.settings {
            let fresh = Self::build_with(snapshot, settings, self.keys.clone());
            return (fresh, Affected::everything());
        }
        let mesh = &settings.mesh;
        let (converted, changes) = derived::next(&self.converted, &mut snapshot, mesh, changes);
        let changes = &changes;
        let kinds = changes.kinds();
        let (services, service_changes) = self.services.next(&self.snapshot, &snapshot, mesh, changes);
        let affected = self.affected(changes, &service_changes, &snapshot);
        let virtual_services = if kinds.contains(&Kind::VirtualService) {
            Arc::new(virtual_service::resolve_all(&snapshot, mesh))
        } else {
            self.virtual_services.clone()
        };
        if kinds.contains(&Kind::DestinationRule) {
            self.rules.retain(&snapshot);
        }
        // Whether an endpoint takes mutual TLS stands in what was generated for its service.
        let services =
            if kinds.contains(&Kind::PeerAuthentication) { services.without_generated() } else { services };
        let settings = self.settings.clone();
        let (rules, keys) = (self.rules.clone(), self.keys.clone());
        let mut next = Self::assemble(snapshot, settings, services, rules, keys, virtual_services);
        next.envoy_filters = match kinds.contains(&Kind::EnvoyFilter) {
            true => Arc::new(EnvoyFilters::build(&next.snapshot, &self.settings.mesh.root_namespace)),
            false => self.envoy_filters.clone(),
        };
        next.converted = converted;
        next.adapted = self.adapted.clone();
        if let Some(keep) = keep(&kinds, &service_changes, next.relevant_labels == self.relevant_labels) {
            let views = lock(&self.views);
            *lock(&next.views) =
                views.iter().map(|(key, view)| (key.clone(), view.carry_over(keep))).collect();
            if keep == Keep::Everything {
                let kept = lock(&self.sets);
                let kept = kept.iter().filter(|((kind, ..), _)| *kind != "endpoints");
                *lock(&next.sets) = kept.map(|(key, set)| (*key, set.clone())).collect();
            }
        }
        // Of these kinds nothing is read off the key of an inbound side.
        if !PATCHES.iter().any(|kind| kinds.contains(kind)) {
            lock(&next.inbounds).clone_from(&lock(&self.inbounds));
        }
        (next, affected)
    }

    fn affected(
        &self,
        changes: &ChangeSet,
        services: &services::ServiceChanges,
        after: &Snapshot,
    ) -> Affected {
        let mut affected = Affected::of(changes, services, &self.settings.mesh.root_namespace);
        for change in changes.contents() {
            match change.kind {
                // A pod that comes or whose labels or ports change may get other inbound listeners.
                Kind::Pod => {
                    let shape = |snapshot: &Snapshot| {
                        let pod = snapshot.pods.get(&change.namespace, &change.name);
                        pod.map(|pod| (pod.metadata.labels.clone(), pod.spec.containers.clone()))
                    };
                    if shape(&self.snapshot) != shape(after) {
                        affected.add_inbound(&change.namespace);
                    }
                    let place =
                        |snapshot: &Snapshot| self.place_of_pod(snapshot, &change.namespace, &change.name);
                    if place(&self.snapshot) != place(after) {
                        affected.add_places(Some(&change.namespace));
                    }
                }
                // Where connections lead, and how, stands in listeners.
                Kind::DestinationRule => {
                    let shapes = |snapshot: &Snapshot| {
                        let rule = snapshot.destination_rules.get(&change.namespace, &change.name);
                        rule.is_some_and(|rule| affected::shapes_connections(&rule.spec))
                    };
                    if shapes(&self.snapshot) || shapes(after) {
                        affected.add_connections();
                    }
                }
                // The pods of a node whose labels change are elsewhere.
                Kind::Node => {
                    let labels = |snapshot: &Snapshot| {
                        snapshot.nodes.get("", &change.name).map(|node| node.metadata.labels.clone())
                    };
                    if labels(&self.snapshot) != labels(after) {
                        affected.add_places(None);
                    }
                }
                _ => {}
            }
        }
        affected
    }

    /// Where a pod is, as far as load balancing minds it.
    fn place_of_pod(&self, snapshot: &Snapshot, namespace: &str, name: &str) -> Place {
        let Some(pod) = snapshot.pods.get(namespace, name) else { return Place::default() };
        let locality = locality::of_pod(pod, &snapshot.nodes);
        view::place(self, locality, &pod.metadata.labels, &pod.spec.node_name)
    }

    /// The snapshot it was made of.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the statuses of Ingresses and objects of the Gateway API should say.
    pub fn statuses(&self) -> &[StatusReport] {
        &self.converted.statuses
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The wanted resources of one type for a proxy.
    pub fn resources(&self, proxy: &Proxy, type_url: &str, names: Requested<'_>) -> Vec<Arc<Resource>> {
        match (type_url, names) {
            (type_url::CLUSTER | type_url::LISTENER | type_url::NAME_TABLE, names) => {
                let set = self.set(proxy, type_url);
                match names {
                    Requested::All => set.resources.clone(),
                    Requested::Names(names) => {
                        names.iter().filter_map(|name| set.get(name).cloned()).collect()
                    }
                }
            }
            (_, Requested::All) => Vec::new(),
            (type_url::ENDPOINT, Requested::Names(names)) => {
                let view = self.view(proxy);
                let made = names.iter().map(|name| generate::endpoint::assignment(self, &view, name));
                self.adapted.all(proxy.older, made.collect())
            }
            (type_url::ROUTE, Requested::Names(names)) => {
                let view = self.view(proxy);
                let route = |name: &Arc<str>| match proxy.proxy_type {
                    ProxyType::Sidecar => generate::route::of_sidecar(self, &view, name),
                    ProxyType::Router => generate::route::of_router(self, &view, proxy, name),
                };
                let made = self.adapted.all(proxy.older, names.iter().filter_map(route).collect());
                match self.patches(proxy) {
                    None => made,
                    Some(patches) => made.iter().filter_map(|made| patches.route(made)).collect(),
                }
            }
            (type_url::SECRET, Requested::Names(names)) => {
                names.iter().filter_map(|name| generate::secret::secret(self, proxy, name)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The wanted resources as a set, which is shared where everything of a type is wanted.
    pub fn requested(&self, proxy: &Proxy, type_url: &str, names: Requested<'_>) -> Arc<ResourceSet> {
        match (type_url, names) {
            (type_url::CLUSTER | type_url::LISTENER | type_url::NAME_TABLE, Requested::All) => {
                self.set(proxy, type_url)
            }
            (type_url::ENDPOINT, Requested::Names(names)) if names.len() >= MANY => {
                self.assignments(proxy, names)
            }
            _ => ResourceSet::new(self.resources(proxy, type_url, names)),
        }
    }

    /// Load assignments of so many clusters that finding them is work: proxies with the same view that ask for the same get the same set.
    fn assignments(&self, proxy: &Proxy, names: &[Arc<str>]) -> Arc<ResourceSet> {
        let view = self.view(proxy);
        let key = ("endpoints", proxy.older, Arc::as_ptr(&view) as usize, names.as_ptr() as usize, 0);
        // The address may be that of other names by now, so the names are compared: there is an assignment for each.
        let same = |set: &ResourceSet| set.resources.iter().map(|resource| &resource.name).eq(names);
        if let Some((.., set)) = lock(&self.sets).get(&key)
            && same(set)
        {
            return set.clone();
        }
        let made = names.iter().map(|name| generate::endpoint::assignment(self, &view, name));
        let set = ResourceSet::new(self.adapted.all(proxy.older, made.collect()));
        let inbound = self.inbound(proxy);
        lock(&self.sets).insert(key, (view, inbound, None, set.clone()));
        set
    }

    /// Everything of a wildcard type (clusters, listeners, the name table) for a proxy. Proxies with the same view get the same set.
    pub fn set(&self, proxy: &Proxy, type_url: &str) -> Arc<ResourceSet> {
        let view = self.view(proxy);
        if type_url == type_url::NAME_TABLE {
            return view.name_table.get_or_init(|| generate::name_table::name_table(self, &view)).clone();
        }
        let inbound = self.inbound(proxy);
        let (kind, at) = match type_url {
            type_url::CLUSTER => ("clusters", (Arc::as_ptr(&view) as usize, Arc::as_ptr(&inbound) as usize)),
            type_url::LISTENER => {
                ("listeners", (Arc::as_ptr(&view) as usize, Arc::as_ptr(&inbound) as usize))
            }
            _ => return Arc::default(),
        };
        let patches = self.patches(proxy);
        let of_patches = patches.as_ref().map_or(0, |patches| Arc::as_ptr(patches) as usize);
        let key = (kind, proxy.older, at.0, at.1, of_patches);
        if let Some(known) = lock(&self.sets).get(&key) {
            return known.3.clone();
        }
        let resources = match (kind, proxy.proxy_type) {
            ("clusters", ProxyType::Sidecar) => generate::cluster::of_sidecar(self, &view, &inbound),
            ("clusters", ProxyType::Router) => generate::cluster::of_router(self, &view),
            (_, ProxyType::Sidecar) => generate::listener::of_sidecar(self, &view, &inbound),
            (_, ProxyType::Router) => generate::listener::of_router(self, &view, &inbound, proxy),
        };
        let resources = self.adapted.all(proxy.older, resources);
        let resources = match &patches {
            None => resources,
            Some(patches) if kind == "clusters" => patches.clusters(resources),
            Some(patches) => patches.listeners(resources),
        };
        let set = ResourceSet::new(resources);
        lock(&self.sets).entry(key).or_insert((view, inbound, patches, set)).3.clone()
    }

    /// The EnvoyFilters that change a proxy's resources of a type.
    pub(crate) fn envoy_filters_of(&self, proxy: &Proxy, type_url: &str) -> Vec<Arc<Object<EnvoyFilter>>> {
        self.patches(proxy).map(|patches| patches.filters_of(type_url)).unwrap_or_default()
    }

    /// The patches that hold for a proxy.
    fn patches(&self, proxy: &Proxy) -> Option<Arc<Selection>> {
        self.envoy_filters.select(proxy, &self.settings.mesh.root_namespace)
    }

    /// What is a proxy's own about traces. Its name is left out where nobody is told it: it would keep proxies apart for nothing.
    pub(crate) fn traces_of(&self, proxy: &Proxy) -> OwnTraces {
        let name = if self.names_in_traces { proxy.service_cluster.clone() } else { String::new() };
        OwnTraces { name, settings: proxy.tracing.clone() }
    }

    pub(crate) fn view(&self, proxy: &Proxy) -> Arc<View> {
        let key = view::key_of(self, proxy);
        if let Some(known) = lock(&self.views).get(&key) {
            return known.clone();
        }
        let made = Arc::new(View::build(self, key.clone()));
        lock(&self.views).entry(key).or_insert(made).clone()
    }

    pub(crate) fn inbound(&self, proxy: &Proxy) -> Arc<Inbound> {
        let key = inbound::key_of(self, proxy);
        if let Some(known) = lock(&self.inbounds).get(&key) {
            return known.clone();
        }
        let made = Arc::new(Inbound {
            key: key.clone(),
            clusters: Default::default(),
            listeners: Default::default(),
        });
        lock(&self.inbounds).entry(key).or_insert(made).clone()
    }

    /// True where a Gateway of the Gateway API that `proxy` serves names a secret, which was checked when it was converted.
    pub fn is_verified_secret(&self, proxy: &Proxy, caller: &Identity, name: &str) -> bool {
        if proxy.is_sidecar() || !name.starts_with("kubernetes-gateway://") {
            return false;
        }
        let base = name.strip_suffix("-cacert").unwrap_or(name);
        let view = self.view(proxy);
        view.gateways(self).ports.values().flat_map(|port| &port.tls).any(|server| {
            // The account of a managed Gateway has the name of its Service, and nobody else runs under it.
            let service = server.gateway.metadata.annotations.get(gateway_api::GATEWAY_SERVICE);
            let own = format!("{}.{}", caller.service_account, caller.namespace);
            let derived = service.is_some_and(|service| *service == own);
            let tls = server.server().tls.as_ref();
            derived && tls.is_some_and(|tls| [name, base].contains(&tls.credential_name.as_str()))
        })
    }

    /// Forgets what only proxies that are gone made use of.
    pub fn forget_unused<'a>(&self, connected: impl Iterator<Item = &'a Proxy>) {
        let (mut views, mut inbounds) = (HashSet::new(), HashSet::new());
        for proxy in connected {
            views.insert(view::key_of(self, proxy));
            inbounds.insert(inbound::key_of(self, proxy));
        }
        lock(&self.sets).clear();
        self.envoy_filters.forget_unused();
        self.adapted.forget_unused();
        lock(&self.views).retain(|key, _| views.contains(key));
        lock(&self.inbounds).retain(|key, _| inbounds.contains(key));
    }
}

/// Kinds that change what is generated without standing in the keys of views and inbound sides.
const PATCHES: [Kind; 3] = [Kind::EnvoyFilter, Kind::Telemetry, Kind::WasmPlugin];

/// What views keep over a change; `None` means nothing.
fn keep(kinds: &BTreeSet<Kind>, services: &services::ServiceChanges, same_labels: bool) -> Option<Keep> {
    let rebuilt =
        [Kind::VirtualService, Kind::DestinationRule, Kind::Sidecar, Kind::Gateway, Kind::Telemetry];
    let concerned = || rebuilt.iter().chain(&PATCHES).any(|kind| kinds.contains(kind));
    if !same_labels || !services.declarations.is_empty() || concerned() {
        return None;
    }
    if !services.clusters.is_empty() || kinds.contains(&Kind::PeerAuthentication) {
        return Some(Keep::AllButClusters);
    }
    Some(Keep::Everything)
}
