//! Compiled endpoint assignments: where a cluster's requests can go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cluster::{Discovery, text_fields};
use super::field::{FieldError, Within};
use super::proto::{self, cluster, core, endpoint};

/// A name to resolve.
#[derive(Debug, Clone)]
pub(crate) struct DnsTarget {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    pub(crate) locality: (String, String, String),
    pub(crate) locality_weight: u32,
    pub(crate) tls_mode: BTreeMap<String, String>,
}

/// The endpoints of a cluster.
#[derive(Debug, Default, PartialEq)]
pub struct Assignment {
    /// Every endpoint, in order of locality.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// One endpoint.
#[derive(Debug, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub address: SocketAddr,
    /// Where it is, too: its addresses of another family, tried where the first does not take the connection.
    pub also_at: Vec<SocketAddr>,
    /// Its share among its equals.
    pub weight: u32,
    /// Group: the lowest with healthy endpoints is used.
    pub priority: u32,
    /// Whether the control plane calls it fit for traffic.
    pub healthy: bool,
    /// Name for `auto_host_rewrite` and `/clusters`.
    pub hostname: String,
    /// Region, zone, subzone.
    pub locality: (String, String, String),
    /// Weight of its locality; 0 = not weighted by locality.
    pub locality_weight: u32,
    /// Labels under `envoy.transport_socket_match` (`tlsMode`).
    pub transport_labels: BTreeMap<String, String>,
    /// `name;namespace;canonical name;canonical revision;cluster` under `istio`/`workload`.
    pub workload: Option<Arc<str>>,
}

/// The endpoints that stand in a cluster itself, or the names it resolves.
pub(super) fn compile_inline(
    from: &cluster::Cluster,
    discovery: &Discovery,
) -> Result<(Option<Arc<Assignment>>, Vec<DnsTarget>), FieldError> {
    let Some(inline) = &from.load_assignment else { return Ok((None, Vec::new())) };
    if !matches!(discovery, Discovery::StrictDns | Discovery::LogicalDns) {
        return Ok((Some(Arc::new(Assignment::compile(inline).within("load_assignment")?)), Vec::new()));
    }
    let mut targets = Vec::new();
    for group in &inline.endpoints {
        for each in &group.lb_endpoints {
            let Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)) = &each.host_identifier else {
                continue;
            };
            let Some(core::address::Address::SocketAddress(socket)) =
                host.address.as_ref().and_then(|a| a.address.as_ref())
            else {
                return Err(FieldError::new(
                    "load_assignment",
                    "an endpoint without socket_address cannot be resolved",
                ));
            };
            targets.push(DnsTarget {
                host: socket.address.clone(),
                port: proto::port_of(socket).within("load_assignment")?,
                weight: proto::uint(each.load_balancing_weight.as_ref(), 1),
                priority: group.priority,
                locality: locality_of(group),
                locality_weight: proto::uint(group.load_balancing_weight.as_ref(), 0),
                tls_mode: transport_labels(each.metadata.as_ref()),
            });
        }
    }
    Ok((None, targets))
}

/// Region, zone and subzone of a group.
fn locality_of(group: &endpoint::LocalityLbEndpoints) -> (String, String, String) {
    let locality = group.locality.clone().unwrap_or_default();
    (locality.region, locality.zone, locality.sub_zone)
}

fn transport_labels(from: Option<&core::Metadata>) -> BTreeMap<String, String> {
    from.and_then(|m| m.filter_metadata.get("envoy.transport_socket_match"))
        .map(text_fields)
        .unwrap_or_default()
}

impl Assignment {
    pub(crate) fn compile(from: &endpoint::ClusterLoadAssignment) -> Result<Self, FieldError> {
        let mut endpoints = Vec::new();
        for (group_index, group) in from.endpoints.iter().enumerate() {
            let locality = locality_of(group);
            for (index, each) in group.lb_endpoints.iter().enumerate() {
                let at =
                    |e: FieldError| e.within(format_args!("endpoints[{group_index}].lb_endpoints[{index}]"));
                let Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)) = &each.host_identifier
                else {
                    return Err(at(FieldError::new(
                        "endpoint",
                        "is missing; named endpoints are not supported",
                    )));
                };
                let address = host
                    .address
                    .as_ref()
                    .ok_or_else(|| at(FieldError::new("endpoint.address", "is missing")))?;
                endpoints.push(Arc::new(Endpoint {
                    address: proto::socket_address(address).map_err(|e| at(e.within("endpoint.address")))?,
                    also_at: also_at(host).map_err(at)?,
                    weight: proto::uint(each.load_balancing_weight.as_ref(), 1).max(1),
                    priority: group.priority,
                    healthy: matches!(
                        each.health_status(),
                        core::HealthStatus::Unknown
                            | core::HealthStatus::Healthy
                            | core::HealthStatus::Degraded
                    ),
                    hostname: host.hostname.clone(),
                    locality: locality.clone(),
                    locality_weight: proto::uint(group.load_balancing_weight.as_ref(), 0),
                    transport_labels: transport_labels(each.metadata.as_ref()),
                    workload: proto::metadata_text(each.metadata.as_ref(), "istio", "workload")
                        .map(Arc::from),
                }));
            }
        }
        Ok(Self { endpoints })
    }
}

fn also_at(host: &endpoint::Endpoint) -> Result<Vec<SocketAddr>, FieldError> {
    let further = host.additional_addresses.iter().enumerate();
    further
        .map(|(index, further)| {
            let address = further.address.as_ref().ok_or_else(|| FieldError::new("address", "is missing"));
            address.and_then(proto::socket_address).within_item("endpoint.additional_addresses", index)
        })
        .collect()
}
