//! Whom a change concerns: which types of resources of which proxies may differ after it.

use std::collections::BTreeSet;

use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::traffic_policy::load_balancer::LoadBalancerSettings;
use sagene_api::istio::networking::traffic_policy::{ConnectionPoolSettings, PortTrafficPolicy};
use sagene_model::Hostname;
use sagene_model::snapshot::{ChangeSet, Kind};

use super::services::ServiceChanges;
use crate::generate::{Proxy, type_url};

/// What a change may have done to one type of resources of one proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern<'a> {
    /// Nothing: skip it.
    Nothing,
    /// Only load assignments of these hosts (types with names, that is endpoints).
    Hosts(&'a BTreeSet<Hostname>),
    /// Anything.
    Anything,
}

/// Which proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Nobody,
    /// Proxies of these namespaces.
    Namespaces(BTreeSet<String>),
    Everybody,
}

impl Reach {
    fn add(&mut self, namespace: Option<&str>) {
        match (namespace, &mut *self) {
            (None, _) => *self = Self::Everybody,
            (Some(namespace), Self::Nobody) => *self = Self::Namespaces([namespace.to_owned()].into()),
            (Some(namespace), Self::Namespaces(known)) => {
                known.insert(namespace.to_owned());
            }
            (Some(_), Self::Everybody) => {}
        }
    }

    fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Namespaces(known) => known.contains(namespace),
            Self::Everybody => true,
        }
    }
}

/// Whom a change concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    clusters: Reach,
    listeners: Reach,
    routes: Reach,
    secrets: Reach,
    name_table: Reach,
    extensions: Reach,
    /// Load assignments as a whole, where rules changed.
    endpoints: Reach,
    /// Load assignments of single hosts.
    hosts: BTreeSet<Hostname>,
    /// Listeners and routes of routers alone.
    routers: bool,
}

impl Affected {
    /// Everything of everybody.
    pub fn everything() -> Self {
        let all = Reach::Everybody;
        Self {
            clusters: all.clone(),
            listeners: all.clone(),
            routes: all.clone(),
            secrets: all.clone(),
            name_table: all.clone(),
            extensions: all.clone(),
            endpoints: all,
            hosts: BTreeSet::new(),
            routers: true,
        }
    }

    /// Listeners of proxies in these namespaces; those of the root namespace concern everybody.
    pub(crate) fn listeners_in(namespaces: &BTreeSet<String>, root_namespace: &str) -> Self {
        let mut affected = Self::default();
        for namespace in namespaces {
            affected.listeners.add((namespace != root_namespace).then_some(namespace.as_str()));
        }
        affected
    }

    /// True where nobody is concerned.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in all of `other`; for changes that come while a push is under way.
    pub fn merge(&mut self, other: Self) {
        fn join(into: &mut Reach, from: Reach) {
            match from {
                Reach::Nobody => {}
                Reach::Everybody => into.add(None),
                Reach::Namespaces(names) => names.iter().for_each(|name| into.add(Some(name))),
            }
        }
        join(&mut self.clusters, other.clusters);
        join(&mut self.listeners, other.listeners);
        join(&mut self.routes, other.routes);
        join(&mut self.secrets, other.secrets);
        join(&mut self.name_table, other.name_table);
        join(&mut self.extensions, other.extensions);
        join(&mut self.endpoints, other.endpoints);
        self.hosts.extend(other.hosts);
        self.routers |= other.routers;
    }

