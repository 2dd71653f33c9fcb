//! What a group of proxies sees: proxies of one namespace and scope share a view, and with it everything generated from it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

use sagene_api::istio::networking::common::Destination;
use sagene_model::destination_rule::Client;
use sagene_model::gateway::{self, MergedGateways};
use sagene_model::hostname::most_specific;
use sagene_model::labels::{Labels, has_all};
use sagene_model::locality::{self, Place};
use sagene_model::service::Registry;
use sagene_model::sidecar_scope::{self, SidecarScope};
use sagene_model::virtual_service::{MESH_GATEWAY, Resolved};
use sagene_model::visibility::is_visible;
use sagene_model::{Hostname, Service};

use super::Index;
use super::inbound::target_port;
use super::rules::Rule;
use super::services::{ServiceKey, lock};
use crate::generate::endpoint::preference;
use crate::generate::families::Families;
use crate::generate::telemetry::{self, OwnTraces, Reports, Telemetry};
use crate::generate::topology::Topology;
use crate::generate::{Proxy, ProxyType, Resource, ResourceSet};

/// What makes two proxies see the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ViewKey {
    pub(crate) proxy_type: ProxyType,
    pub(crate) namespace: String,
    /// Of a sidecar, the labels that some selector asks for; of a router, all.
    pub(crate) labels: Labels,
    /// Where they are, as far as load balancing minds it.
    pub(crate) place: Arc<Place>,
    /// A stock Envoy, which does not know Istio's filters.
    pub(crate) plain_envoy: bool,
    pub(crate) traces: OwnTraces,
    pub(crate) topology: Topology,
    /// Nothing is captured (`interceptionMode: NONE`): the workload connects to its sidecar by itself.
    pub(crate) captures_nothing: bool,
    /// Families of its addresses.
    pub(crate) families: Families,
    /// Its workload is told the addresses that were chosen for ServiceEntries, so it has to know them.
    pub(crate) knows_allocated: bool,
}

/// A service as one client sees it.
#[derive(Debug)]
pub(crate) struct Visible {
    pub(crate) key: ServiceKey,
    pub(crate) service: Arc<Service>,
    /// The DestinationRule that holds.
    pub(crate) rule: Option<Arc<Rule>>,
}

impl Visible {
    /// Id of the rule; 0 for none.
    pub(crate) fn rule_id(&self) -> u64 {
        self.rule.as_ref().map_or(0, |rule| rule.id)
    }
}

/// What the proxies of one key see, and what was generated from it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) key: ViewKey,
    pub(crate) scope: SidecarScope,
    /// Visible services, oldest first.
    pub(crate) services: Vec<Visible>,
    by_host: HashMap<Hostname, usize>,
    /// VirtualServices of the mesh by exact host, and those of wildcards.
    mesh_hosts: MeshHosts,
    gateways: OnceLock<MergedGateways>,
    /// Visible VirtualServices, oldest first; of a sidecar, those of the mesh.
    pub(crate) virtual_services: Vec<Arc<Resolved>>,
    pub(crate) clusters: OnceLock<Vec<Arc<Resource>>>,
    pub(crate) listeners: OnceLock<Vec<Arc<Resource>>>,
    pub(crate) name_table: OnceLock<Arc<ResourceSet>>,
    reports: OnceLock<Reports>,
    routes: Mutex<HashMap<String, Option<Arc<Resource>>>>,
}

/// Which parts of a view still hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it.
    Everything,
    /// All but the clusters.
    AllButClusters,
}

impl View {
    pub(crate) fn build(index: &Index, key: ViewKey) -> Self {
        let mesh = &index.settings.mesh;
        let mut scope = sidecar_scope::of_workload(&index.snapshot, mesh, &key.namespace, &key.labels);
        if key.proxy_type == ProxyType::Router {
            scope = SidecarScope::everything(&key.namespace);
        }
        if key.captures_nothing {
            scope.egress.iter_mut().for_each(|listener| listener.has_socket = true);
        }
        let virtual_services: Vec<Arc<Resolved>> =
            index.virtual_services.iter().filter(|one| selects(one, &key, &scope, index)).cloned().collect();
        let imported = imported(&scope, &virtual_services);
        let client = Client { namespace: &key.namespace, labels: &key.labels };
        let mut services: Vec<Visible> = index
            .services
            .iter()
            .filter(|state| {
                let service = &state.service;
                scope.sees(service, mesh)
                    || (imported.contains(&service.hostname)
                        && is_visible(
                            &service.export_to,
                            &mesh.default_service_export_to,
                            &service.namespace,
                            &key.namespace,
                        ))
            })
            .map(|state| Visible {
                key: (state.service.namespace.clone(), state.service.hostname.clone()),
                service: as_told(&state.service, &key),
                rule: index.rules.select(&index.snapshot, mesh, client, &state.service),
            })
            .collect();
        services.sort_by(|left, right| {
            let age = |one: &Visible| (one.service.created, one.key.1.clone(), one.key.0.clone());
            age(left).cmp(&age(right))
        });
        let services = one_per_host(services, &key.namespace);
        let by_host =
            services.iter().enumerate().map(|(at, one)| (one.service.hostname.clone(), at)).collect();
        Self {
            key,
            scope,
            services,
            by_host,
            mesh_hosts: MeshHosts::of(&virtual_services),
            gateways: OnceLock::new(),
            virtual_services,
            clusters: OnceLock::new(),
            listeners: OnceLock::new(),
            name_table: OnceLock::new(),
            reports: OnceLock::new(),
            routes: Mutex::default(),
        }
    }

