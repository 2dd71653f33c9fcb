//! Every service of the mesh with its endpoints, and what was generated for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_api::kubernetes::EndpointSlice;
use sagene_api::kubernetes::endpoint_slice::SERVICE_NAME_LABEL;
use sagene_model::endpoint::{self, Endpoint, Health};
use sagene_model::labels::has_all;
use sagene_model::locality::Place;
use sagene_model::service::{self, Resolution};
use sagene_model::snapshot::{ChangeSet, Kind};
use sagene_model::{Hostname, Mesh, Service, Snapshot};

use crate::generate::Resource;
use crate::generate::families::Families;

/// A service's place in the index: namespace and host.
pub(crate) type ServiceKey = (String, Hostname);

/// Clusters by the rule they were generated with.
type ClusterCache = Mutex<HashMap<ClusterKey, Arc<[Arc<Resource>]>>>;
/// Load assignments by what they depend on.
type AssignmentCache = Mutex<HashMap<AssignmentKey, Arc<Resource>>>;

/// What a service's clusters depend on beside the service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClusterKey {
    /// Id of the DestinationRule that holds; 0 for none.
    pub(crate) rule: u64,
    /// Gateways have no original destination to go to.
    pub(crate) router: bool,
    /// A stock Envoy does not know Istio's filters.
    pub(crate) plain_envoy: bool,
    /// Where the client is, if endpoints stand in the clusters themselves and are more than one.
    pub(crate) place: Option<Arc<Place>>,
}

/// What a load assignment depends on beside the service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AssignmentKey {
    /// Id of the DestinationRule that holds; 0 for none.
    pub(crate) rule: u64,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// Where the client is, if it prefers some endpoints for that.
    pub(crate) place: Option<Arc<Place>>,
    /// What the client can reach, if endpoints have addresses of two families.
    pub(crate) families: Option<Families>,
}

/// A service, its endpoints, and what was generated for it.
#[derive(Debug)]
pub(crate) struct ServiceState {
    pub(crate) service: Arc<Service>,
    pub(crate) endpoints: Arc<Vec<Endpoint>>,
    /// Identities of its workloads, in order.
    pub(crate) identities: Vec<String>,
    clusters: Arc<ClusterCache>,
    assignments: AssignmentCache,
}

impl ServiceState {
    fn new(service: Service, endpoints: Vec<Endpoint>) -> Self {
        let identities: BTreeSet<String> = endpoints
            .iter()
            .filter_map(|endpoint| endpoint.identity.as_ref())
            .map(ToString::to_string)
            .collect();
        Self {
            service: Arc::new(service),
            endpoints: Arc::new(endpoints),
            identities: identities.into_iter().collect(),
            clusters: Arc::default(),
            assignments: Mutex::default(),
        }
    }

    /// True where clusters carry endpoints or depend on each of them, instead of leaving them to EDS.
    pub(crate) fn endpoints_in_clusters(&self) -> bool {
        self.service.resolution != Resolution::ClientSideLb
    }

    /// True where some endpoint has addresses of two families.
    pub(crate) fn is_dual_stack(&self) -> bool {
        let may_be = self.service.addresses.len() > 1 || self.service.is_headless();
        may_be && self.endpoints.iter().any(|one| !one.also_at.is_empty())
    }

    /// True where clusters generated for `before` are still right.
    fn same_clusters(&self, before: &Self) -> bool {
        self.service == before.service
            && self.identities == before.identities
            && (!self.endpoints_in_clusters() || self.endpoints == before.endpoints)
    }

    /// The clusters for a rule, generated once.
    pub(crate) fn clusters(
        &self,
        key: ClusterKey,
        generate: impl FnOnce() -> Vec<Arc<Resource>>,
    ) -> Arc<[Arc<Resource>]> {
        if let Some(known) = lock(&self.clusters).get(&key) {
            return known.clone();
        }
        let made: Arc<[Arc<Resource>]> = generate().into();
        lock(&self.clusters).entry(key).or_insert(made).clone()
    }

    /// A load assignment, generated once.
    pub(crate) fn assignment(
        &self,
        key: AssignmentKey,
        generate: impl FnOnce() -> Arc<Resource>,
    ) -> Arc<Resource> {
        if let Some(known) = lock(&self.assignments).get(&key) {
            return known.clone();
        }
        let made = generate();
        lock(&self.assignments).entry(key).or_insert(made).clone()
    }

    /// What is generated and kept: type, name, bytes.
    pub(crate) fn cached(&self) -> Vec<(&'static str, String, usize)> {
        let entry = |kind, resource: &Resource| (kind, resource.name.to_string(), resource.any.len());
        let mut found = Vec::new();
        for resources in lock(&self.clusters).values() {
            found.extend(resources.iter().map(|resource| entry("CDS", resource)));
        }
        found.extend(lock(&self.assignments).values().map(|resource| entry("EDS", resource)));
        found
    }

    /// Endpoints that take requests.
    pub(crate) fn healthy(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.health == Health::Healthy)
    }
}