    /// What may differ for `proxy` in resources of this type.
    pub fn concern(&self, proxy: &Proxy, type_url: &str) -> Concern<'_> {
        let reach = match type_url {
            type_url::CLUSTER => &self.clusters,
            type_url::LISTENER => &self.listeners,
            type_url::ROUTE => &self.routes,
            type_url::SECRET => &self.secrets,
            type_url::NAME_TABLE => &self.name_table,
            type_url::EXTENSION_CONFIG => &self.extensions,
            type_url::ENDPOINT => &self.endpoints,
            _ => return Concern::Nothing,
        };
        let of_routers =
            self.routers && !proxy.is_sidecar() && matches!(type_url, type_url::LISTENER | type_url::ROUTE);
        if reach.includes(&proxy.namespace) || of_routers {
            return Concern::Anything;
        }
        if type_url == type_url::ENDPOINT && !self.hosts.is_empty() {
            return Concern::Hosts(&self.hosts);
        }
        Concern::Nothing
    }

    /// Reads off a change set what it concerns.
    pub(super) fn of(changes: &ChangeSet, services: &ServiceChanges, root_namespace: &str) -> Self {
        let mut affected = Self::default();
        affected.add_services(services);
        for change in changes.contents() {
            let namespace = (change.namespace != root_namespace).then_some(change.namespace.as_str());
            match change.kind {
                // Rules are looked up in the namespaces of client and service, so any client may be concerned.
                Kind::DestinationRule => {
                    affected.clusters.add(None);
                    affected.endpoints.add(None);
                    affected.routes.add(None);
                }
                Kind::VirtualService => {
                    affected.routes.add(None);
                    affected.listeners.add(None);
                }
                Kind::Gateway => {
                    affected.routers = true;
                    affected.secrets.add(None);
                }
                Kind::Sidecar => {
                    for reach in [
                        &mut affected.clusters,
                        &mut affected.listeners,
                        &mut affected.routes,
                        &mut affected.name_table,
                    ] {
                        reach.add(namespace);
                    }
                    affected.endpoints.add(namespace);
                }
                // Servers change their listeners, clients their clusters.
                Kind::PeerAuthentication => {
                    affected.listeners.add(namespace);
                    affected.clusters.add(None);
                    affected.endpoints.add(None);
                }
                Kind::AuthorizationPolicy | Kind::RequestAuthentication => affected.listeners.add(namespace),
                // What is reported stands in connection managers and in listeners of clients and servers.
                Kind::Telemetry | Kind::WasmPlugin => {
                    affected.listeners.add(namespace);
                    affected.extensions.add(namespace);
                }
                // A patch may stand in anything but endpoints and secrets.
                Kind::EnvoyFilter => {
                    affected.clusters.add(namespace);
                    affected.listeners.add(namespace);
                    affected.routes.add(namespace);
                    affected.extensions.add(namespace);
                }
                Kind::Secret => affected.secrets.add(Some(&change.namespace)),
                // A named target port may have got its number.
                Kind::Pod => {}
                _ => {}
            }
        }
        affected
    }

    /// Notes that workloads of a namespace may take in something else.
    pub(super) fn add_inbound(&mut self, namespace: &str) {
        self.clusters.add(Some(namespace));
        self.listeners.add(Some(namespace));
    }

    /// Notes that proxies of a namespace, or all, may be near to other endpoints.
    pub(super) fn add_places(&mut self, namespace: Option<&str>) {
        self.clusters.add(namespace);
        self.endpoints.add(namespace);
    }

    /// Notes that connections may be passed on in another way.
    pub(super) fn add_connections(&mut self) {
        self.listeners.add(None);
    }

    fn add_services(&mut self, services: &ServiceChanges) {
        self.hosts.extend(services.endpoints.iter().map(|(_, host)| host.clone()));
        if !services.clusters.is_empty() {
            self.clusters.add(None);
            self.hosts.extend(services.clusters.iter().map(|(_, host)| host.clone()));
        }
        if !services.declarations.is_empty() {
            self.listeners.add(None);
            self.routes.add(None);
            self.name_table.add(None);
        }
    }
}

/// Whether a rule says something of connections that stands in listeners.
pub(super) fn shapes_connections(rule: &DestinationRule) -> bool {
    let subsets = rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
    let shapes = |balancer: &LoadBalancerSettings, pool: Option<&ConnectionPoolSettings>| {
        let by_source = balancer.consistent_hash.as_ref().and_then(|hash| hash.use_source_ip);
        let idle = pool.and_then(|pool| pool.tcp.as_ref()).and_then(|tcp| tcp.idle_timeout);
        by_source == Some(true) || idle.is_some()
    };
    let none = LoadBalancerSettings::default();
    rule.traffic_policy.iter().chain(subsets).any(|policy| {
        let own = shapes(policy.load_balancer.as_ref().unwrap_or(&none), policy.connection_pool.as_ref());
        let of_port = |port: &PortTrafficPolicy| {
            shapes(port.load_balancer.as_ref().unwrap_or(&none), port.connection_pool.as_ref())
        };
        own || policy.tunnel.is_some() || policy.port_level_settings.iter().any(of_port)
    })
}
