//! Route configurations: which request goes where.

mod action;
mod claims;
mod cors;
pub(crate) mod destination;
mod fault;
mod headers;
pub(crate) mod inbound;
mod matching;
mod retry;
mod router;
mod sidecar;
mod virtual_host;

use super::proto::{boolean, route, uint};

pub(crate) use router::{of_router, shared_hosts};
pub(crate) use sidecar::{allows_any, egress_proxy, of_sidecar};

/// Largest body of a direct response, in bytes.
const MAX_DIRECT_RESPONSE_BODY: u32 = 1 << 20;

/// A route configuration with the settings all have; virtual hosts are put in order.
fn configuration(name: &str, mut virtual_hosts: Vec<route::VirtualHost>) -> route::RouteConfiguration {
    virtual_hosts.sort_by(|left, right| left.name.cmp(&right.name));
    route::RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        validate_clusters: boolean(false),
        max_direct_response_body_size_bytes: uint(MAX_DIRECT_RESPONSE_BODY),
        ignore_port_in_host_matching: true,
        ..route::RouteConfiguration::default()
    }
}
