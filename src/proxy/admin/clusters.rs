//! `/clusters`: every cluster with its endpoints, their health and their counters.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HealthStatus, Locality};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint};
use prost::Message;
use serde_json::{Value, json};

use super::AdminServer;
use crate::config::{Origin, RawResource, type_url};
use crate::stats::EndpointStats;

const EDS: i32 = DiscoveryType::Eds as i32;
const STATIC: i32 = DiscoveryType::Static as i32;

/// A cluster with everything that is known of its endpoints.
struct View {
    cluster: Cluster,
    dynamic: bool,
    hosts: Vec<Host>,
}

/// One endpoint.
struct Host {
    /// `10.1.2.3:9080`, or a path.
    address: String,
    socket: Option<(String, u32)>,
    hostname: String,
    health: HealthStatus,
    weight: u32,
    priority: u32,
    locality: Locality,
    stats: Option<EndpointStats>,
}

fn views(admin: &AdminServer) -> Vec<View> {
    let proxy = &admin.proxy;
    let store = proxy.config();
    let assignments: BTreeMap<String, ClusterLoadAssignment> = store
        .resources(type_url::ENDPOINT)
        .iter()
        .filter_map(|raw| Some((raw.name.clone(), decode(raw)?)))
        .collect();
    admin
        .resources(type_url::CLUSTER)
        .iter()
        .filter_map(|raw| {
            let cluster: Cluster = decode(raw)?;
            let eds_name = eds_name(&cluster);
            let assignment = cluster.load_assignment.as_ref().or_else(|| assignments.get(&eds_name));
            let stats = proxy.stats().endpoints(&cluster.name);
            let hosts = hosts(assignment, stats, finds_endpoints(&cluster));
            Some(View { dynamic: raw.origin == Origin::Dynamic, cluster, hosts })
        })
        .collect()
}

fn decode<M: Message + Default>(raw: &RawResource) -> Option<M> {
    M::decode(raw.resource.as_ref()?.value.as_slice()).ok()
}

fn eds_name(cluster: &Cluster) -> String {
    let configured =
        cluster.eds_cluster_config.as_ref().map(|config| config.service_name.as_str()).unwrap_or_default();
    if configured.is_empty() { cluster.name.clone() } else { configured.to_owned() }
}

/// Whether a cluster has endpoints that no configuration names (DNS, original destination). The counters of the others are kept for a while
/// after their endpoints are gone, which nobody should be told of.
fn finds_endpoints(cluster: &Cluster) -> bool {
    !matches!(cluster.cluster_discovery_type, None | Some(ClusterDiscoveryType::Type(EDS | STATIC)))
}

/// Configured endpoints with their counters, then those that only traffic `found`.
fn hosts(assignment: Option<&ClusterLoadAssignment>, stats: Vec<EndpointStats>, found: bool) -> Vec<Host> {
    let mut by_address: BTreeMap<SocketAddr, EndpointStats> =
        stats.into_iter().map(|stats| (stats.address, stats)).collect();
    let mut hosts = Vec::new();
    for group in assignment.map(|assignment| assignment.endpoints.as_slice()).unwrap_or_default() {
        for endpoint in &group.lb_endpoints {
            let Some(mut host) =
                configured(endpoint, group.priority, group.locality.clone().unwrap_or_default())
            else {
                continue;
            };
            host.stats = host.address.parse().ok().and_then(|address| by_address.remove(&address));
            hosts.push(host);
        }
    }
    if !found {
        return hosts;
    }
    // A name stands for itself only as long as none of its addresses is known.
    let is_name = |host: &mut Host| host.socket.is_some() && host.address.parse::<SocketAddr>().is_err();
    let names: Vec<Host> =
        if by_address.is_empty() { Vec::new() } else { hosts.extract_if(.., is_name).collect() };
    hosts.extend(by_address.into_values().map(|stats| found_by_traffic(stats, &names)));
    hosts
}

/// An endpoint that only traffic found: at its address, and as the name it was found by where there is but one.
fn found_by_traffic(stats: EndpointStats, names: &[Host]) -> Host {
    let name = if let [only] = names { Some(only) } else { None };
    Host {
        address: stats.address.to_string(),
        socket: Some((stats.address.ip().to_string(), u32::from(stats.address.port()))),
        hostname: name.map(host_of).unwrap_or_default(),
        health: HealthStatus::Healthy,
        weight: name.map_or(1, |name| name.weight),
        priority: name.map_or(0, |name| name.priority),
        locality: name.map(|name| name.locality.clone()).unwrap_or_default(),
        stats: Some(stats),
    }
}

/// What is written as the host of an endpoint, without its port.
fn host_of(host: &Host) -> String {
    host.socket.as_ref().map(|(name, _)| name.clone()).unwrap_or_default()
}

