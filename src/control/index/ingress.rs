//! Ports that a Sidecar opens for its workload: with them, the ports of the workload's services do not count.

use std::collections::BTreeMap;

use sagene_api::istio::networking::gateway::ServerTlsSettings;
use sagene_api::istio::networking::sidecar::{IstioIngressListener, Sidecar};
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
}

/// Where the application listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// On the pod's address.
    Pod(u16),
    /// On the loopback: `127.0.0.1` or `::1`.
    Loopback(String, u16),
}

/// The ports of a proxy's Sidecar, by number; `None` without a Sidecar that opens any. `services` are the ports that services lead to.
pub(super) fn ports(
    index: &Index,
    proxy: &Proxy,
    services: &[InboundPort],
) -> Option<(Vec<InboundPort>, BTreeMap<u16, Ingress>)> {
    let mesh = &index.settings.mesh;
    if index.snapshot.sidecars.is_empty() {
        return None;
    }
    let scope = sidecar_scope::of_workload(&index.snapshot, mesh, &proxy.namespace, &proxy.labels);
    let sidecar = scope.sidecar.filter(|sidecar| !sidecar.spec.ingress.is_empty())?;
    let host = Hostname::new(&format!("{}.{}", sidecar.metadata.name, sidecar.metadata.namespace));
    Some(opened(&sidecar.spec, &host, &proxy.namespace, services))
}

fn opened(
    sidecar: &Sidecar,
    host: &Hostname,
    namespace: &str,
    services: &[InboundPort],
) -> (Vec<InboundPort>, BTreeMap<u16, Ingress>) {
    let (mut ports, mut own) = (BTreeMap::new(), BTreeMap::new());
    for listener in &sidecar.ingress {
        let Ok(number) = u16::try_from(listener.port.number) else { continue };
        let Some(endpoint) = endpoint(&listener.default_endpoint, number) else { continue };
        let service = services.iter().find(|port| port.target_port == number);
        let port = InboundPort {
            target_port: number,
            service_port: service.map_or(number, |port| port.service_port),
            protocol: protocol(listener),
            hostname: service.map_or_else(|| host.clone(), |port| port.hostname.clone()),
            service_name: service.map(|port| port.service_name.clone()).unwrap_or_default(),
            service_namespace: namespace.to_owned(),
        };
        ports.entry(number).or_insert(port);
        own.entry(number).or_insert(Ingress { endpoint, tls: listener.tls.clone() });
    }
    (ports.into_values().collect(), own)
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
        let (ports, own) = opened(&sidecar, &Hostname::new("sidecar.shop"), "shop", &[service]);
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
            ]
        );
        assert_eq!(own[&9080].endpoint, Endpoint::Pod(80));
        assert_eq!(own[&9081].endpoint, Endpoint::Loopback("127.0.0.1".to_owned(), 80));
        assert_eq!(own[&9082].endpoint, Endpoint::Pod(9082));
        assert!(own[&9080].tls.is_some() && own[&9081].tls.is_none());
    }
}
