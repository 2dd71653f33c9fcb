//! What a Service of type LoadBalancer says about where it is reached: its address, and the ports that had to be moved.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::network::is_balancer_address;

/// `{"80": 8080, …}`: port of the Service → port on its address.
pub(super) const HOST_PORTS: &str = "sagene.io/host-ports";

/// The addresses in its status that this cluster gave it.
pub(super) fn balancer_addresses(service: &Value) -> impl Iterator<Item = Ipv4Addr> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    let addresses = ingress.filter_map(|ingress| ingress["ip"].as_str()?.parse().ok());
    addresses.filter(|address| is_balancer_address(*address))
}

/// Port of the Service → port on its address; empty before the Service has one.
pub(super) fn host_ports(service: &Value) -> BTreeMap<u16, u16> {
    let text = service["metadata"]["annotations"][HOST_PORTS].as_str().unwrap_or("");
    serde_json::from_str(text).unwrap_or_default()
}