    /// The same view with what still holds of it. Services' endpoints are looked up in the index, so they may change beneath it.
    pub(crate) fn carry_over(self: &Arc<Self>, keep: Keep) -> Arc<Self> {
        if keep == Keep::Everything {
            return self.clone();
        }
        let services = self.services.iter().map(|one| Visible {
            key: one.key.clone(),
            service: one.service.clone(),
            rule: one.rule.clone(),
        });
        Arc::new(Self {
            key: self.key.clone(),
            scope: self.scope.clone(),
            services: services.collect(),
            by_host: self.by_host.clone(),
            mesh_hosts: self.mesh_hosts.clone(),
            gateways: self.gateways.clone(),
            virtual_services: self.virtual_services.clone(),
            clusters: OnceLock::new(),
            listeners: self.listeners.clone(),
            name_table: self.name_table.clone(),
            reports: self.reports.clone(),
            routes: Mutex::new(lock(&self.routes).clone()),
        })
    }

    /// A service by its exact host.
    pub(crate) fn service(&self, host: &str) -> Option<&Visible> {
        self.by_host.get(host).map(|at| &self.services[*at])
    }

    /// The service a destination names: its exact host, else the most specific wildcard.
    pub(crate) fn destination(&self, host: &str) -> Option<&Visible> {
        self.service(host).or_else(|| {
            let host = Hostname::new(host);
            let wildcards = self.services.iter().filter(|one| one.service.hostname.is_wildcard());
            most_specific(&host, wildcards.map(|one| (&one.service.hostname, one))).map(|(_, one)| one)
        })
    }

    /// The VirtualService of the mesh that holds for a host: the most specific, then the oldest.
    pub(crate) fn virtual_service(&self, host: &Hostname) -> Option<&Arc<Resolved>> {
        if let Some(at) = self.mesh_hosts.exact.get(host) {
            return Some(&self.virtual_services[*at]);
        }
        let wildcards = self.mesh_hosts.wildcards.iter().map(|(wildcard, at)| (wildcard, *at));
        most_specific(host, wildcards).map(|(_, at)| &self.virtual_services[at])
    }

    /// What the proxies report of the traffic they send.
    pub(crate) fn reports(&self, index: &Index) -> &Reports {
        self.reports.get_or_init(|| {
            let telemetry = Telemetry::of(index, &self.key.namespace, &self.key.labels);
            Reports::of(&telemetry, index, &self.key.traces, telemetry::Side::Client)
        })
    }

    /// The merged servers of a gateway with this view.
    pub(crate) fn gateways(&self, index: &Index) -> &MergedGateways {
        self.gateways.get_or_init(|| {
            let ports = target_ports(index, &self.key);
            gateway::merge(&index.snapshot, &self.key.namespace, &self.key.labels, |port| {
                ports.get(&port).copied().unwrap_or(port)
            })
        })
    }

    /// A route configuration, generated once; `None` where nothing is served under the name.
    pub(crate) fn route(
        &self,
        name: &str,
        generate: impl FnOnce() -> Option<Arc<Resource>>,
    ) -> Option<Arc<Resource>> {
        if let Some(known) = lock(&self.routes).get(name) {
            return known.clone();
        }
        let made = generate();
        lock(&self.routes).entry(name.to_owned()).or_insert(made).clone()
    }
}

