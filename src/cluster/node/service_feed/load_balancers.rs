//! Services of type LoadBalancer and node ports on the machine's loopback, and what the Service says about it.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Objects;
use super::frontends::cluster_addresses;
use super::host_ports::{HOST_PORTS, balancer_addresses, host_ports};
use crate::api_client::resource::{name_of, namespace_of};
use crate::api_client::{ApiClient, ResourceRef};
use crate::network::{Inside, LoadBalancer, Purpose};

/// Opens and closes listeners, and writes where they are.
pub(super) async fn update(api: &ApiClient, services: &Objects, load_balancer: &mut LoadBalancer) {
    let mut wanted: HashSet<(Inside, Purpose)> = HashSet::new();
    let mut writes = Vec::new();
    for service in in_order(services) {
        let Some(address) = reached_at(service) else { continue };
        if !service["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let balanced = service["spec"]["type"] == "LoadBalancer";
        let outside = if balanced { outside(service, address, load_balancer) } else { Ipv4Addr::LOCALHOST };
        let opened = open(service, (address, outside), load_balancer, &mut wanted);
        if balanced {
            writes.push((service.clone(), outside, opened));
        }
    }
    load_balancer.retain(|inside, purpose| wanted.contains(&(inside, purpose)));
    for (service, outside, ports) in writes {
        write(api, &service, outside, &ports).await;
    }
}

/// The address inside that connections to the loopback are made to: either family leads to the same pods.
fn reached_at(service: &Value) -> Option<IpAddr> {
    let addresses = cluster_addresses(service);
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
}

/// Those that have an address come before those that want one.
fn in_order(services: &Objects) -> Vec<&Arc<Value>> {
    let mut services: Vec<&Arc<Value>> = services.values().collect();
    services.sort_by_key(|service| balancer_addresses(service).next().is_none());
    services
}

/// The Service's address on the loopback.
fn outside(service: &Value, address: IpAddr, load_balancer: &mut LoadBalancer) -> Ipv4Addr {
    let recorded = host_ports(service);
    let ports = service["spec"]["ports"].as_array().into_iter().flatten().filter(|port| is_tcp(port));
    let ports = ports.filter_map(|port| number(&port["port"]));
    let wanted: Vec<_> = ports.map(|port| (port, recorded.get(&port).copied())).collect();
    load_balancer.address(address, &wanted, balancer_addresses(service).next())
}

/// Datagrams would need a session table; what meshes expose is TCP.
fn is_tcp(port: &Value) -> bool {
    matches!(port["protocol"].as_str(), None | Some("TCP"))
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}

/// Port of the Service → port on the loopback.
fn open(
    service: &Value,
    (address, outside): (IpAddr, Ipv4Addr),
    load_balancer: &mut LoadBalancer,
    wanted: &mut HashSet<(Inside, Purpose)>,
) -> BTreeMap<u16, u16> {
    let earlier = host_ports(service);
    let mut opened = BTreeMap::new();
    for port in service["spec"]["ports"].as_array().into_iter().flatten() {
        if !is_tcp(port) {
            continue;
        }
        let Some(service_port) = number(&port["port"]) else { continue };
        let inside = (address, service_port);
        if service["spec"]["type"] == "LoadBalancer" {
            wanted.insert((inside, Purpose::LoadBalancer));
            if let Some(host_port) = load_balancer.open(
                outside,
                inside,
                Purpose::LoadBalancer,
                earlier.get(&service_port).copied(),
            ) {
                opened.insert(service_port, host_port);
            }
        }
        if let Some(node_port) = number(&port["nodePort"]) {
            wanted.extend(load_balancer.open_node_port(inside, node_port));
        }
    }
    opened
}

async fn write(api: &ApiClient, service: &Value, outside: Ipv4Addr, ports: &BTreeMap<u16, u16>) {
    let (namespace, name) = (namespace_of(service), name_of(service));
    let ingress = if ports.is_empty() { json!([]) } else { json!([{"ip": outside.to_string()}]) };
    if host_ports(service) != *ports {
        let annotations = json!({"metadata": {"annotations": {HOST_PORTS: json!(ports).to_string()}}});
        if let Err(error) = api.merge_patch(&ResourceRef::SERVICES, namespace, name, "", annotations).await {
            tracing::warn!(service = name, %error, "cannot record a Service's ports on this machine");
        }
    }
    let before = &service["status"]["loadBalancer"]["ingress"];
    let same = before[0]["ip"] == ingress[0]["ip"]
        && before.as_array().map_or(0, Vec::len) == ingress.as_array().map_or(0, Vec::len);
    if !same {
        let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        if let Err(error) = api.merge_patch(&ResourceRef::SERVICES, namespace, name, "status", status).await {
            tracing::warn!(service = name, %error, "cannot write a Service's address");
        }
    }
}
