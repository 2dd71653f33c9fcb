//! The pods' network: a bridge in the node's own network namespace, a namespace for each pod, Services by nftables, and the few
//! sockets in the machine's network through which the outside is reached.
//!
//! IPv4, and IPv6 beside it where the machine has it. Every packet between pods is routed by the node, so connection tracking sees both
//! directions.

mod address_pool;
mod addresses;
mod egress;
mod error;
mod forwarder;
mod host;
mod host_address;
mod load_balancer;
mod namespace;
mod node_network;
mod pod_link;
mod pod_rules;
mod service_rules;
mod services;
mod sysctl;

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) use addresses::{Addresses, machine_has_ipv6};
pub(crate) use egress::EgressRelay;
pub(crate) use error::NetworkError;
pub(crate) use host::HostNetwork;
pub(crate) use host_address::HostAddress;
pub(crate) use load_balancer::{Inside, LoadBalancer, Purpose, is_balancer_address};
pub(crate) use namespace::PodNamespaces;
pub(crate) use node_network::NodeNetwork;
pub(crate) use pod_link::PodLink;
pub(crate) use service_rules::{Backends, Frontend, Frontends, Transport};
pub(crate) use services::ServiceProxy;

/// The node's address on the bridge: gateway of every pod. What the node is called outside is [`HostAddress`].
pub(crate) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// Prefix length of the pods' range around [`NODE_ADDRESS`].
pub(crate) const POD_PREFIX: u8 = 16;
/// The node's IPv6 address on the bridge, beside [`NODE_ADDRESS`] where the cluster has both families.
pub(crate) const NODE_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1);
/// Prefix length of the pods' range around [`NODE_ADDRESS_V6`].
pub(crate) const POD_PREFIX_V6: u8 = 64;
/// Range of Service addresses, as the API server allocates them.
pub(crate) const SERVICE_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 16);
/// Range of the addresses that Services of type LoadBalancer get, and the node itself. They belong to the machine's loopback, where an ordinary user may
/// listen on them too; in pods they lead to the node like any other address that is not the pod's.
pub(crate) const BALANCER_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 96, 0, 0), 16);
/// Range of the Services' IPv6 addresses, as the API server allocates them.
pub(crate) const SERVICE_NETWORK_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0), 112);
/// Address of the Service `kubernetes`.
pub(crate) const KUBERNETES_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Address of the cluster DNS.
pub(crate) const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The API server's port on [`NODE_ADDRESS`].
pub(crate) const NODE_API_PORT: u16 = 6443;

/// The bridge in the node's namespace.
pub(crate) const BRIDGE: &str = "sagene0";
