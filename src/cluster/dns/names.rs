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

/// All names: lower-case, without the last dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterNames {
    entries: HashMap<String, Entry>,
}

impl ClusterNames {
    /// The names of these objects.
    pub(crate) fn of<'a>(
        services: impl Iterator<Item = &'a Value>,
        slices: impl Iterator<Item = &'a Value>,
    ) -> Self {
        let mut by_service: HashMap<(&str, &str), Vec<&Value>> = HashMap::new();
        for slice in slices.filter(|slice| slice["addressType"] != "FQDN") {
            let metadata = &slice["metadata"];
            if let Some(service) = metadata["labels"]["kubernetes.io/service-name"].as_str() {
                by_service
                    .entry((metadata["namespace"].as_str().unwrap_or(""), service))
                    .or_default()
                    .push(slice);
            }
        }
        let mut names = Self::default();
        for service in services {
            let metadata = &service["metadata"];
            let key = (metadata["namespace"].as_str().unwrap_or(""), metadata["name"].as_str().unwrap_or(""));
            let slices = by_service.get(&key).map(Vec::as_slice).unwrap_or_default();
            names.add_service(service, &format!("{}.{}.svc.{DOMAIN}", key.1, key.0), slices);
        }
        names
    }

    /// The entry of a name in any case, with or without the last dot. Pods' names (`10-244-0-7.NAMESPACE.pod`,
    /// `fd00-10-244--7.NAMESPACE.pod`) are computed.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.entries.get(&name).cloned().or_else(|| pod(&name))
    }

    fn add_service(&mut self, service: &Value, name: &str, slices: &[&Value]) {
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
            true => slices.iter().for_each(|slice| self.add_endpoints(name, slice)),
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
        let names = ClusterNames::of(services.iter(), [&slice, &second].into_iter());
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
    }
}
