//! The configuration of a mesh at one instant: immutable, cheap to clone and to derive the next one from.
//!
//! Collections are shared by namespace, so that one changed object costs the objects of its namespace and kind, not those of the mesh.

mod dynamic;
mod named;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::gateway_api::{
    GatewayClass, GrpcRoute, HttpRoute, KubernetesGateway, ReferenceGrant, TcpRoute, TlsRoute,
};
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::networking::{
    DestinationRule, EnvoyFilter, Gateway, ProxyConfig, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
    WorkloadGroup,
};
use sagene_api::istio::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use sagene_api::istio::telemetry::Telemetry;
use sagene_api::kubernetes::{
    ConfigMap, Deployment, EndpointSlice, Ingress, IngressClass, MutatingWebhookConfiguration, Namespace,
    Node, Pod, Secret, Service, ServiceAccount,
};
use sagene_api::{Object, Resource};

pub use dynamic::{AnyDifference, AnyObject, KindTraits};
use named::Named;

type ByName<S> = Arc<Named<Arc<Object<S>>>>;

/// All objects of one kind, by namespace and name. Cluster-scoped objects stand under the empty namespace.
#[derive(Debug, Clone)]
pub struct Collection<S: Resource> {
    namespaces: Arc<Named<ByName<S>>>,
}

impl<S: Resource> Default for Collection<S> {
    fn default() -> Self {
        Self { namespaces: Arc::default() }
    }
}

impl<S: Resource> Collection<S> {
    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Object<S>>> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// All objects, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object<S>>> {
        self.namespaces.values().flat_map(|objects| objects.values())
    }

    /// The objects of one namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object<S>>> {
        self.namespaces.get(namespace).into_iter().flat_map(|objects| objects.values())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.namespaces.values().map(|objects| objects.len()).sum()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// Puts an object in, in place of the one of its name, which is answered.
    pub fn insert(&mut self, object: Arc<Object<S>>) -> Option<Arc<Object<S>>> {
        let named = object.clone();
        let (namespace, name) = (&named.metadata.namespace, &named.metadata.name);
        let namespaces = Arc::make_mut(&mut self.namespaces);
        if let Some(objects) = namespaces.get_mut(namespace) {
            return Arc::make_mut(objects).insert(name, object);
        }
        let mut objects = Named::default();
        objects.insert(name, object);
        namespaces.insert(namespace, Arc::new(objects));
        None
    }

    /// Takes in all of `other`, in place of objects of the same names.
    pub fn append(&mut self, other: Self) {
        let namespaces = Arc::make_mut(&mut self.namespaces);
        for (namespace, new) in Arc::unwrap_or_clone(other.namespaces).into_values() {
            let Some(objects) = namespaces.get_mut(&namespace) else {
                namespaces.insert(&namespace, new);
                continue;
            };
            let objects = Arc::make_mut(objects);
            for (name, object) in Arc::unwrap_or_clone(new).into_values() {
                objects.insert(&name, object);
            }
        }
    }

    /// The objects that are not the same one here and in another state of the collection, each as it is here and there. What both share
    /// costs nothing: namespaces in which nothing changed are passed over.
    pub fn differences<'c>(&'c self, other: &'c Self) -> Vec<Difference<'c, S>> {
        let mut found = Vec::new();
        if Arc::ptr_eq(&self.namespaces, &other.namespaces) {
            return found;
        }
        let names: BTreeSet<&Arc<str>> = self.namespaces.names().chain(other.namespaces.names()).collect();
        for name in names {
            let (here, there) = (self.namespaces.get(name), other.namespaces.get(name));
            if !matches!((here, there), (Some(here), Some(there)) if Arc::ptr_eq(here, there)) {
                differences_of(here, there, &mut found);
            }
        }
        found
    }

    /// Takes out all namespaces but some; cluster-scoped objects stay.
    fn retain_namespaces(&mut self, keep: &dyn Fn(&str) -> bool) {
        let goes = |namespace: &&Arc<str>| !namespace.is_empty() && !keep(namespace);
        let gone: Vec<Arc<str>> = self.namespaces.names().filter(goes).cloned().collect();
        if !gone.is_empty() {
            let namespaces = Arc::make_mut(&mut self.namespaces);
            gone.iter().for_each(|namespace| drop(namespaces.remove(namespace)));
        }
    }

    fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Object<S>>> {
        // Looked for first: to change a collection that others share copies it.
        self.get(namespace, name)?;
        let namespaces = Arc::make_mut(&mut self.namespaces);
        let objects = Arc::make_mut(namespaces.get_mut(namespace)?);
        let removed = objects.remove(name);
        if objects.is_empty() {
            namespaces.remove(namespace);
        }
        removed
    }
}

/// An object as it is in one state of a collection and in another; `None` where it is not.
pub type Difference<'c, S> = (Option<&'c Arc<Object<S>>>, Option<&'c Arc<Object<S>>>);

