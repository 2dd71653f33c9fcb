//! Which addresses and ports lead to which endpoints.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::host_ports::{balancer_addresses, host_ports};
use crate::network::{Backends, Frontend, Frontends, NODE_ADDRESS, NODE_ADDRESS_V6, Transport};

/// The frontends of a Service, where the node is called `node` outside. Headless ones and those of other kinds have none.
pub(super) fn of(service: &Value, slices: &[&Value], node: Ipv4Addr) -> Frontends {
    let mut frontends = Frontends::new();
    let spec = &service["spec"];
    let own = cluster_addresses(service);
    let external = spec["externalIPs"].as_array().into_iter().flatten().filter_map(address);
    // Of a Service without IPv4 the machine's listener has to translate, which pods reach by the way out.
    let balanced: Vec<IpAddr> =
        balancer_addresses(service).filter(|_| own.iter().any(IpAddr::is_ipv4)).map(IpAddr::V4).collect();
    let addresses: Vec<IpAddr> =
        own.iter().copied().chain(external).chain(balanced.iter().copied()).collect();
    let moved = host_ports(service);
    let client_affinity = spec["sessionAffinity"] == "ClientIP";
    for port in spec["ports"].as_array().into_iter().flatten() {
        let Some(transport) = Transport::parse(port["protocol"].as_str().unwrap_or("")) else { continue };
        let name = port["name"].as_str().unwrap_or("");
        let backends = |address: &IpAddr| Backends {
            endpoints: endpoints(slices, name, address.is_ipv4()),
            client_affinity,
        };
        if let Some(number) = number(&port["port"]) {
            for address in &addresses {
                frontends.insert(Frontend { transport, address: *address, port: number }, backends(address));
            }
            // Pods reach a load balancer at the port that the machine's users see as well.
            if let Some(port) = moved.get(&number).copied() {
                for address in &balanced {
                    let frontend = Frontend { transport, address: *address, port };
                    frontends.entry(frontend).or_insert_with(|| backends(address));
                }
            }
        }
        if let Some(number) = number(&port["nodePort"]).filter(|number| *number != 0) {
            for own in &own {
                let node: &[IpAddr] = if own.is_ipv4() {
                    &[NODE_ADDRESS.into(), node.into()]
                } else {
                    &[NODE_ADDRESS_V6.into()]
                };
                for address in node {
                    frontends.insert(Frontend { transport, address: *address, port: number }, backends(own));
                }
            }
        }
    }
    frontends
}

/// The Service's own addresses, the primary one first; none for those without.
pub(super) fn cluster_addresses(service: &Value) -> Vec<IpAddr> {
    let spec = &service["spec"];
    let mut addresses: Vec<IpAddr> = std::iter::once(&spec["clusterIP"])
        .chain(spec["clusterIPs"].as_array().into_iter().flatten())
        .filter_map(address)
        .collect();
    addresses.dedup();
    addresses
}

fn address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

/// Ready endpoints of a port, of one family; without any, those that are ending but still serve.
fn endpoints(slices: &[&Value], port: &str, ipv4: bool) -> Vec<(IpAddr, u16)> {
    let collect = |wanted: fn(&Value) -> bool| {
        let mut found = Vec::new();
        for slice in slices {
            let ports = slice["ports"].as_array().into_iter().flatten();
            let named = ports.clone().find(|candidate| candidate["name"].as_str().unwrap_or("") == port);
            let Some(number) = named.and_then(|candidate| number(&candidate["port"])) else { continue };
            let endpoints = slice["endpoints"].as_array().into_iter().flatten();
            let matching = endpoints.filter(|endpoint| wanted(&endpoint["conditions"]));
            let addresses = matching.filter_map(|endpoint| address(&endpoint["addresses"][0]));
            found.extend(addresses.filter(|at| at.is_ipv4() == ipv4).map(|at| (at, number)));
        }
        found.sort_unstable();
        found.dedup();
        found
    };
    let ready = collect(|conditions| conditions["ready"].as_bool().unwrap_or(true));
    if ready.is_empty() {
        return collect(|conditions| conditions["serving"].as_bool().unwrap_or(false));
    }
    ready
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NODE: Ipv4Addr = Ipv4Addr::new(127, 96, 255, 1);

    #[test]
    fn each_family_leads_to_endpoints_of_its_own() {
        let service = json!({
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"clusterIP": "fd00::50", "clusterIPs": ["fd00::50", "10.96.0.50"], "ports": [{"port": 80, "nodePort": 30_080}]},
        });
        let slice = |kind: &str, address: &str| {
            json!({
                "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": kind, "ports": [{"name": "", "port": 8080}], "endpoints": [{"addresses": [address]}],
            })
        };
        let slices = [slice("IPv4", "10.244.0.5"), slice("IPv6", "fd00::5")];
        let found = of(&service, &slices.each_ref(), NODE);
        let frontends: Vec<(String, String)> = found
            .iter()
            .map(|(frontend, backends)| (frontend.address.to_string(), backends.endpoints[0].0.to_string()))
            .collect();
        let pairs = [
            ("10.96.0.50", "10.244.0.5"),
            ("10.244.0.1", "10.244.0.5"),
            ("127.96.255.1", "10.244.0.5"),
            ("fd00::50", "fd00::5"),
            ("fd00:10:244::1", "fd00::5"),
        ];
        assert_eq!(frontends, pairs.map(|(front, back)| (front.to_owned(), back.to_owned())));
    }

    #[test]
    fn ports_lead_to_ready_endpoints_of_the_same_name() {
        let service = json!({
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"clusterIP": "10.96.0.50", "ports": [{"name": "http", "port": 80, "nodePort": 30_080}, {"name": "sctp", "port": 9, "protocol": "SCTP"}]},
        });
        let slice = json!({
            "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.244.0.5"], "conditions": {"ready": true}},
                {"addresses": ["10.244.0.6"], "conditions": {"ready": false, "serving": true}},
            ],
        });
        let found = of(&service, &[&slice], NODE);
        let http = Frontend { transport: Transport::Tcp, address: "10.96.0.50".parse().unwrap(), port: 80 };
        assert_eq!(found.len(), 3);
        assert_eq!(found[&http].endpoints, [("10.244.0.5".parse().unwrap(), 8080)]);
        let none = of(&service, &[], NODE);
        assert!(none[&http].endpoints.is_empty());
    }

    #[test]
    fn pods_reach_a_load_balancer_at_its_own_ports_and_at_the_machine_s() {
        let service = json!({
            "metadata": {"annotations": {"sagene.io/host-ports": r#"{"80": 8080, "31400": 31400}"#}},
            "spec": {"clusterIP": "10.96.0.50", "ports": [{"port": 80}, {"port": 31_400}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "127.96.0.1"}]}},
        });
        let found = of(&service, &[], NODE);
        let at = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let found = found.keys().filter(move |frontend| frontend.address == address);
            found.map(|frontend| frontend.port).collect::<Vec<_>>()
        };
        assert_eq!(at("10.96.0.50"), [80, 31_400]);
        assert_eq!(at("127.96.0.1"), [80, 8080, 31_400]);
    }
}
