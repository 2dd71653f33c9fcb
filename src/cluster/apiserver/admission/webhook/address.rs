//! Where a webhook is: a service is resolved to a ready endpoint, without DNS and without the service network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::apiserver::operations::Operations;

/// Where to connect, and who must answer.
pub(super) struct Address {
    pub(super) socket: SocketAddr,
    /// Name (or address) in the server's certificate.
    pub(super) server_name: String,
    pub(super) path: String,
}

pub(super) fn resolve(operations: &Operations, config: &Value) -> Result<Address, String> {
    let service = &config["service"];
    if service.is_object() {
        let text = |field: &str| service[field].as_str().unwrap_or("");
        let port = service["port"].as_u64().unwrap_or(443);
        let (namespace, name) = (text("namespace"), text("name"));
        let socket = endpoint(operations, namespace, name, port)?;
        let path = format!("/{}", text("path").trim_start_matches('/'));
        return Ok(Address { socket, server_name: format!("{name}.{namespace}.svc"), path });
    }
    let url = config["url"].as_str().unwrap_or("");
    let rest = url.strip_prefix("https://").ok_or_else(|| format!("{url:?} is not an https URL"))?;
    let (authority, path) =
        rest.split_once('/').map_or((rest, String::new()), |(authority, path)| (authority, path.to_owned()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("{url:?} has no valid port"))?)
        }
        _ => (authority, 443),
    };
    let host = host.trim_matches(['[', ']']);
    let socket = match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port),
        Err(_) if host == "localhost" => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        Err(_) => named(operations, host, port)?,
    };
    Ok(Address { socket, server_name: host.to_owned(), path: format!("/{path}") })
}

/// `NAME.NAMESPACE.svc[.cluster.local]` in a URL.
fn named(operations: &Operations, host: &str, port: u16) -> Result<SocketAddr, String> {
    let parts: Vec<&str> = host.split('.').collect();
    match parts.as_slice() {
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => {
            endpoint(operations, namespace, name, u64::from(port))
        }
        _ => Err(format!(
            "the host {host:?} is neither an address nor a service of this cluster; use clientConfig.service"
        )),
    }
}

/// A ready endpoint of a service's port.
fn endpoint(operations: &Operations, namespace: &str, name: &str, port: u64) -> Result<SocketAddr, String> {
    let service = operations
        .find("", "services", namespace, name)
        .ok_or_else(|| format!("service {name:?} not found in namespace {namespace:?}"))?;
    let ports = service["spec"]["ports"].as_array();
    let service_port = ports.into_iter().flatten().find(|one| one["port"].as_u64() == Some(port));
    let service_port =
        service_port.ok_or_else(|| format!("service {namespace}/{name} has no port {port}"))?;
    let port_name = service_port["name"].as_str().unwrap_or("");
    let (slices, _) = operations.store.list("discovery.k8s.io/endpointslices", namespace);
    let of_service =
        slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name);
    for slice in of_service {
        let numbers = slice["ports"].as_array().into_iter().flatten();
        let number = numbers
            .into_iter()
            .find(|one| one["name"].as_str().unwrap_or("") == port_name)
            .and_then(|one| one["port"].as_u64());
        let Some(number) = number.and_then(|number| u16::try_from(number).ok()) else { continue };
        let ready = slice["endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["conditions"]["ready"] != false);
        let address =
            ready.and_then(|one| one["addresses"][0].as_str()).and_then(|address| address.parse().ok());
        if let Some(address) = address {
            return Ok(SocketAddr::new(address, number));
        }
    }
    Err(format!("no endpoints available for service {name:?}"))
}
