//! Ports that a Sidecar opens for its workload: with them, the ports of the workload's services do not count.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use sagene_api::istio::networking::common::CaptureMode;
use sagene_api::istio::networking::gateway::ServerTlsSettings;
use sagene_api::istio::networking::sidecar::{IstioIngressListener, Sidecar};
use sagene_api::istio::networking::traffic_policy::ConnectionPoolSettings;
use sagene_model::{Hostname, Protocol, sidecar_scope};

use super::Index;
use super::inbound::InboundPort;
use crate::generate::Proxy;

/// What a Sidecar says of a port beside its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ingress {
    pub(crate) endpoint: Endpoint,
    /// TLS that ends in the sidecar; it takes the place of the mesh's own where that is off.
    pub(crate) tls: Option<ServerTlsSettings>,
    /// Limits of the port, where those of the whole workload do not count.
    pub(crate) connection_pool: Option<ConnectionPoolSettings>,
    /// Address of a socket of its own (`captureMode: NONE`).
    pub(crate) socket: Option<IpAddr>,
}

/// What a Sidecar says of the workload's side that takes in.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The ports it opens, with what it says of them by number; `None` where it opens none.
    pub(super) ports: Option<(Vec<InboundPort>, BTreeMap<u16, Ingress>)>,
    /// Limits of connections to the application.
    pub(super) connection_pool: Option<ConnectionPoolSettings>,
}

/// Where the application listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// On the pod's address.
    Pod(u16),
    /// On the loopback: `127.0.0.1` or `::1`.
    Loopback(String, u16),
}

/// What a proxy's Sidecar says. `services` are the ports that services lead to.
pub(super) fn of_sidecar(index: &Index, proxy: &Proxy, services: &[InboundPort]) -> Opened {
    let mesh = &index.settings.mesh;
    if index.snapshot.sidecars.is_empty() || !proxy.is_sidecar() {
        return Opened::default();
    }
    let scope = sidecar_scope::of_workload(&index.snapshot, mesh, &proxy.namespace, &proxy.labels);
    let Some(sidecar) = scope.sidecar else { return Opened::default() };
    let host = Hostname::new(&format!("{}.{}", sidecar.metadata.name, sidecar.metadata.namespace));
    let opens = !sidecar.spec.ingress.is_empty();
    Opened {
        ports: opens.then(|| opened(&sidecar.spec, &host, proxy, services)),
        connection_pool: sidecar.spec.inbound_connection_pool.clone(),
    }
}

fn opened(
    sidecar: &Sidecar,
    host: &Hostname,
    proxy: &Proxy,
    services: &[InboundPort],
) -> (Vec<InboundPort>, BTreeMap<u16, Ingress>) {
    let (mut ports, mut own) = (BTreeMap::new(), BTreeMap::new());
    for listener in &sidecar.ingress {
        let Ok(number) = u16::try_from(listener.port.number) else { continue };
        let Some(endpoint) = endpoint(&listener.default_endpoint, number) else { continue };
        let socket = socket(listener, proxy);
        let endpoint = match endpoint {
            // On the pod's address the socket itself is.
            Endpoint::Pod(port) if socket.is_some() && port == number => {
                Endpoint::Loopback(Ipv4Addr::LOCALHOST.to_string(), port)
            }
            endpoint => endpoint,
        };
        let service = services.iter().find(|port| port.target_port == number);
        let port = InboundPort {
            target_port: number,
            service_port: service.map_or(number, |port| port.service_port),
            protocol: protocol(listener),
            hostname: service.map_or_else(|| host.clone(), |port| port.hostname.clone()),
            service_name: service.map(|port| port.service_name.clone()).unwrap_or_default(),
            service_namespace: proxy.namespace.clone(),
        };
        ports.entry(number).or_insert(port);
        let (tls, connection_pool) = (listener.tls.clone(), listener.connection_pool.clone());
        own.entry(number).or_insert(Ingress { endpoint, tls, connection_pool, socket });
    }
    (ports.into_values().collect(), own)
}

/// The address of a listener that callers connect to themselves: the one it names, else the pod's.
fn socket(listener: &IstioIngressListener, proxy: &Proxy) -> Option<IpAddr> {
    let is_own = listener.capture_mode == CaptureMode::None;
    let address = listener.bind.parse().ok().or_else(|| proxy.addresses.first().copied());
    address.filter(|_| is_own)
}

/// What is read after the sidecar has taken off its TLS.
fn protocol(listener: &IstioIngressListener) -> Protocol {
    match (Protocol::parse(&listener.port.protocol), &listener.tls) {
        (Protocol::Https, Some(_)) => Protocol::Http,
        (Protocol::Tls, Some(_)) => Protocol::Tcp,
        (protocol, _) => protocol,
    }
}

/// `127.0.0.1:80`, `0.0.0.0:80`, `[::1]:80`, `[::]:80`; nothing is the same port of the pod. Sockets of the file system are not reached.
fn endpoint(text: &str, port: u16) -> Option<Endpoint> {
    if text.is_empty() {
        return Some(Endpoint::Pod(port));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    match host {
        "127.0.0.1" | "[::1]" => Some(Endpoint::Loopback(host.trim_matches(['[', ']']).to_owned(), port)),
        "0.0.0.0" | "[::]" => Some(Endpoint::Pod(port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_opens_its_own_ports() {
        let sidecar: Sidecar = serde_json::from_value(serde_json::json!({"ingress": [
            {"port": {"number": 9080, "protocol": "HTTPS", "name": "external"}, "defaultEndpoint": "0.0.0.0:80", "tls": {"mode": "SIMPLE"}},
            {"port": {"number": 9081, "protocol": "HTTP", "name": "internal"}, "defaultEndpoint": "127.0.0.1:80"},
            {"port": {"number": 9082, "protocol": "TCP", "name": "same"}},
            {"port": {"number": 9083, "protocol": "TCP", "name": "own"}, "captureMode": "NONE"},
        ]}))
        .expect("a sidecar");
        let service = InboundPort {
            target_port: 9081,
            service_port: 8080,
            protocol: Protocol::Tcp,
            hostname: Hostname::new("web.shop.svc.cluster.local"),
            service_name: "web".to_owned(),
            service_namespace: "shop".to_owned(),
        };
        let proxy = crate::generate::tests::proxy("sidecar", "web", "shop", &[]);
        let (ports, own) = opened(&sidecar, &Hostname::new("sidecar.shop"), &proxy, &[service]);
        let shown: Vec<_> = ports
            .iter()
            .map(|port| (port.target_port, port.service_port, port.protocol, port.hostname.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (9080, 9080, Protocol::Http, "sidecar.shop"),
                (9081, 8080, Protocol::Http, "web.shop.svc.cluster.local"),
                (9082, 9082, Protocol::Tcp, "sidecar.shop"),
                (9083, 9083, Protocol::Tcp, "sidecar.shop"),
            ]
        );
        assert_eq!(own[&9080].endpoint, Endpoint::Pod(80));
        assert_eq!(own[&9081].endpoint, Endpoint::Loopback("127.0.0.1".to_owned(), 80));
        assert_eq!(own[&9082].endpoint, Endpoint::Pod(9082));
        assert_eq!(own[&9083].endpoint, Endpoint::Loopback("127.0.0.1".to_owned(), 9083));
        assert_eq!((own[&9082].socket, own[&9083].socket), (None, proxy.addresses.first().copied()));
        assert!(own[&9080].tls.is_some() && own[&9081].tls.is_none());
    }
}
