//! What a proxy takes in: the ports of the services its workload stands behind, and the mutual TLS and policies in front of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use sagene_api::Object;
use sagene_api::istio::networking::traffic_policy::ConnectionPoolSettings;
use sagene_api::istio::security::{AuthorizationPolicy, RequestAuthentication};
use sagene_api::istio::types::PolicyTargetReference;
use sagene_api::kubernetes::{self, IntOrString, Pod};
use sagene_model::gateway_api::is_targeted;
use sagene_model::labels::{Labels, has_all};
use sagene_model::peer_authentication::{self, MutualTls};
use sagene_model::{Hostname, Protocol, Service, service};

use super::Index;
use super::ingress::{self, Ingress};
use crate::generate::families::Families;
use crate::generate::telemetry::{OwnTraces, Telemetry};
use crate::generate::{Proxy, Resource};

/// A port of a workload that some service leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InboundPort {
    /// Port of the workload.
    pub(crate) target_port: u16,
    /// Port of the service.
    pub(crate) service_port: u16,
    pub(crate) protocol: Protocol,
    /// The service.
    pub(crate) hostname: Hostname,
    /// Its name and namespace.
    pub(crate) service_name: String,
    pub(crate) service_namespace: String,
}

/// Everything a proxy's inbound side depends on.
#[derive(Debug, Clone)]
pub(crate) struct InboundKey {
    pub(crate) namespace: String,
    /// The workload's labels, as far as some selector asks for them.
    pub(crate) labels: Labels,
    /// By workload port, the oldest service first.
    pub(crate) ports: Vec<InboundPort>,
    /// What a Sidecar says of its ports, by number; empty where the ports are those of services.
    pub(crate) ingress: BTreeMap<u16, Ingress>,
    /// Limits of connections to the application, as a Sidecar says.
    pub(crate) connection_pool: Option<ConnectionPoolSettings>,
    pub(crate) mutual_tls: MutualTls,
    pub(crate) authorization: Vec<Arc<Object<AuthorizationPolicy>>>,
    pub(crate) authentication: Vec<Arc<Object<RequestAuthentication>>>,
    /// Public keys of the issuers in `authentication`, rule by rule.
    pub(crate) issuer_keys: Vec<Arc<str>>,
    pub(crate) traces: OwnTraces,
    /// What is reported.
    pub(crate) telemetry: Telemetry,
    pub(crate) http10: bool,
    pub(crate) transparent: bool,
    /// A stock Envoy, which does not know Istio's filters.
    pub(crate) plain_envoy: bool,
    /// Families of its addresses.
    pub(crate) families: Families,
}

/// What was generated for an [`InboundKey`].
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) key: InboundKey,
    pub(crate) clusters: OnceLock<Vec<Arc<Resource>>>,
    pub(crate) listeners: OnceLock<Vec<Arc<Resource>>>,
}

impl PartialEq for InboundKey {
    fn eq(&self, other: &Self) -> bool {
        // Policies are compared by address: an object that changed is another object.
        fn same<T>(left: &[Arc<T>], right: &[Arc<T>]) -> bool {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| Arc::ptr_eq(left, right))
        }
        self.namespace == other.namespace
            && self.labels == other.labels
            && self.ports == other.ports
            && self.ingress == other.ingress
            && self.connection_pool == other.connection_pool
            && self.mutual_tls == other.mutual_tls
            && self.http10 == other.http10
            && self.transparent == other.transparent
            && self.plain_envoy == other.plain_envoy
            && self.families == other.families
            && same(&self.authorization, &other.authorization)
            && same(&self.authentication, &other.authentication)
            && self.issuer_keys == other.issuer_keys
            && self.telemetry == other.telemetry
            && self.traces == other.traces
    }
}

impl Eq for InboundKey {}

impl std::hash::Hash for InboundKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.ports.hash(state);
        self.mutual_tls.hash(state);
        self.authorization.len().hash(state);
        self.authentication.len().hash(state);
    }
}

/// What `proxy` takes in.
pub(crate) fn key_of(index: &Index, proxy: &Proxy) -> InboundKey {
    let mesh = &index.settings.mesh;
    let authentication = policies(index, proxy, &index.snapshot.request_authentications, |policy| {
        let targets = policy.target_ref.iter().chain(&policy.target_refs).collect();
        (policy.selector.as_ref().map(|selector| &selector.match_labels), targets)
    });
    let rules = authentication.iter().flat_map(|policy| &policy.spec.jwt_rules);
    let issuer_keys = rules.map(|rule| index.keys.of_rule(rule)).collect();
    let services = ports(index, proxy);
    let opened = ingress::of_sidecar(index, proxy, &services);
    let (ports, ingress) = opened.ports.unwrap_or_else(|| (services, BTreeMap::new()));
    InboundKey {
        namespace: proxy.namespace.clone(),
        labels: super::view::relevant_of(&proxy.labels, &index.relevant_labels),
        ports,
        ingress,
        connection_pool: opened.connection_pool,
        mutual_tls: peer_authentication::effective(&index.snapshot, mesh, &proxy.namespace, &proxy.labels),
        authorization: policies(index, proxy, &index.snapshot.authorization_policies, |policy| {
            let targets = policy.target_ref.iter().chain(&policy.target_refs).collect();
            (policy.selector.as_ref().map(|selector| &selector.match_labels), targets)
        }),
        authentication,
        issuer_keys,
        telemetry: Telemetry::of(index, &proxy.namespace, &proxy.labels),
        traces: index.traces_of(proxy),
        http10: proxy.http10,
        transparent: proxy.interception_mode == "TPROXY",
        plain_envoy: proxy.plain_envoy,
        families: Families::of(&proxy.addresses),
    }
}

