//! The names of the cluster, computed from Services and EndpointSlices.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

/// Domain of the cluster.
pub(super) const DOMAIN: &str = "cluster.local";

/// Where a port of a Service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What is known under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) addresses: Vec<IpAddr>,
    /// `ExternalName`.
    pub(super) alias: Option<String>,
    /// `_port._protocol` names.
    pub(super) targets: Vec<Target>,
}

/// All names: lower-case, without the last dot. Those of a Service stand together, so that a change of it touches no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterNames {
    /// By the Service's own name.
    services: HashMap<String, ServiceNames>,
}

/// The names of one Service: its own and those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ServiceNames {
    entries: HashMap<String, Entry>,
}

impl ClusterNames {
    /// Makes the names of a Service those of this object and its slices; without an object it has none.
    pub(crate) fn replace(
        &mut self,
        namespace: &str,
        name: &str,
        service: Option<&Value>,
        slices: &[&Value],
    ) {
        let full = format!("{name}.{namespace}.svc.{DOMAIN}").to_ascii_lowercase();
        let Some(service) = service else {
            self.services.remove(&full);
            return;
        };
        let mut names = ServiceNames::default();
        let with_addresses = slices.iter().copied().filter(|slice| slice["addressType"] != "FQDN");
        names.add_service(service, &full, with_addresses);
        self.services.insert(full, names);
    }

    /// The entry of a name in any case, with or without the last dot. Pods' names (`10-244-0-7.NAMESPACE.pod`,
    /// `fd00-10-244--7.NAMESPACE.pod`) are computed.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let of_service = || self.services.get(service_in(&name)?)?.entries.get(&name).cloned();
        of_service().or_else(|| pod(&name))
    }
}

/// The Service's name at the end of a name: `NAME.NAMESPACE.svc.cluster.local`.
fn service_in(name: &str) -> Option<&str> {
    let rest = name.strip_suffix(DOMAIN)?.strip_suffix(".svc.")?;
    let (before, _namespace) = rest.rsplit_once('.')?;
    let start = before.rfind('.').map_or(0, |dot| dot + 1);
    Some(&name[start..])
}

impl ServiceNames {
    fn add_service<'a>(&mut self, service: &Value, name: &str, slices: impl Iterator<Item = &'a Value>) {
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" {
            let alias = spec["externalName"].as_str().map(|host| host.trim_end_matches('.').to_owned());
            self.entries.insert(name.to_owned(), Entry { alias, ..Entry::default() });
            return;
        }
        let listed = spec["clusterIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let listed = if listed.is_empty() { std::slice::from_ref(&spec["clusterIP"]) } else { listed };
        let addresses: Vec<IpAddr> =
            listed.iter().filter_map(|address| address.as_str()?.parse().ok()).collect();
        match addresses.is_empty() {
            false => {
                self.entry(name).addresses.extend(addresses);
                for port in spec["ports"].as_array().into_iter().flatten() {
                    self.add_port(name, port, name.to_owned(), number(&port["port"]));
                }
            }
            true => slices.for_each(|slice| self.add_endpoints(name, slice)),
        }
    }

    /// A headless Service: its name means all ready endpoints, and each has a name below it.
    fn add_endpoints(&mut self, name: &str, slice: &Value) {
        // The name exists even while nothing is ready.
        self.entry(name);
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
            let Some(address) =
                endpoint["addresses"][0].as_str().and_then(|text| text.parse::<IpAddr>().ok())
            else {
                continue;
            };
            if !ready {
                continue;
            }
            let label = endpoint["hostname"]
                .as_str()
                .map_or_else(|| address.to_string().replace(['.', ':'], "-"), str::to_owned);
            let host = format!("{label}.{name}");
            self.entry(name).addresses.push(address);
            self.entry(&host).addresses.push(address);
            for port in slice["ports"].as_array().into_iter().flatten() {
                self.add_port(name, port, host.clone(), number(&port["port"]));
            }
        }
    }

    fn add_port(&mut self, name: &str, port: &Value, host: String, number: Option<u16>) {
        let Some(port_name) = port["name"].as_str().filter(|port_name| !port_name.is_empty()) else { return };
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_ascii_lowercase();
        let Some(port) = number else { return };
        let (entry, target) =
            (self.entry(&format!("_{port_name}._{protocol}.{name}")), Target { host, port });
        // A pod with a name is in the slices of both families under it.
        if !entry.targets.contains(&target) {
            entry.targets.push(target);
        }
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        self.entries.entry(name.to_ascii_lowercase()).or_default()
    }
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok())
}