fn configured(endpoint: &LbEndpoint, priority: u32, locality: Locality) -> Option<Host> {
    let Some(HostIdentifier::Endpoint(inner)) = &endpoint.host_identifier else {
        return None;
    };
    let (address, socket) = describe(inner.address.as_ref()?)?;
    Some(Host {
        address,
        socket,
        hostname: inner.hostname.clone(),
        health: match HealthStatus::try_from(endpoint.health_status) {
            Ok(HealthStatus::Unknown) | Err(_) => HealthStatus::Healthy,
            Ok(health) => health,
        },
        weight: endpoint.load_balancing_weight.map_or(1, |weight| weight.value),
        priority,
        locality,
        stats: None,
    })
}

fn describe(address: &Address) -> Option<(String, Option<(String, u32)>)> {
    match address.address.as_ref()? {
        AddressKind::SocketAddress(socket) => {
            let port = match socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => port,
                _ => 0,
            };
            let text = if socket.address.contains(':') {
                format!("[{}]:{port}", socket.address)
            } else {
                format!("{}:{port}", socket.address)
            };
            Some((text, Some((socket.address.clone(), port))))
        }
        AddressKind::Pipe(pipe) => Some((pipe.path.clone(), None)),
        AddressKind::EnvoyInternalAddress(internal) => {
            use envoy_types::pb::envoy::config::core::v3::envoy_internal_address::AddressNameSpecifier::ServerListenerName;
            let Some(ServerListenerName(name)) = &internal.address_name_specifier else {
                return None;
            };
            Some((format!("envoy://{name}/{}", internal.endpoint_id), None))
        }
    }
}

/// Counters and gauges of an endpoint under Envoy's names.
fn metrics(stats: &EndpointStats) -> [(&'static str, u64, bool); 8] {
    [
        ("cx_active", stats.cx_active, true),
        ("cx_connect_fail", stats.cx_connect_fail, false),
        ("cx_total", stats.cx_total, false),
        ("rq_active", stats.rq_active, true),
        ("rq_error", stats.rq_error, false),
        ("rq_success", stats.rq_success, false),
        ("rq_timeout", stats.rq_timeout, false),
        ("rq_total", stats.rq_total, false),
    ]
}

const NO_STATS: EndpointStats = EndpointStats {
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
    cx_active: 0,
    cx_connect_fail: 0,
    cx_total: 0,
    rq_active: 0,
    rq_error: 0,
    rq_success: 0,
    rq_timeout: 0,
    rq_total: 0,
    ejected: false,
};

/// Envoy's lines `cluster::address::name::value`.
pub(super) fn as_text(admin: &AdminServer) -> String {
    let mut text = String::new();
    for view in views(admin) {
        let name = &view.cluster.name;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}::observability_name::{}", observability_name(&view.cluster));
        for (priority, thresholds) in thresholds(&view.cluster) {
            for (limit, value) in thresholds {
                let _ = writeln!(text, "{name}::{priority}::{limit}::{value}");
            }
        }
        let _ = writeln!(text, "{name}::added_via_api::{}", view.dynamic);
        if view.cluster.eds_cluster_config.is_some() {
            let _ = writeln!(text, "{name}::eds_service_name::{}", eds_name(&view.cluster));
        }
        for host in &view.hosts {
            text_of_host(&mut text, name, host);
        }
    }
    text
}

fn text_of_host(text: &mut String, cluster: &str, host: &Host) {
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{cluster}::{}::{name}::{value}", host.address);
    };
    for (name, value, _) in metrics(host.stats.as_ref().unwrap_or(&NO_STATS)) {
        line(name, &value);
    }
    line("hostname", &host.hostname);
    let ejected = host.stats.as_ref().is_some_and(|stats| stats.ejected);
    let health = match (ejected, host.health) {
        (false, HealthStatus::Healthy) => "healthy",
        (true, HealthStatus::Healthy) => "/failed_outlier_check",
        (false, HealthStatus::Degraded) => "/degraded_eds_health",
        (true, HealthStatus::Degraded) => "/failed_outlier_check/degraded_eds_health",
        (false, _) => "/failed_eds_health",
        (true, _) => "/failed_outlier_check/failed_eds_health",
    };
    line("health_flags", &health);
    line("weight", &host.weight);
    line("region", &host.locality.region);
    line("zone", &host.locality.zone);
    line("sub_zone", &host.locality.sub_zone);
    line("canary", &false);
    line("priority", &host.priority);
    line("success_rate", &"-1");
    line("local_origin_success_rate", &"-1");
}

fn observability_name(cluster: &Cluster) -> &str {
    if cluster.alt_stat_name.is_empty() { &cluster.name } else { &cluster.alt_stat_name }
}

