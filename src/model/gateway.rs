//! The servers of all Gateways that select a proxy, merged by port.
//!
//! On one port, plain HTTP servers share one route configuration; TLS servers are told apart by SNI. A server whose protocol does not go
//! with what is on its port already is left out: the oldest Gateway wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::{Server, ServerTlsMode};

use crate::gateway_api::GATEWAY_SERVICE;
use crate::hostname::Hostname;
use crate::labels::{Labels, has_all};
use crate::protocol::Protocol;
use crate::snapshot::Snapshot;

/// One server with the Gateway that declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayServer {
    /// The Gateway.
    pub gateway: Arc<Object<Gateway>>,
    /// Which of its servers.
    pub index: usize,
}

/// A host of a server: `namespace/host`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerHost {
    /// Namespace whose VirtualServices may bind; `*` for any.
    pub namespace: String,
    /// The host.
    pub host: Hostname,
}

impl GatewayServer {
    /// The server.
    pub fn server(&self) -> &Server {
        &self.gateway.spec.servers[self.index]
    }

    /// `namespace/name` of the Gateway, as VirtualServices name it.
    pub fn gateway_name(&self) -> String {
        format!("{}/{}", self.gateway.metadata.namespace, self.gateway.metadata.name)
    }

    /// What the port speaks.
    pub fn protocol(&self) -> Protocol {
        Protocol::parse(&self.server().port.protocol)
    }

    /// TLS ends at the gateway.
    pub fn terminates_tls(&self) -> bool {
        let tls = self.server().tls.as_ref();
        self.protocol().is_tls()
            && tls.is_some_and(|tls| {
                !matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
            })
    }

    /// Requests are read: plain HTTP, or HTTPS that ends here.
    pub fn is_http(&self) -> bool {
        self.protocol().is_http() || (self.protocol() == Protocol::Https && self.terminates_tls())
    }

    /// Its hosts.
    pub fn hosts(&self) -> Vec<ServerHost> {
        let own = &self.gateway.metadata.namespace;
        let host = |text: &String| match text.split_once('/') {
            Some((".", host)) => ServerHost { namespace: own.clone(), host: Hostname::new(host) },
            Some((namespace, host)) => {
                ServerHost { namespace: namespace.to_owned(), host: Hostname::new(host) }
            }
            None => ServerHost { namespace: "*".to_owned(), host: Hostname::new(text) },
        };
        self.server().hosts.iter().map(host).collect()
    }

    /// Name of the route configuration of an HTTPS server. It has the port that the Gateway names, also where the proxy listens on
    /// another: that of the Service's target.
    pub fn https_route_name(&self) -> String {
        let (server, metadata) = (self.server(), &self.gateway.metadata);
        let bind = if server.bind.is_empty() { String::new() } else { format!(".{}", server.bind) };
        let port = &server.port;
        format!("https.{}.{}.{}.{}{bind}", port.number, port.name, metadata.name, metadata.namespace)
    }
}

/// Everything on one port of one address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PortServers {
    /// Plain HTTP servers: one route configuration.
    pub http: Vec<GatewayServer>,
    /// Servers behind TLS, each by its hosts.
    pub tls: Vec<GatewayServer>,
    /// Plain TCP servers; only the first counts.
    pub tcp: Vec<GatewayServer>,
}

/// Address to bind (empty for all) and port.
pub type Bind = (String, u16);

/// The merged servers of a proxy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MergedGateways {
    /// By address and port.
    pub ports: BTreeMap<Bind, PortServers>,
}

/// Merges the servers of all Gateways that select a proxy with these labels in a namespace. `target_port` maps the port of a server to the port that the
/// proxy listens on (a Service may lead 80 to 8080).
pub fn merge(
    snapshot: &Snapshot,
    namespace: &str,
    labels: &Labels,
    target_port: impl Fn(u16) -> u16,
) -> MergedGateways {
    // Gateways derived from a listener are for the pods of one Service, which are in its namespace.
    let in_place = |gateway: &Object<Gateway>| {
        let service = gateway.metadata.annotations.get(GATEWAY_SERVICE);
        let place = service.and_then(|service| service.split_once('.')).map(|(_, place)| place);
        place.is_none_or(|place| place == namespace)
    };
    let selects =
        |gateway: &&Arc<Object<Gateway>>| has_all(labels, &gateway.spec.selector) && in_place(gateway);
    let mut gateways: Vec<_> = snapshot.gateways.iter().filter(selects).collect();
    gateways.sort_by_key(|gateway| {
        (
            gateway.metadata.creation_timestamp,
            gateway.metadata.namespace.as_str(),
            gateway.metadata.name.as_str(),
        )
    });
    let mut merged = MergedGateways::default();
    for gateway in gateways {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Some(port) = u16::try_from(server.port.number).ok().filter(|port| *port != 0) else {
                continue;
            };
            let server = GatewayServer { gateway: gateway.clone(), index };
            let bind = (server.server().bind.clone(), target_port(port));
            merged.ports.entry(bind).or_default().add(server);
        }
    }
    merged
}

impl PortServers {
    fn add(&mut self, server: GatewayServer) {
        let protocol = server.protocol();
        if protocol.is_tls() {
            if self.http.is_empty() && self.tcp.is_empty() {
                self.tls.push(server);
            }
        } else if protocol.is_http() {
            if self.tls.is_empty() && self.tcp.is_empty() {
                self.http.push(server);
            }
        } else if self.http.is_empty() && self.tls.is_empty() {
            self.tcp.push(server);
        }
    }
}

/// Name of the route configuration of a port's plain HTTP servers.
pub fn http_route_name(bind: &str, port: u16) -> String {
    if bind.is_empty() { format!("http.{port}") } else { format!("http.{port}.{bind}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::istio::networking::gateway::Port;

    fn gateway(name: &str, protocol: &str, number: u32, hosts: &[&str]) -> Arc<Object<Gateway>> {
        let port =
            Port { number, protocol: protocol.to_owned(), name: protocol.to_lowercase(), ..Port::default() };
        let server = Server {
            port,
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..Server::default()
        };
        let selector = [("istio".to_owned(), "ingressgateway".to_owned())].into();
        Arc::new(Object::new("shop", name, Gateway { servers: vec![server], selector }))
    }

    #[test]
    fn http_servers_share_a_port_and_strangers_stay_out() {
        let mut snapshot = Snapshot::default();
        for object in [
            gateway("a", "HTTP", 80, &["a.com"]),
            gateway("b", "HTTP2", 80, &["./b.com"]),
            gateway("c", "TLS", 80, &["c.com"]),
        ] {
            snapshot.insert(object);
        }
        let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
        let merged = merge(&snapshot, "shop", &labels, |port| if port == 80 { 8080 } else { port });
        let servers = &merged.ports[&(String::new(), 8080)];
        assert_eq!((servers.http.len(), servers.tls.len()), (2, 0));
        assert_eq!(
            servers.http[1].hosts(),
            [ServerHost { namespace: "shop".to_owned(), host: Hostname::new("b.com") }]
        );
        assert!(merge(&snapshot, "shop", &Labels::new(), |port| port).ports.is_empty());
    }
}