fn pod(name: &str) -> Option<Entry> {
    let (label, rest) = name.split_once('.')?;
    let (_namespace, zone) = rest.split_once('.')?;
    if zone.strip_prefix("pod.") != Some(DOMAIN) {
        return None;
    }
    let dotted = label.matches('-').count() == 3 && !label.contains("--");
    let address = label.replace('-', if dotted { "." } else { ":" }).parse().ok()?;
    Some(Entry { addresses: vec![address], ..Entry::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_ports_endpoints_and_pods_have_names() {
        let services = [
            json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.96.0.50", "clusterIPs": ["10.96.0.50", "fd00::50"], "ports": [{"name": "http", "port": 80}]}}),
            json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None"}}),
            json!({"metadata": {"name": "out", "namespace": "shop"}, "spec": {"type": "ExternalName", "externalName": "example.com."}}),
        ];
        let second = json!({
            "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv6",
            "ports": [{"name": "sql", "port": 5432}],
            "endpoints": [{"addresses": ["fd00::7"], "hostname": "db-0"}, {"addresses": ["fd00::9"]}],
        });
        let slice = json!({
            "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv4",
            "ports": [{"name": "sql", "port": 5432}],
            "endpoints": [
                {"addresses": ["10.244.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["10.244.0.8"], "conditions": {"ready": false}},
            ],
        });
        let mut names = ClusterNames::default();
        for service in &services {
            let name = service["metadata"]["name"].as_str().unwrap();
            let slices: &[&Value] = if name == "db" { &[&slice, &second] } else { &[] };
            names.replace("shop", name, Some(service), slices);
        }
        let addresses = |name: &str| {
            names.find(name).unwrap().addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(addresses("Web.shop.svc.cluster.local."), ["10.96.0.50", "fd00::50"]);
        assert_eq!(addresses("db.shop.svc.cluster.local"), ["10.244.0.7", "fd00::7", "fd00::9"]);
        assert_eq!(addresses("db-0.db.shop.svc.cluster.local"), ["10.244.0.7", "fd00::7"]);
        assert_eq!(addresses("fd00--9.db.shop.svc.cluster.local"), ["fd00::9"]);
        assert_eq!(addresses("fd00-10-244--9.shop.pod.cluster.local"), ["fd00:10:244::9"]);
        assert_eq!(addresses("10-244-0-9.shop.pod.cluster.local"), ["10.244.0.9"]);
        assert_eq!(names.find("out.shop.svc.cluster.local").unwrap().alias.as_deref(), Some("example.com"));
        let targets = names.find("_sql._tcp.db.shop.svc.cluster.local").unwrap().targets;
        assert_eq!(targets.len(), 2, "{targets:?}");
        let port = &targets[0];
        assert_eq!((port.host.as_str(), port.port), ("db-0.db.shop.svc.cluster.local", 5432));
        assert!(names.find("none.shop.svc.cluster.local").is_none());
        names.replace("shop", "db", None, &[]);
        for gone in ["db.shop.svc.cluster.local", "db-0.db.shop.svc.cluster.local"] {
            assert!(names.find(gone).is_none(), "{gone}");
        }
        assert!(names.find("web.shop.svc.cluster.local").is_some());
    }
}
