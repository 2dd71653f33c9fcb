//! What a sidecar sees: the egress of its Sidecar resource, or everything visible.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::Sidecar;

use crate::hostname::Hostname;
use crate::labels::{Labels, has_all};
use crate::mesh::Mesh;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::visibility::is_visible;

/// One entry of `egress.hosts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EgressHost {
    /// Namespace, `*` for all; `.` has become the sidecar's own.
    pub namespace: String,
    /// Host or wildcard.
    pub host: Hostname,
}

/// The view of all workloads that share it.
#[derive(Debug, Clone, PartialEq)]
pub struct SidecarScope {
    /// Namespace of the workloads.
    pub namespace: String,
    /// The Sidecar that says so; `None` means all that is visible.
    pub sidecar: Option<Arc<Object<Sidecar>>>,
    /// The hosts it lists; `None` means all.
    pub hosts: Option<Vec<EgressHost>>,
}

/// The Sidecar of a workload: one that selects it, else its namespace's, else the root namespace's; the oldest of several.
pub fn of_workload(snapshot: &Snapshot, mesh: &Mesh, namespace: &str, labels: &Labels) -> SidecarScope {
    let oldest = |place: &str, wanted: &dyn Fn(&Sidecar) -> bool| {
        let candidates = snapshot.sidecars.in_namespace(place).filter(|sidecar| wanted(&sidecar.spec));
        candidates
            .min_by_key(|sidecar| (sidecar.metadata.creation_timestamp, sidecar.metadata.name.clone()))
            .cloned()
    };
    let chosen = |sidecar: &Sidecar| {
        sidecar.workload_selector.as_ref().is_some_and(|selector| has_all(labels, &selector.labels))
    };
    let for_all = |sidecar: &Sidecar| sidecar.workload_selector.is_none();
    let sidecar = oldest(namespace, &chosen)
        .or_else(|| oldest(namespace, &for_all))
        .or_else(|| oldest(&mesh.root_namespace, &for_all));
    let hosts = sidecar
        .as_ref()
        .filter(|sidecar| !sidecar.spec.egress.is_empty())
        .map(|sidecar| egress_hosts(&sidecar.spec, namespace));
    SidecarScope { namespace: namespace.to_owned(), sidecar, hosts }
}

fn egress_hosts(sidecar: &Sidecar, namespace: &str) -> Vec<EgressHost> {
    let entries = sidecar.egress.iter().flat_map(|listener| &listener.hosts);
    let mut hosts: Vec<EgressHost> = entries
        .filter_map(|text| text.split_once('/'))
        .filter(|(place, _)| *place != "~")
        .map(|(place, host)| EgressHost {
            namespace: if place == "." { namespace.to_owned() } else { place.to_owned() },
            host: Hostname::new(host),
        })
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

impl SidecarScope {
    /// True where the workloads see a service.
    pub fn sees(&self, service: &Service, mesh: &Mesh) -> bool {
        is_visible(&service.export_to, &mesh.default_service_export_to, &service.namespace, &self.namespace)
            && self.lists(&service.namespace, &service.hostname)
    }

    /// True where the egress lists a host of a namespace, or lists nothing at all.
    pub fn lists(&self, namespace: &str, host: &Hostname) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        hosts
            .iter()
            .any(|entry| (entry.namespace == "*" || entry.namespace == namespace) && entry.host.covers(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::istio::networking::common::LabelSelector;
    use sagene_api::istio::networking::sidecar::IstioEgressListener;

    fn sidecar(namespace: &str, name: &str, app: Option<&str>, hosts: &[&str]) -> Arc<Object<Sidecar>> {
        let listener = IstioEgressListener {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..IstioEgressListener::default()
        };
        let workload_selector =
            app.map(|app| LabelSelector { labels: [("app".to_owned(), app.to_owned())].into() });
        Arc::new(Object::new(
            namespace,
            name,
            Sidecar { workload_selector, egress: vec![listener], ..Sidecar::default() },
        ))
    }

    #[test]
    fn selector_beats_namespace_beats_root() {
        let mut snapshot = Snapshot::default();
        for object in [
            sidecar("istio-system", "all", None, &["*/*"]),
            sidecar("shop", "ns", None, &["./*"]),
            sidecar("shop", "web", Some("web"), &["bank/*", "~/*"]),
        ] {
            snapshot.insert(object);
        }
        let mesh = Mesh::default();
        let name = |namespace: &str, app: &str| {
            let labels = [("app".to_owned(), app.to_owned())].into();
            of_workload(&snapshot, &mesh, namespace, &labels)
                .sidecar
                .map(|sidecar| sidecar.metadata.name.clone())
        };
        assert_eq!(name("shop", "web").as_deref(), Some("web"));
        assert_eq!(name("shop", "cart").as_deref(), Some("ns"));
        assert_eq!(name("bank", "cart").as_deref(), Some("all"));
        let scope = of_workload(&snapshot, &mesh, "shop", &[("app".to_owned(), "web".to_owned())].into());
        assert!(scope.lists("bank", &Hostname::new("a.bank.svc.cluster.local")));
        assert!(!scope.lists("shop", &Hostname::new("a.shop.svc.cluster.local")));
    }
}