fn differences_of<'c, S: Resource>(
    here: Option<&'c ByName<S>>,
    there: Option<&'c ByName<S>>,
    found: &mut Vec<Difference<'c, S>>,
) {
    for (name, object) in here.into_iter().flat_map(|objects| objects.iter()) {
        let other = there.and_then(|objects| objects.get(name));
        if !other.is_some_and(|other| Arc::ptr_eq(object, other)) {
            found.push((Some(object), other));
        }
    }
    for (name, object) in there.into_iter().flat_map(|objects| objects.iter()) {
        if here.is_none_or(|objects| objects.get(name).is_none()) {
            found.push((None, Some(object)));
        }
    }
}

/// A kind that snapshots hold.
pub trait Collected: Resource {
    /// Its name here.
    const COLLECTED: Kind;
    /// Its collection.
    fn collection(snapshot: &Snapshot) -> &Collection<Self>;
    /// Its collection, to change.
    fn collection_mut(snapshot: &mut Snapshot) -> &mut Collection<Self>;
}

macro_rules! snapshot {
    ($($(#[$doc:meta])* $field:ident: $type:ident,)+) => {
        /// A kind that snapshots hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $type,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$type),+];

            /// The kind's name in YAML.
            pub fn name(self) -> &'static str {
                self.traits().kind
            }

            /// What is known of the kind.
            pub fn traits(self) -> &'static KindTraits {
                match self { $(Self::$type => {
                    static TRAITS: KindTraits = KindTraits::of::<$type>();
                    &TRAITS
                })+ }
            }
        }

        /// The configuration of a mesh at one instant.
        #[derive(Debug, Clone, Default)]
        pub struct Snapshot {
            $($(#[$doc])* pub $field: Collection<$type>,)+
        }

        impl Snapshot {
            /// Takes out what is in namespaces other than some; cluster-scoped objects stay, and so do config maps: settings are no part
            /// of the mesh.
            pub fn retain_namespaces(&mut self, keep: impl Fn(&str) -> bool) {
                $(if Kind::$type != Kind::ConfigMap {
                    self.$field.retain_namespaces(&keep);
                })+
            }

            /// The namespaces that hold something.
            pub fn occupied(&self) -> BTreeSet<Arc<str>> {
                let mut names = BTreeSet::new();
                $(names.extend(self.$field.namespaces.names().cloned());)+
                names.remove("");
                names
            }

            /// All objects of a namespace, each as a change of content.
            pub fn changes_of(&self, namespace: &str) -> ChangeSet {
                let mut changes = ChangeSet::default();
                $(for object in self.$field.in_namespace(namespace) {
                    changes.add(change::<$type>(namespace, &object.metadata.name), Scope::Content);
                })+
                changes
            }
        }

        $(impl Collected for $type {
            const COLLECTED: Kind = Kind::$type;
            fn collection(snapshot: &Snapshot) -> &Collection<Self> { &snapshot.$field }
            fn collection_mut(snapshot: &mut Snapshot) -> &mut Collection<Self> { &mut snapshot.$field }
        })+
    };
}

snapshot! {
    /// Services of Kubernetes.
    services: Service,
    /// Where services' pods are.
    endpoint_slices: EndpointSlice,
    /// Pods.
    pods: Pod,
    /// Namespaces.
    namespaces: Namespace,
    /// Nodes.
    nodes: Node,
    /// Secrets, as far as they are read.
    secrets: Secret,
    /// Config maps, as far as they are read.
    config_maps: ConfigMap,
    /// Service accounts.
    service_accounts: ServiceAccount,
    /// Deployments.
    deployments: Deployment,
    /// Ingresses.
    ingresses: Ingress,
    /// Injection webhooks.
    mutating_webhook_configurations: MutatingWebhookConfiguration,
    /// Routing rules.
    virtual_services: VirtualService,
    /// Policies for traffic to a host.
    destination_rules: DestinationRule,
    /// Listeners of gateways.
    gateways: Gateway,
    /// Services outside Kubernetes.
    service_entries: ServiceEntry,
    /// Workloads outside Kubernetes.
    workload_entries: WorkloadEntry,
    /// Templates of workloads outside Kubernetes.
    workload_groups: WorkloadGroup,
    /// What a sidecar sees.
    sidecars: Sidecar,
    /// Patches of generated configuration.
    envoy_filters: EnvoyFilter,
    /// Settings of proxies.
    proxy_configs: ProxyConfig,
    /// Mutual TLS of servers.
    peer_authentications: PeerAuthentication,
    /// Tokens of requests.
    request_authentications: RequestAuthentication,
    /// Who may do what.
    authorization_policies: AuthorizationPolicy,
    /// What proxies report.
    telemetries: Telemetry,
    /// WebAssembly in proxies.
    wasm_plugins: WasmPlugin,
    /// Classes of Ingresses.
    ingress_classes: IngressClass,
    /// Classes of the Gateway API's Gateways.
    gateway_classes: GatewayClass,
    /// The Gateway API's Gateways.
    kubernetes_gateways: KubernetesGateway,
    /// The Gateway API's routes of requests.
    http_routes: HttpRoute,
    /// The Gateway API's routes of gRPC calls.
    grpc_routes: GrpcRoute,
    /// The Gateway API's routes by server name.
    tls_routes: TlsRoute,
    /// The Gateway API's routes of connections.
    tcp_routes: TcpRoute,
    /// References across namespaces that are allowed.
    reference_grants: ReferenceGrant,
}

/// What is new about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Only metadata that no generator reads (annotations, resource version): nothing has to be pushed.
    MetadataOnly,
    /// Spec, status, labels, or the object as a whole.
    Content,
}