/// Circuit-breaker limits by priority; Envoy's defaults where none are set.
fn thresholds(cluster: &Cluster) -> [(&'static str, [(&'static str, u32); 4]); 2] {
    let of = |priority: i32| {
        let set = cluster.circuit_breakers.as_ref().and_then(|breakers| {
            breakers.thresholds.iter().find(|thresholds| thresholds.priority == priority)
        });
        let value = |field: Option<u32>, default| field.unwrap_or(default);
        [
            ("max_connections", value(set.and_then(|set| Some(set.max_connections?.value)), 1024)),
            ("max_pending_requests", value(set.and_then(|set| Some(set.max_pending_requests?.value)), 1024)),
            ("max_requests", value(set.and_then(|set| Some(set.max_requests?.value)), 1024)),
            ("max_retries", value(set.and_then(|set| Some(set.max_retries?.value)), 3)),
        ]
    };
    [("default_priority", of(0)), ("high_priority", of(1))]
}

/// `envoy.admin.v3.Clusters`.
pub(super) fn as_json(admin: &AdminServer) -> Value {
    let statuses: Vec<Value> = views(admin)
        .into_iter()
        .map(|view| {
            let breakers: Vec<Value> = thresholds(&view.cluster)
                .into_iter()
                .map(|(priority, limits)| {
                    let mut map: serde_json::Map<String, Value> =
                        limits.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
                    if priority == "high_priority" {
                        map.insert("priority".to_owned(), json!("HIGH"));
                    }
                    Value::Object(map)
                })
                .collect();
            let mut status = json!({
                "name": view.cluster.name,
                "observability_name": observability_name(&view.cluster),
                "circuit_breakers": { "thresholds": breakers },
                "host_statuses": view.hosts.iter().map(json_of_host).collect::<Vec<_>>(),
            });
            if view.dynamic {
                status["added_via_api"] = json!(true);
            }
            if view.cluster.eds_cluster_config.is_some() {
                status["eds_service_name"] = json!(eds_name(&view.cluster));
            }
            status
        })
        .collect();
    json!({ "cluster_statuses": statuses })
}

fn json_of_host(host: &Host) -> Value {
    let address = match &host.socket {
        Some((address, port)) => json!({"socket_address": {"address": address, "port_value": port}}),
        None => json!({"pipe": {"path": host.address}}),
    };
    let stats: Vec<Value> = metrics(host.stats.as_ref().unwrap_or(&NO_STATS))
        .into_iter()
        .map(|(name, value, gauge)| {
            let mut metric = json!({"name": name, "value": value.to_string()});
            if gauge {
                metric["type"] = json!("GAUGE");
            }
            metric
        })
        .collect();
    let mut status = json!({
        "address": address,
        "stats": stats,
        "health_status": {"eds_health_status": host.health.as_str_name()},
        "weight": host.weight,
        "locality": {"region": host.locality.region, "zone": host.locality.zone, "sub_zone": host.locality.sub_zone},
    });
    if host.stats.as_ref().is_some_and(|stats| stats.ejected) {
        status["health_status"]["failed_outlier_check"] = json!(true);
    }
    if !host.hostname.is_empty() {
        status["hostname"] = json!(host.hostname);
    }
    if host.priority > 0 {
        status["priority"] = json!(host.priority);
    }
    status
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::SocketAddress;
    use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LocalityLbEndpoints};

    use super::*;

    #[test]
    fn a_name_is_told_as_the_addresses_that_it_was_found_at() {
        let socket = SocketAddress {
            address: "news.example.com".to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(443)),
            ..SocketAddress::default()
        };
        let address = Address { address: Some(AddressKind::SocketAddress(socket)) };
        let endpoint = Endpoint { address: Some(address), ..Endpoint::default() };
        let endpoint =
            LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() };
        let group = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..LocalityLbEndpoints::default() };
        let assignment = ClusterLoadAssignment { endpoints: vec![group], ..ClusterLoadAssignment::default() };
        let told = |kind: DiscoveryType, stats: Vec<EndpointStats>| -> Vec<(String, String)> {
            let cluster = Cluster {
                cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind as i32)),
                ..Cluster::default()
            };
            let told = hosts(Some(&assignment), stats, finds_endpoints(&cluster));
            told.into_iter().map(|host| (host.address, host.hostname)).collect()
        };
        let pair = |address: &str, name: &str| (address.to_owned(), name.to_owned());
        assert_eq!(told(DiscoveryType::StrictDns, Vec::new()), [pair("news.example.com:443", "")]);
        let found = EndpointStats { address: "192.0.2.1:443".parse().unwrap(), ..NO_STATS };
        let counted = || vec![found];
        assert_eq!(told(DiscoveryType::StrictDns, counted()), [pair("192.0.2.1:443", "news.example.com")]);
        // What endpoint discovery does not name any more is gone, though its counters are kept for a while.
        assert_eq!(told(DiscoveryType::Eds, counted()), [pair("news.example.com:443", "")]);
    }
}
