//! What a sidecar sees: the egress of its Sidecar resource, or everything visible.

mod egress;

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::Sidecar;

use crate::hostname::Hostname;
use crate::labels::{Labels, has_all};
use crate::mesh::Mesh;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::visibility::is_visible;

pub use egress::{EgressHost, EgressListener, EgressPort, Lead};

/// The view of all workloads that share it.
#[derive(Debug, Clone, PartialEq)]
pub struct SidecarScope {
    /// Namespace of the workloads.
    pub namespace: String,
    /// The Sidecar that says so; `None` means all that is visible.
    pub sidecar: Option<Arc<Object<Sidecar>>>,
    /// The hosts it lists anywhere; `None` means all.
    pub hosts: Option<Vec<EgressHost>>,
    /// Its listeners as declared, or one of all that is visible.
    pub egress: Vec<EgressListener>,
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
    let Some(declared) = sidecar.as_ref().filter(|sidecar| !sidecar.spec.egress.is_empty()) else {
        return SidecarScope { sidecar, ..SidecarScope::everything(namespace) };
    };
    let egress = egress::listeners(&declared.spec.egress, namespace);
    let mut hosts: Vec<EgressHost> = egress.iter().flat_map(|listener| &listener.hosts).cloned().collect();
    hosts.sort();
    hosts.dedup();
    SidecarScope { namespace: namespace.to_owned(), sidecar, hosts: Some(hosts), egress }
}

impl SidecarScope {
    /// All that is visible in a namespace.
    pub fn everything(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            sidecar: None,
            hosts: None,
            egress: vec![EgressListener::everything()],
        }
    }

    /// Where connections to `number` that come to `listener` go of all ports of a service; `None` where the listener does not have the
    /// service, or another is there for the port. Services that only routes lead to belong to the listener without a port.
    pub fn lead(&self, listener: &EgressListener, service: &Service, number: u16) -> Option<Lead> {
        let listed = listener.lists(&service.namespace, &service.hostname);
        let imported = || listener.port.is_none() && !self.lists(&service.namespace, &service.hostname);
        if !listed && !imported() {
            return None;
        }
        let other = || self.listener_of(number, listener.has_socket);
        if listener.port.is_none() && other().is_some_and(|other| other.port.is_some()) {
            return None;
        }
        listener.lead(service, number)
    }

    /// The listener for a port: its own, else the one for all others.
    pub fn listener_of(&self, number: u16, has_socket: bool) -> Option<&EgressListener> {
        let mut candidates = self.egress.iter().filter(|one| one.has_socket == has_socket);
        let own = candidates.clone().find(|one| one.port.is_some_and(|port| port.number == number));
        own.or_else(|| candidates.find(|one| one.port.is_none()))
    }

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

    #[test]
    fn the_listener_of_a_port_takes_it_from_the_one_for_all() {
        let spec: Sidecar = serde_json::from_value(serde_json::json!({"egress": [
            {"port": {"number": 9080, "protocol": "HTTP", "name": "http"}, "hosts": ["bank/*"]},
            {"port": {"number": 3306, "protocol": "MYSQL", "name": "db"}, "captureMode": "NONE", "hosts": ["*/db.io"]},
            {"port": {"number": 0, "protocol": "TCP", "name": "socket"}, "bind": "unix:///a", "hosts": ["*/socket.io"]},
            {"hosts": ["./*"]},
        ]}))
        .expect("a Sidecar");
        let mut snapshot = Snapshot::default();
        snapshot.insert(Arc::new(Object::new("shop", "own", spec)));
        let scope = of_workload(&snapshot, &Mesh::default(), "shop", &Labels::default());
        let service = |namespace: &str, host: &str, ports: &[u16]| {
            let ports: Vec<_> = ports
                .iter()
                .map(|port| serde_json::json!({"number": port, "name": format!("p{port}")}))
                .collect();
            let entry = serde_json::json!({"hosts": [host], "ports": ports});
            let entry = serde_json::from_value(entry).expect("a ServiceEntry");
            crate::service::of_service_entry(&Object::new(namespace, "entry", entry)).remove(0)
        };
        let lead = |service: &Service, number, has_socket| {
            let listener = scope.listener_of(number, has_socket)?;
            scope.lead(listener, service, number).map(|lead| lead.port)
        };
        let bank = service("bank", "bank.io", &[9080, 9090]);
        assert_eq!((lead(&bank, 9080, false), lead(&bank, 9090, false)), (Some(9080), None));
        let shop = service("shop", "shop.io", &[9080, 9090]);
        assert_eq!((lead(&shop, 9080, false), lead(&shop, 9090, false)), (None, Some(9090)));
        // A service with one port is meant by whatever port the listener has.
        let database = service("other", "db.io", &[33060]);
        assert_eq!((lead(&database, 3306, true), lead(&database, 3306, false)), (Some(33060), None));
        assert!(scope.lists("other", &database.hostname));
        assert!(!scope.lists("other", &Hostname::new("socket.io")));
    }
}