/// One changed object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The objects that changed between two snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    changes: BTreeMap<Change, Scope>,
}

impl ChangeSet {
    /// Notes a change; content wins over metadata.
    pub fn add(&mut self, change: Change, scope: Scope) {
        let known = self.changes.entry(change).or_insert(scope);
        *known = (*known).max(scope);
    }

    /// Takes in all of `other`.
    pub fn merge(&mut self, other: Self) {
        for (change, scope) in other.changes {
            self.add(change, scope);
        }
    }

    /// Changes of content, in order.
    pub fn contents(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|(_, scope)| **scope == Scope::Content).map(|(change, _)| change)
    }

    /// All changes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Change, Scope)> {
        self.changes.iter().map(|(change, scope)| (change, *scope))
    }

    /// The kinds whose content changed.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.contents().map(|change| change.kind).collect()
    }

    /// True where nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// True where something changed that generators read.
    pub fn has_content(&self) -> bool {
        self.contents().next().is_some()
    }
}

impl Snapshot {
    /// One object.
    pub fn get<S: Collected>(&self, namespace: &str, name: &str) -> Option<&Arc<Object<S>>> {
        S::collection(self).get(namespace, name)
    }

    /// Puts an object in; says what changed, `None` where it is there already, unchanged.
    pub fn insert<S: Collected>(&mut self, object: Arc<Object<S>>) -> Option<(Change, Scope)> {
        let change = change::<S>(&object.metadata.namespace, &object.metadata.name);
        let Some(before) = S::collection_mut(self).insert(object.clone()) else {
            return Some((change, Scope::Content));
        };
        let same_content = before.spec == object.spec
            && (!reads_status(S::COLLECTED) || before.status == object.status)
            && before.metadata.labels == object.metadata.labels
            && before.metadata.deletion_timestamp == object.metadata.deletion_timestamp
            && before.metadata.uid == object.metadata.uid;
        match (same_content, before.metadata == object.metadata) {
            (true, true) => None,
            // Annotations of these kinds steer generation; those of all others do not.
            (true, false)
                if annotated(S::COLLECTED) && before.metadata.annotations != object.metadata.annotations =>
            {
                Some((change, Scope::Content))
            }
            (true, false) => Some((change, Scope::MetadataOnly)),
            (false, _) => Some((change, Scope::Content)),
        }
    }

    /// Takes an object out; `None` where it was not there.
    pub fn remove<S: Collected>(&mut self, namespace: &str, name: &str) -> Option<Change> {
        S::collection_mut(self).remove(namespace, name).map(|_| change::<S>(namespace, name))
    }
}

/// Kinds whose status steers generation; that of others is what we, or others, say about them.
fn reads_status(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Service
            | Kind::Pod
            | Kind::Node
            | Kind::Namespace
            | Kind::ServiceEntry
            | Kind::WorkloadEntry
            | Kind::Deployment
    )
}

fn annotated(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Service
            | Kind::Pod
            | Kind::Namespace
            | Kind::Ingress
            | Kind::ServiceEntry
            | Kind::AuthorizationPolicy
    )
}

fn change<S: Collected>(namespace: &str, name: &str) -> Change {
    Change { kind: S::COLLECTED, namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virtual_service(host: &str) -> Object<VirtualService> {
        Object::new(
            "shop",
            "cart",
            VirtualService { hosts: vec![host.to_owned()], ..VirtualService::default() },
        )
    }

    #[test]
    fn tells_content_from_metadata_and_from_nothing() {
        let mut snapshot = Snapshot::default();
        assert_eq!(
            snapshot.insert(Arc::new(virtual_service("a"))).map(|(_, scope)| scope),
            Some(Scope::Content)
        );
        assert_eq!(snapshot.insert(Arc::new(virtual_service("a"))), None);
        let mut annotated = virtual_service("a");
        annotated.metadata.annotations.insert("helm".to_owned(), "1".to_owned());
        assert_eq!(snapshot.insert(Arc::new(annotated)).map(|(_, scope)| scope), Some(Scope::MetadataOnly));
        assert_eq!(
            snapshot.insert(Arc::new(virtual_service("b"))).map(|(_, scope)| scope),
            Some(Scope::Content)
        );
        assert!(snapshot.remove::<VirtualService>("shop", "cart").is_some());
        assert!(snapshot.remove::<VirtualService>("shop", "cart").is_none());
    }

    #[test]
    fn an_older_snapshot_stays_as_it_was() {
        let mut snapshot = Snapshot::default();
        snapshot.insert(Arc::new(virtual_service("a")));
        let before = snapshot.clone();
        snapshot.remove::<VirtualService>("shop", "cart");
        assert_eq!((before.virtual_services.len(), snapshot.virtual_services.len()), (1, 0));
    }
}
