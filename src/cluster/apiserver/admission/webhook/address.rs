//! Where a webhook is: a service is resolved to a ready endpoint, without DNS and without the service network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use crate::apiserver::operations::Operations;

/// What is asked.
pub(super) struct Address {
    /// Name (or address) in the server's certificate.
    pub(super) server_name: String,
    port: u16,
    /// Path and query.
    pub(super) path: String,
    /// Namespace and name, where a service was named as such.
    service: Option<(String, String)>,
}

impl Address {
    /// The address that a `clientConfig` has, with the time that the answer may take, as Kubernetes asks.
    pub(super) fn of(config: &Value, timeout: Duration) -> Result<Self, String> {
        let service = &config["service"];
        let (server_name, port, path, service) = if service.is_object() {
            let text = |field: &str| service[field].as_str().unwrap_or("").to_owned();
            let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let (namespace, name) = (text("namespace"), text("name"));
            (format!("{name}.{namespace}.svc"), port, text("path"), Some((namespace, name)))
        } else {
            let (host, port, path) = parse(config["url"].as_str().unwrap_or(""))?;
            (host, port, path, None)
        };
        let path = format!("/{}?timeout={}s", path.trim_start_matches('/'), timeout.as_secs());
        Ok(Self { server_name, port, path, service })
    }

    /// Host and port as a URL has them.
    pub(super) fn authority(&self) -> String {
        match self.server_name.contains(':') {
            true => format!("[{}]:{}", self.server_name, self.port),
            false => format!("{}:{}", self.server_name, self.port),
        }
    }

    /// Where to connect.
    pub(super) fn socket(&self, operations: &Operations) -> Result<SocketAddr, String> {
        if let Some((namespace, name)) = &self.service {
            return endpoint(operations, namespace, name, u64::from(self.port));
        }
        match self.server_name.parse::<IpAddr>() {
            Ok(address) => Ok(SocketAddr::new(address, self.port)),
            Err(_) if self.server_name == "localhost" => {
                Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port))
            }
            Err(_) => named(operations, &self.server_name, self.port),
        }
    }
}

/// Host, port and path of a webhook's URL.
fn parse(url: &str) -> Result<(String, u16, String), String> {
    let rest = url.strip_prefix("https://").ok_or_else(|| format!("{url:?} is not an https URL"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("{url:?} has no valid port"))?)
        }
        _ => (authority, 443),
    };
    Ok((host.trim_matches(['[', ']']).to_owned(), port, path.to_owned()))
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
        .ok_or_else(|| format!("service {name:?} not found"))?;
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
