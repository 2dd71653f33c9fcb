//! The hosts of the mesh and who offers them, found by name in constant time, wildcards included.

use std::collections::HashMap;
use std::sync::Arc;

use sagene_api::istio::networking::ServiceEntry;
use sagene_api::{Object, kubernetes};
use sagene_model::visibility::is_visible;
use sagene_model::{Hostname, Mesh};

use crate::input::Input;

/// Annotation with the `exportTo` of a Kubernetes Service, by comma.
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// What says that a host exists.
#[derive(Debug, Clone, Copy)]
pub(in crate::checks) enum Source<'i> {
    /// A Kubernetes Service.
    Service(&'i Arc<Object<kubernetes::Service>>),
    /// A ServiceEntry.
    Entry(&'i Arc<Object<ServiceEntry>>),
}

impl<'i> Source<'i> {
    /// Numbers of its ports.
    pub(in crate::checks) fn ports(self) -> Vec<u32> {
        match self {
            Self::Service(service) => service.spec.ports.iter().map(|port| u32::from(port.port)).collect(),
            Self::Entry(entry) => entry.spec.ports.iter().map(|port| port.number).collect(),
        }
    }

    /// The namespace it is of.
    pub(in crate::checks) fn namespace(self) -> &'i str {
        match self {
            Self::Service(service) => &service.metadata.namespace,
            Self::Entry(entry) => &entry.metadata.namespace,
        }
    }

    /// True where a namespace sees it.
    pub(in crate::checks) fn is_visible_in(self, namespace: &str, mesh: &Mesh) -> bool {
        let default = &mesh.default_service_export_to;
        match self {
            Self::Service(service) => {
                let written =
                    service.metadata.annotations.get(EXPORT_TO).map(String::as_str).unwrap_or_default();
                let entries = written.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                let list: Vec<String> = entries.map(str::to_owned).collect();
                is_visible(&list, default, &service.metadata.namespace, namespace)
            }
            Self::Entry(entry) => {
                is_visible(&entry.spec.export_to, default, &entry.metadata.namespace, namespace)
            }
        }
    }
}

/// The hosts of the mesh.
#[derive(Debug, Default)]
pub(in crate::checks) struct Hosts<'i> {
    exact: HashMap<Hostname, Vec<Source<'i>>>,
    /// Wildcards, by what follows the `*`.
    wildcards: HashMap<String, Vec<Source<'i>>>,
}

impl<'i> Hosts<'i> {
    /// Those of the input, the other clusters of the mesh included.
    pub(in crate::checks) fn of(input: &'i Input) -> Self {
        let mut hosts = Self::default();
        for service in input.snapshots().flat_map(|snapshot| snapshot.services.iter()) {
            let metadata = &service.metadata;
            let host = Hostname::of_service(&metadata.name, &metadata.namespace, &input.mesh.domain);
            hosts.exact.entry(host).or_default().push(Source::Service(service));
        }
        for entry in input.snapshots().flat_map(|snapshot| snapshot.service_entries.iter()) {
            for host in &entry.spec.hosts {
                let host = Hostname::new(host);
                let sources = match host.as_str().strip_prefix('*') {
                    Some(suffix) => hosts.wildcards.entry(suffix.to_owned()).or_default(),
                    None => hosts.exact.entry(host).or_default(),
                };
                sources.push(Source::Entry(entry));
            }
        }
        hosts
    }

    /// What a client of `namespace` may mean by a name: as it stands, or what DNS makes of it, `cart.shop` for one. Hosts of routes and
    /// DestinationRules are not looked up by DNS: there only a name without a dot is short.
    pub(in crate::checks) fn spellings(
        text: &str,
        namespace: &str,
        mesh: &Mesh,
    ) -> impl Iterator<Item = Hostname> {
        let host = Hostname::resolve(text, namespace, &mesh.domain);
        let longer = match (host.as_str().matches('.').count(), host.as_str().ends_with(".svc")) {
            (1, _) => Some(Hostname::new(&format!("{host}.svc.{}", mesh.domain))),
            (2, true) => Some(Hostname::new(&format!("{host}.{}", mesh.domain))),
            _ => None,
        };
        std::iter::once(host).chain(longer)
    }

    /// Who offers a host, by its very name or by a wildcard that covers it: the most specific first.
    pub(in crate::checks) fn find(&self, host: &Hostname) -> impl Iterator<Item = Source<'i>> {
        let exact = self.exact.get(host).into_iter().flatten();
        let wildcards = suffixes(host.as_str()).filter_map(|suffix| self.wildcards.get(suffix)).flatten();
        exact.chain(wildcards).copied()
    }

    /// Who offers what a destination names, as `namespace` sees it.
    pub(in crate::checks) fn visible(&self, text: &str, namespace: &str, mesh: &Mesh) -> Option<Source<'i>> {
        self.seen(&Hostname::resolve(text, namespace, &mesh.domain), namespace, mesh)
    }

    /// Who offers what a client calls, as `namespace` sees it.
    pub(in crate::checks) fn called(&self, text: &str, namespace: &str, mesh: &Mesh) -> Option<Source<'i>> {
        Self::spellings(text, namespace, mesh).find_map(|host| self.seen(&host, namespace, mesh))
    }

    /// True where somebody offers this very host, if only to other namespaces.
    pub(in crate::checks) fn is_offered(&self, text: &str, namespace: &str, mesh: &Mesh) -> bool {
        self.exact.contains_key(&Hostname::resolve(text, namespace, &mesh.domain))
    }

    fn seen(&self, host: &Hostname, namespace: &str, mesh: &Mesh) -> Option<Source<'i>> {
        self.find(host).find(|source| source.is_visible_in(namespace, mesh))
    }

    /// Who offers the hosts that a wildcard covers, as far as they are no wildcards themselves.
    pub(in crate::checks) fn below(&self, wildcard: &Hostname) -> impl Iterator<Item = Source<'i>> {
        let covered = self.exact.iter().filter(|(host, _)| wildcard.covers(host));
        covered.flat_map(|(_, sources)| sources.iter().copied())
    }
}

/// What may follow the `*` of a wildcard that covers a host: `.b.c`, `.c` and nothing for `a.b.c`; `.c` too for `*.c`.
pub(in crate::checks) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at..]).chain(std::iter::once(""))
}

/// True where a host that is not there may well exist outside of what was read: ServiceEntries were withheld, the cluster or the installation
/// brings it, or Services were not read and no ServiceEntry says that such hosts are written here.
pub(in crate::checks) fn may_exist_elsewhere(text: &str, input: &Input) -> bool {
    let may_be_service = text.matches('.').count() < 2
        || text.ends_with(".svc")
        || text.ends_with(&format!(".svc.{}", input.mesh.domain));
    input.is_withheld::<ServiceEntry>()
        || (input.files_alone && is_always_there(text, &input.mesh))
        || !input.knows::<kubernetes::Service>()
            && (may_be_service || input.snapshot.service_entries.is_empty())
}

/// True for Services that files of an application rely on, but do not hold: the API server, the control plane, the gateways of profiles.
fn is_always_there(text: &str, mesh: &Mesh) -> bool {
    let of_installation = ["istiod", "istio-ingressgateway", "istio-egressgateway"];
    let of_installation = of_installation.into_iter().map(|name| (name, mesh.root_namespace.as_str()));
    let mut services = of_installation.chain([("kubernetes", "default")]);
    services.any(|(name, namespace)| text == Hostname::of_service(name, namespace, &mesh.domain).as_str())
}