/// Takes a lock; what a panicked holder left behind are whole entries of a cache, so it is used on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every service of the mesh.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    by_key: HashMap<ServiceKey, Arc<ServiceState>>,
}

/// What became of the services when some objects changed.
#[derive(Debug, Default)]
pub(crate) struct ServiceChanges {
    /// Services whose endpoints changed and nothing else.
    pub(crate) endpoints: BTreeSet<ServiceKey>,
    /// Services that came, went, or whose clusters changed.
    pub(crate) clusters: BTreeSet<ServiceKey>,
    /// Services that came, went, or whose declaration changed.
    pub(crate) declarations: BTreeSet<ServiceKey>,
}

type SlicesByService<'a> = HashMap<(&'a str, &'a str), Vec<&'a Arc<Object<EndpointSlice>>>>;

impl Services {
    /// Reads all services of a snapshot.
    pub(crate) fn build(snapshot: &Snapshot, mesh: &Mesh) -> Self {
        let mut slices: SlicesByService<'_> = HashMap::new();
        for slice in snapshot.endpoint_slices.iter() {
            if let Some(name) = slice.metadata.labels.get(SERVICE_NAME_LABEL) {
                slices.entry((&slice.metadata.namespace, name)).or_default().push(slice);
            }
        }
        let mut by_key = HashMap::new();
        for object in snapshot.services.iter() {
            let service = service::of_kubernetes(object, mesh);
            let listed = slices.get(&(service.namespace.as_str(), service.name.as_str()));
            let endpoints =
                endpoint::of_slices(&service, listed.into_iter().flatten().copied(), snapshot, mesh);
            insert(&mut by_key, ServiceState::new(service, endpoints));
        }
        for entry in snapshot.service_entries.iter() {
            for state in of_entry(entry, snapshot, mesh) {
                insert(&mut by_key, state);
            }
        }
        Self { by_key }
    }

    /// Reads anew what `changes` may have touched.
    pub(crate) fn next(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        mesh: &Mesh,
        changes: &ChangeSet,
    ) -> (Self, ServiceChanges) {
        let touched = touched(before, after, changes);
        let mut found = ServiceChanges::default();
        if touched.is_empty() {
            return (self.clone(), found);
        }
        let mut next = self.clone();
        let mut keys: BTreeSet<ServiceKey> = BTreeSet::new();
        let mut states: HashMap<ServiceKey, ServiceState> = HashMap::new();
        for owner in &touched {
            keys.extend(owner.keys(before, mesh));
            for state in owner.states(after, mesh) {
                let key = key_of(&state.service);
                keys.insert(key.clone());
                states.entry(key).or_insert(state);
            }
        }
        for key in keys {
            let old = self.by_key.get(&key);
            match (old, states.remove(&key)) {
                (None, None) => {}
                (Some(_), None) => {
                    next.by_key.remove(&key);
                    found.declared(key);
                }
                (None, Some(state)) => {
                    next.by_key.insert(key.clone(), Arc::new(state));
                    found.declared(key);
                }
                (Some(old), Some(state)) => next.replace(key, old, state, &mut found),
            }
        }
        (next, found)
    }

    fn replace(
        &mut self,
        key: ServiceKey,
        old: &Arc<ServiceState>,
        mut state: ServiceState,
        found: &mut ServiceChanges,
    ) {
        let same_endpoints = old.endpoints == state.endpoints;
        let same_declaration = old.service == state.service;
        if same_endpoints && same_declaration {
            return;
        }
        if state.same_clusters(old) {
            state.clusters = old.clusters.clone();
            found.endpoints.insert(key.clone());
        } else if same_declaration && !state.service.is_headless() {
            found.clusters.insert(key.clone());
        } else {
            // Listeners and names of a headless service are those of its pods.
            found.declared(key.clone());
        }
        self.by_key.insert(key, Arc::new(state));
    }

    /// The same services with nothing generated.
    pub(crate) fn without_generated(&self) -> Self {
        let fresh = |state: &ServiceState| ServiceState {
            service: state.service.clone(),
            endpoints: state.endpoints.clone(),
            identities: state.identities.clone(),
            clusters: Arc::default(),
            assignments: Mutex::default(),
        };
        let states = self.by_key.iter();
        Self { by_key: states.map(|(key, state)| (key.clone(), Arc::new(fresh(state)))).collect() }
    }

    /// One service.
    pub(crate) fn get(&self, key: &ServiceKey) -> Option<&Arc<ServiceState>> {
        self.by_key.get(key)
    }

    /// All services, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<ServiceState>> {
        self.by_key.values()
    }
}

impl ServiceChanges {
    fn declared(&mut self, key: ServiceKey) {
        self.clusters.insert(key.clone());
        self.declarations.insert(key);
    }
}

fn insert(by_key: &mut HashMap<ServiceKey, Arc<ServiceState>>, state: ServiceState) {
    // Of several declarations of one host in one namespace, Kubernetes' goes first, then the first by name.
    by_key.entry(key_of(&state.service)).or_insert_with(|| Arc::new(state));
}

fn key_of(service: &Service) -> ServiceKey {
    (service.namespace.clone(), service.hostname.clone())
}

