//! Listeners of a Sidecar's `egress`: where connections of the workload are taken, and to which hosts they may go.

use std::net::IpAddr;

use sagene_api::istio::networking::common::CaptureMode;
use sagene_api::istio::networking::sidecar::IstioEgressListener;

use crate::hostname::Hostname;
use crate::protocol::Protocol;
use crate::service::Service;

/// One entry of `egress.hosts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EgressHost {
    /// Namespace, `*` for all; `.` has become the sidecar's own.
    pub namespace: String,
    /// Host or wildcard.
    pub host: Hostname,
}

/// A port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EgressPort {
    /// The number.
    pub number: u16,
    /// What it speaks; unspecified where that is as the services say.
    pub protocol: Protocol,
}

/// One entry of `egress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressListener {
    /// Its port; `None` for all ports that no other listener has.
    pub port: Option<EgressPort>,
    /// Address it is on; `None` means that the services or the way of capture decide.
    pub bind: Option<IpAddr>,
    /// The workload connects to it by itself (`captureMode: NONE`).
    pub has_socket: bool,
    /// Where its connections may go.
    pub hosts: Vec<EgressHost>,
}

/// Where connections to a port go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// Port of the service.
    pub port: u16,
    /// What is spoken.
    pub protocol: Protocol,
}

impl EgressListener {
    /// What there is without a Sidecar: every host on its own ports.
    pub(super) fn everything() -> Self {
        let all = EgressHost { namespace: "*".to_owned(), host: Hostname::new("*") };
        Self { port: None, bind: None, has_socket: false, hosts: vec![all] }
    }

    /// True where a host of a namespace is listed.
    pub fn lists(&self, namespace: &str, host: &Hostname) -> bool {
        let of_namespace =
            self.hosts.iter().filter(|entry| entry.namespace == "*" || entry.namespace == namespace);
        of_namespace.clone().any(|entry| entry.host.covers(host))
    }

    /// The numbers on which connections to a service may come here.
    pub fn numbers(&self, service: &Service) -> Vec<u16> {
        match self.port {
            Some(own) => vec![own.number],
            None => service.ports.iter().map(|port| port.port).collect(),
        }
    }

    /// The port of a service that connections to `number` mean; of a service with a single port that one.
    pub(super) fn lead(&self, service: &Service, number: u16) -> Option<Lead> {
        let same = service.port(number);
        let Some(own) = self.port else {
            return same.map(|port| Lead { port: port.port, protocol: port.protocol });
        };
        let meant = match (same, service.ports.as_slice()) {
            (Some(same), _) => same,
            (None, [only]) => only,
            _ => return None,
        };
        let protocol = if own.protocol.is_unspecified() { meant.protocol } else { own.protocol };
        (own.number == number).then_some(Lead { port: meant.port, protocol })
    }
}

/// The listeners of a Sidecar for workloads of `namespace`. Those on sockets of the file system are not made.
pub(super) fn listeners(declared: &[IstioEgressListener], namespace: &str) -> Vec<EgressListener> {
    declared.iter().filter_map(|one| listener(one, namespace)).collect()
}

fn listener(declared: &IstioEgressListener, namespace: &str) -> Option<EgressListener> {
    let port = match &declared.port {
        None => None,
        Some(port) => {
            let number = u16::try_from(port.number).ok().filter(|number| *number != 0)?;
            Some(EgressPort { number, protocol: Protocol::parse(&port.protocol) })
        }
    };
    let bind = match declared.bind.as_str() {
        "" => None,
        text => Some(text.parse().ok()?),
    };
    let hosts = declared.hosts.iter().filter_map(|text| text.split_once('/'));
    let hosts = hosts.filter(|(place, _)| *place != "~").map(|(place, host)| EgressHost {
        namespace: if place == "." { namespace.to_owned() } else { place.to_owned() },
        host: Hostname::new(host),
    });
    let has_socket = declared.capture_mode == CaptureMode::None;
    Some(EgressListener { port, bind, has_socket, hosts: hosts.collect() })
}
