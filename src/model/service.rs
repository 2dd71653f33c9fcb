//! A service of the mesh, whether Kubernetes or a ServiceEntry says so.

mod from_kubernetes;
mod from_service_entry;

use std::net::IpAddr;

use jiff::Timestamp;

use crate::hostname::Hostname;
use crate::labels::Labels;
use crate::protocol::Protocol;

pub use from_kubernetes::of_kubernetes;
pub use from_service_entry::of_service_entry;

/// Where a service was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// How a service's endpoints are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Endpoints are known and pushed.
    ClientSideLb,
    /// The connection goes where the client meant it to (headless services, `resolution: NONE`).
    Passthrough,
    /// The proxy asks DNS and uses all answers.
    DnsLb,
    /// The proxy asks DNS and uses one answer at a time.
    DnsRoundRobinLb,
    /// The proxy asks DNS for the name of each request (`DYNAMIC_DNS`).
    DynamicDns,
    /// Another name for another service (`ExternalName`).
    Alias,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Name.
    pub name: String,
    /// Number that clients use.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
}

/// A service of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Full host name.
    pub hostname: Hostname,
    /// Name of the object; of a ServiceEntry, which may have several, the host, as Istio's metrics have it.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Who declared it.
    pub registry: Registry,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// Virtual IPs, IPv4 first; CIDR ranges stand in `address_ranges`.
    pub addresses: Vec<IpAddr>,
    /// Addresses that were chosen for it because it names none, IPv4 first: they count for clients whose names the mesh answers.
    pub allocated: Vec<IpAddr>,
    /// Virtual addresses that are ranges (`10.0.0.0/8`).
    pub address_ranges: Vec<String>,
    /// Ports by number as declared.
    pub ports: Vec<ServicePort>,
    /// `exportTo` as declared.
    pub export_to: Vec<String>,
    /// Pods behind it.
    pub selector: Labels,
    /// Outside the mesh: no mutual TLS by itself.
    pub mesh_external: bool,
    /// Names that the server's certificate must carry (ServiceEntry).
    pub subject_alt_names: Vec<String>,
    /// Name that an ExternalName service stands for.
    pub external_name: String,
    /// Endpoints that are not ready count too.
    pub publish_not_ready: bool,
    /// Only endpoints on the client's node (`internalTrafficPolicy: Local`).
    pub node_local: bool,
    /// `trafficDistribution` as declared.
    pub traffic_distribution: String,
    /// Age decides between services that claim the same host or port.
    pub created: Option<Timestamp>,
    /// Labels of the object.
    pub labels: Labels,
}

impl Service {
    /// A port by number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.port == number)
    }

    /// No virtual IP: clients see the pods.
    pub fn is_headless(&self) -> bool {
        self.addresses.is_empty() && self.address_ranges.is_empty()
    }

    /// The address that listeners bind to: the first virtual IP.
    pub fn virtual_ip(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }
}