fn of_entry(entry: &Object<ServiceEntry>, snapshot: &Snapshot, mesh: &Mesh) -> Vec<ServiceState> {
    let services = service::of_service_entry(entry).into_iter();
    services
        .map(|service| {
            let mut endpoints = endpoint::of_inline(entry, &service, mesh);
            endpoints.extend(endpoint::of_selected(entry, &service, snapshot, mesh));
            ServiceState::new(service, endpoints)
        })
        .collect()
}

/// An object that declares services.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    registry_is_kubernetes: bool,
    namespace: String,
    name: String,
}

impl Owner {
    fn kubernetes(namespace: &str, name: &str) -> Self {
        Self { registry_is_kubernetes: true, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn entry(namespace: &str, name: &str) -> Self {
        Self { registry_is_kubernetes: false, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn keys(&self, snapshot: &Snapshot, mesh: &Mesh) -> Vec<ServiceKey> {
        if self.registry_is_kubernetes {
            let object = snapshot.services.get(&self.namespace, &self.name);
            return object.map(|object| key_of(&service::of_kubernetes(object, mesh))).into_iter().collect();
        }
        let entry = snapshot.service_entries.get(&self.namespace, &self.name);
        entry.into_iter().flat_map(|entry| service::of_service_entry(entry)).map(|one| key_of(&one)).collect()
    }

    fn states(&self, snapshot: &Snapshot, mesh: &Mesh) -> Vec<ServiceState> {
        if !self.registry_is_kubernetes {
            let entry = snapshot.service_entries.get(&self.namespace, &self.name);
            return entry.map(|entry| of_entry(entry, snapshot, mesh)).unwrap_or_default();
        }
        let Some(object) = snapshot.services.get(&self.namespace, &self.name) else { return Vec::new() };
        let service = service::of_kubernetes(object, mesh);
        let slices = snapshot
            .endpoint_slices
            .in_namespace(&self.namespace)
            .filter(|slice| slice.metadata.labels.get(SERVICE_NAME_LABEL) == Some(&self.name));
        let endpoints = endpoint::of_slices(&service, slices, snapshot, mesh);
        vec![ServiceState::new(service, endpoints)]
    }
}

/// The objects whose services `changes` may have touched.
fn touched(before: &Snapshot, after: &Snapshot, changes: &ChangeSet) -> BTreeSet<Owner> {
    let mut owners = BTreeSet::new();
    for change in changes.contents() {
        let (namespace, name) = (change.namespace.as_str(), change.name.as_str());
        match change.kind {
            Kind::Service => {
                owners.insert(Owner::kubernetes(namespace, name));
            }
            Kind::ServiceEntry => {
                owners.insert(Owner::entry(namespace, name));
            }
            Kind::EndpointSlice => {
                for snapshot in [before, after] {
                    let slice = snapshot.endpoint_slices.get(namespace, name);
                    let service = slice.and_then(|slice| slice.metadata.labels.get(SERVICE_NAME_LABEL));
                    owners.extend(service.map(|service| Owner::kubernetes(namespace, service)));
                }
            }
            Kind::Pod => {
                for snapshot in [before, after] {
                    pod_owners(snapshot, namespace, name, &mut owners);
                }
            }
            Kind::WorkloadEntry => {
                let selecting = after
                    .service_entries
                    .in_namespace(namespace)
                    .filter(|entry| entry.spec.workload_selector.is_some());
                owners.extend(selecting.map(|entry| Owner::entry(namespace, &entry.metadata.name)));
            }
            // Zones of nodes hardly ever change; when they do, every service may be near to somebody else.
            Kind::Node if labels_of_node(before, name) != labels_of_node(after, name) => {
                let all = after.services.iter();
                owners.extend(all.map(|one| Owner::kubernetes(&one.metadata.namespace, &one.metadata.name)));
                let selecting =
                    after.service_entries.iter().filter(|one| one.spec.workload_selector.is_some());
                owners.extend(selecting.map(|one| Owner::entry(&one.metadata.namespace, &one.metadata.name)));
            }
            _ => {}
        }
    }
    owners
}

fn labels_of_node<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a sagene_model::labels::Labels> {
    snapshot.nodes.get("", name).map(|node| &node.metadata.labels)
}

fn pod_owners(snapshot: &Snapshot, namespace: &str, name: &str, owners: &mut BTreeSet<Owner>) {
    let Some(pod) = snapshot.pods.get(namespace, name) else { return };
    let labels = &pod.metadata.labels;
    let services = snapshot.services.in_namespace(namespace);
    let selecting =
        services.filter(|one| !one.spec.selector.is_empty() && has_all(labels, &one.spec.selector));
    owners.extend(selecting.map(|one| Owner::kubernetes(namespace, &one.metadata.name)));
    let entries = snapshot.service_entries.in_namespace(namespace);
    let selecting = entries.filter(|entry| {
        entry.spec.workload_selector.as_ref().is_some_and(|selector| has_all(labels, &selector.labels))
    });
    owners.extend(selecting.map(|entry| Owner::entry(namespace, &entry.metadata.name)));
}