/// Policies of the root namespace and the proxy's own that select it or name its Gateway, oldest first.
fn policies<S: sagene_api::Resource>(
    index: &Index,
    proxy: &Proxy,
    all: &sagene_model::snapshot::Collection<S>,
    read: impl Fn(&S) -> (Option<&Labels>, Vec<&PolicyTargetReference>),
) -> Vec<Arc<Object<S>>> {
    let root = index.settings.mesh.root_namespace.as_str();
    let own = (proxy.namespace != root).then_some(proxy.namespace.as_str());
    let places = std::iter::once(root).chain(own);
    let mut found: Vec<Arc<Object<S>>> = places
        .flat_map(|place| all.in_namespace(place))
        .filter(|policy| {
            let (selector, targets) = read(&policy.spec);
            if targets.is_empty() {
                return selector.is_none_or(|selector| has_all(&proxy.labels, selector));
            }
            let mesh = (&index.snapshot, &index.settings.mesh);
            is_targeted(targets, &policy.metadata.namespace, mesh, &proxy.namespace, &proxy.labels)
        })
        .cloned()
        .collect();
    found.sort_by(|left, right| {
        let age = |one: &Object<S>| (one.metadata.creation_timestamp, one.metadata.name.clone());
        age(left).cmp(&age(right))
    });
    found
}

/// The services in front of a proxy, with the ports they lead to; one service per workload port, the oldest.
fn ports(index: &Index, proxy: &Proxy) -> Vec<InboundPort> {
    let mesh = &index.settings.mesh;
    let pod = index.snapshot.pods.get(&proxy.namespace, &proxy.name);
    let mut ports: BTreeMap<u16, (Option<jiff::Timestamp>, InboundPort)> = BTreeMap::new();
    let mut add = |service: &Service, target_port: u16, service_port: u16, protocol: Protocol| {
        let port = InboundPort {
            target_port,
            service_port,
            protocol,
            hostname: service.hostname.clone(),
            service_name: service.name.clone(),
            service_namespace: service.namespace.clone(),
        };
        let known = ports.entry(target_port).or_insert_with(|| (service.created, port.clone()));
        if (service.created, &port.hostname) < (known.0, &known.1.hostname) {
            *known = (service.created, port);
        }
    };
    for object in index.snapshot.services.in_namespace(&proxy.namespace) {
        if object.spec.selector.is_empty() || !has_all(&proxy.labels, &object.spec.selector) {
            continue;
        }
        let service = service::of_kubernetes(object, mesh);
        for declared in &object.spec.ports {
            let target = target_port(declared, pod.map(AsRef::as_ref));
            if let (Some(port), Some(target)) = (service.port(declared.port), target) {
                add(&service, target, port.port, port.protocol);
            }
        }
    }
    for entry in index.snapshot.service_entries.in_namespace(&proxy.namespace) {
        let Some(selector) = &entry.spec.workload_selector else { continue };
        if !has_all(&proxy.labels, &selector.labels) {
            continue;
        }
        for service in service::of_service_entry(entry) {
            for declared in &entry.spec.ports {
                let wanted = if declared.target_port == 0 { declared.number } else { declared.target_port };
                let port = u16::try_from(declared.number).ok().and_then(|number| service.port(number));
                if let (Some(port), Ok(target)) = (port, u16::try_from(wanted)) {
                    add(&service, target, port.port, port.protocol);
                }
            }
        }
    }
    ports.into_values().map(|(_, port)| port).collect()
}

/// The number of a Service's target port; a name is looked up among the pod's container ports.
pub(crate) fn target_port(
    declared: &kubernetes::service::ServicePort,
    pod: Option<&Object<Pod>>,
) -> Option<u16> {
    match &declared.target_port {
        None => Some(declared.port),
        Some(IntOrString::Int(0)) => Some(declared.port),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        Some(IntOrString::String(name)) => {
            let pod = pod?;
            let mut ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
            ports.find(|port| port.name == *name).map(|port| port.container_port)
        }
    }
}