/// A service as the workloads of a view know it: where these are told an address that was chosen for it, that is its address.
fn as_told(service: &Arc<Service>, key: &ViewKey) -> Arc<Service> {
    let mut allocated = service.allocated.iter().filter(|address| key.families.reach(**address)).peekable();
    if !key.knows_allocated || !service.is_headless() || allocated.peek().is_none() {
        return service.clone();
    }
    Arc::new(Service { addresses: allocated.copied().collect(), ..Service::clone(service) })
}

/// VirtualServices of the mesh by host; of several with one host the oldest.
#[derive(Debug, Clone, Default)]
struct MeshHosts {
    exact: HashMap<Hostname, usize>,
    wildcards: Vec<(Hostname, usize)>,
}

impl MeshHosts {
    fn of(virtual_services: &[Arc<Resolved>]) -> Self {
        let mut made = Self::default();
        for (at, one) in virtual_services.iter().enumerate().filter(|(_, one)| one.is_bound_to(MESH_GATEWAY))
        {
            for host in &one.hosts {
                if !host.is_wildcard() {
                    made.exact.entry(host.clone()).or_insert(at);
                } else if !made.wildcards.iter().any(|(known, _)| known == host) {
                    made.wildcards.push((host.clone(), at));
                }
            }
        }
        made
    }
}

/// Ports of the workload by ports of the services in front of a gateway.
fn target_ports(index: &Index, key: &ViewKey) -> HashMap<u16, u16> {
    let pods = || index.snapshot.pods.in_namespace(&key.namespace);
    let pod = pods().find(|pod| pod.metadata.labels == key.labels);
    let services = index.snapshot.services.in_namespace(&key.namespace);
    services
        .filter(|one| !one.spec.selector.is_empty() && has_all(&key.labels, &one.spec.selector))
        .flat_map(|one| &one.spec.ports)
        .filter_map(|port| Some((port.port, target_port(port, pod.map(AsRef::as_ref))?)))
        .collect()
}

fn selects(one: &Resolved, key: &ViewKey, scope: &SidecarScope, index: &Index) -> bool {
    if !one.is_visible_in(&key.namespace, &index.settings.mesh) {
        return false;
    }
    if key.proxy_type == ProxyType::Router {
        return one.gateways.iter().any(|gateway| gateway != MESH_GATEWAY);
    }
    let namespace = &one.source.metadata.namespace;
    one.is_bound_to(MESH_GATEWAY) && one.hosts.iter().any(|host| lists_any(scope, namespace, host))
}

fn lists_any(scope: &SidecarScope, namespace: &str, host: &Hostname) -> bool {
    let Some(hosts) = &scope.hosts else { return true };
    hosts
        .iter()
        .any(|entry| (entry.namespace == "*" || entry.namespace == namespace) && entry.host.overlaps(host))
}

/// Hosts that selected VirtualServices lead to: a sidecar sees them even where its egress does not list them.
fn imported(scope: &SidecarScope, virtual_services: &[Arc<Resolved>]) -> HashSet<Hostname> {
    if scope.hosts.is_none() {
        return HashSet::new();
    }
    let destinations = virtual_services.iter().flat_map(|one| destinations(one));
    destinations.map(|destination| Hostname::new(&destination.host)).collect()
}

/// Every destination of a VirtualService.
pub(crate) fn destinations(one: &Resolved) -> impl Iterator<Item = &Destination> {
    let http = one.http.iter().flat_map(|route| {
        let weighted = route.route.iter().map(|weighted| &weighted.destination);
        weighted.chain(route.mirror.as_deref()).chain(route.mirrors.iter().map(|mirror| &mirror.destination))
    });
    let tls = one.tls.iter().flat_map(|route| route.route.iter().map(|weighted| &weighted.destination));
    let tcp = one.tcp.iter().flat_map(|route| route.route.iter().map(|weighted| &weighted.destination));
    http.chain(tls).chain(tcp)
}

/// Of several services with one host: the client's own namespace goes first, then Kubernetes' services, then the oldest.
fn one_per_host(services: Vec<Visible>, namespace: &str) -> Vec<Visible> {
    let rank =
        |one: &Visible| (one.service.namespace != namespace, one.service.registry != Registry::Kubernetes);
    let mut best: HashMap<&Hostname, usize> = HashMap::with_capacity(services.len());
    for (at, one) in services.iter().enumerate() {
        let known = best.entry(&one.service.hostname).or_insert(at);
        if rank(one) < rank(&services[*known]) {
            *known = at;
        }
    }
    let kept: BTreeSet<usize> = best.into_values().collect();
    services.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, one)| one).collect()
}

/// Labels that any selector of a client's configuration asks for: proxies that agree in them see the same.
pub(crate) fn relevant_labels(index: &Index) -> BTreeSet<(String, String)> {
    let mut relevant = BTreeSet::new();
    let mut add = |labels: &Labels| {
        relevant.extend(labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    };
    for sidecar in index.snapshot.sidecars.iter() {
        sidecar.spec.workload_selector.iter().for_each(|selector| add(&selector.labels));
    }
    for rule in index.snapshot.destination_rules.iter() {
        rule.spec.workload_selector.iter().for_each(|selector| add(&selector.match_labels));
    }
    for filter in index.snapshot.envoy_filters.iter() {
        filter.spec.workload_selector.iter().for_each(|selector| add(&selector.labels));
    }
    for telemetry in index.snapshot.telemetries.iter() {
        telemetry.spec.selector.iter().for_each(|selector| add(&selector.match_labels));
    }
    for plugin in index.snapshot.wasm_plugins.iter() {
        plugin.spec.selector.iter().for_each(|selector| add(&selector.match_labels));
    }
    for telemetry in index.snapshot.telemetries.iter() {
        telemetry.spec.selector.iter().for_each(|selector| add(&selector.match_labels));
    }
    for one in index.virtual_services.iter() {
        let http = one.http.iter().flat_map(|route| &route.r#match).map(|condition| &condition.source_labels);
        let tls = one.tls.iter().flat_map(|route| &route.r#match).map(|condition| &condition.source_labels);
        let tcp = one.tcp.iter().flat_map(|route| &route.r#match).map(|condition| &condition.source_labels);
        http.chain(tls).chain(tcp).for_each(&mut add);
    }
    relevant
}

/// Those of a workload's labels that some selector asks for.
pub(crate) fn relevant_of(labels: &Labels, relevant: &BTreeSet<(String, String)>) -> Labels {
    relevant.iter().filter(|(key, value)| labels.get(key) == Some(value)).cloned().collect()
}

/// The key of a proxy's view.
pub(crate) fn key_of(index: &Index, proxy: &Proxy) -> ViewKey {
    let labels = match proxy.proxy_type {
        ProxyType::Router => proxy.labels.clone(),
        ProxyType::Sidecar => relevant_of(&proxy.labels, &index.relevant_labels),
    };
    ViewKey {
        proxy_type: proxy.proxy_type,
        namespace: proxy.namespace.clone(),
        labels,
        place: Arc::new(place_of(index, proxy)),
        plain_envoy: proxy.plain_envoy,
        traces: index.traces_of(proxy),
        topology: proxy.topology,
        captures_nothing: proxy.is_sidecar() && proxy.interception_mode == "NONE",
        families: Families::of(&proxy.addresses),
        knows_allocated: proxy.dns_capture && index.settings.address_allocation,
    }
}

/// Where a proxy is: its pod and node tell, else it itself.
fn place_of(index: &Index, proxy: &Proxy) -> Place {
    let snapshot = &index.snapshot;
    let pod = snapshot.pods.get(&proxy.namespace, &proxy.name);
    let of_pod = pod.map(|pod| locality::of_pod(pod, &snapshot.nodes)).filter(|found| !found.is_empty());
    let locality = of_pod.unwrap_or_else(|| proxy.locality.clone());
    let labels = pod.map_or(&proxy.labels, |pod| &pod.metadata.labels);
    place(index, locality, labels, pod.map_or("", |pod| &pod.spec.node_name))
}

/// The place of a workload with these labels on a node.
pub(super) fn place(index: &Index, locality: String, labels: &Labels, node: &str) -> Place {
    let value = |key: &String| {
        let value = locality::label(key, labels, &locality, node, &index.settings.mesh)?;
        Some((key.clone(), value.to_owned()))
    };
    let labels = index.nearness_labels.iter().filter_map(value).collect();
    Place { locality, labels }
}

/// The keys of labels that nearness is judged by.
pub(super) fn nearness_labels(index: &Index) -> BTreeSet<String> {
    let rules = index.snapshot.destination_rules.iter();
    let policies = rules.flat_map(|rule| {
        let of_subsets = rule.spec.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
        of_subsets.chain(&rule.spec.traffic_policy)
    });
    let balancers = policies.flat_map(|policy| {
        let of_ports = policy.port_level_settings.iter().filter_map(|port| port.load_balancer.as_ref());
        of_ports.chain(&policy.load_balancer)
    });
    let settings = balancers.filter_map(|balancer| balancer.locality_lb_setting.as_ref());
    let services = index.services.iter().map(|state| &*state.service);
    preference::asked_keys(&index.settings, services, settings)
}
