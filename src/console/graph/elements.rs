//! The JSON of a graph, field for field as Kiali's clients read it (`elements.nodes[].data`, `elements.edges[].data`).

use std::collections::BTreeMap;

use serde::Serialize;

/// A whole answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    /// Unix seconds.
    pub timestamp: u64,
    /// Seconds asked for.
    pub duration: u64,
    /// How many of them went by before the console looked; averages stand for them. No field of Kiali's.
    pub unwatched_seconds: u64,
    /// `app`, `service`, `versionedApp`, `workload`.
    pub graph_type: &'static str,
    /// Nodes and edges.
    pub elements: Elements,
}

/// Nodes and edges.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Elements {
    /// Nodes, boxes before what they hold.
    pub nodes: Vec<Wrapped<Node>>,
    /// Edges by source.
    pub edges: Vec<Wrapped<Edge>>,
}

/// Cytoscape's envelope.
#[derive(Debug, Clone, Serialize)]
pub struct Wrapped<T> {
    /// What is inside.
    pub data: T,
}

/// A node or a box.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Stable for the same thing across answers.
    pub id: String,
    /// The box that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `app`, `service`, `workload`, `serviceentry`, `unknown`, `box`.
    pub node_type: &'static str,
    /// For boxes: `app` or `namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_box: Option<&'static str>,
    /// Cluster id.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Workload name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// Application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Service name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Services that lead here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dest_services: Vec<DestinationService>,
    /// Rates per protocol.
    pub traffic: Vec<Traffic>,
    /// Verdict on inbound requests (outbound for pure sources).
    pub health: Option<crate::health::Health>,
    /// Traffic starts here.
    #[serde(skip_serializing_if = "is_false")]
    pub is_root: bool,
    /// No traffic in the window.
    #[serde(skip_serializing_if = "is_false")]
    pub is_idle: bool,
    /// Lives in a namespace that was not asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub is_outside: bool,
    /// Not in the mesh.
    #[serde(skip_serializing_if = "is_false")]
    pub is_out_of_mesh: bool,
    /// A pod of it runs without sidecar.
    #[serde(rename = "hasMissingSC", skip_serializing_if = "is_false")]
    pub has_missing_sidecar: bool,
    /// A DestinationRule gives it a circuit breaker.
    #[serde(rename = "hasCB", skip_serializing_if = "is_false")]
    pub has_circuit_breaker: bool,
    /// A VirtualService routes to it.
    #[serde(rename = "hasVS", skip_serializing_if = "Option::is_none")]
    pub has_virtual_service: Option<Hostnames>,
    /// Virtual service that shifts traffic by weight.
    #[serde(skip_serializing_if = "is_false")]
    pub has_traffic_shifting: bool,
    /// Virtual service that injects faults.
    #[serde(skip_serializing_if = "is_false")]
    pub has_fault_injection: bool,
    /// Virtual service with timeouts.
    #[serde(skip_serializing_if = "is_false")]
    pub has_request_timeout: bool,
    /// Virtual service that mirrors.
    #[serde(skip_serializing_if = "is_false")]
    pub has_mirroring: bool,
    /// Virtual service with any other route.
    #[serde(skip_serializing_if = "is_false")]
    pub has_request_routing: bool,
    /// A gateway workload.
    #[serde(skip_serializing_if = "is_false")]
    pub is_gateway: bool,
    /// A ServiceEntry.
    #[serde(rename = "isServiceEntry", skip_serializing_if = "is_false")]
    pub is_service_entry: bool,
}

/// Hosts that a virtual service names.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Hostnames {
    /// Host names.
    pub hostnames: Vec<String>,
}

/// A service by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DestinationService {
    /// Cluster id.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// An edge.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Stable for the same ends and protocol.
    pub id: String,
    /// Node id.
    pub source: String,
    /// Node id.
    pub target: String,
    /// Rates and responses.
    pub traffic: Traffic,
    /// Verdict on its requests.
    pub health: Option<crate::health::Health>,
    /// Percentage of traffic with mutual TLS, as text; absent where unknown or none.
    #[serde(rename = "isMTLS", skip_serializing_if = "Option::is_none")]
    pub mutual_tls: Option<String>,
    /// 95th percentile of duration, milliseconds, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_time: Option<String>,
    /// Durations in milliseconds by name (`avg`, `p50`, `p95`, `p99`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_times: BTreeMap<&'static str, f64>,
    /// Bytes per second of responses, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<String>,
    /// SPIFFE identity of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_principal: Option<String>,
    /// SPIFFE identity of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_principal: Option<String>,
}

/// Rates of one protocol.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// `http`, `grpc`, `tcp`; empty without traffic.
    pub protocol: String,
    /// Kiali's rate names (`http`, `http5xx`, `httpPercentErr`, `httpIn`, …) → text.
    pub rates: BTreeMap<String, String>,
    /// Response code → flags and hosts with their share in percent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub responses: BTreeMap<String, Response>,
}

/// What came with one response code.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Response {
    /// Response flags → percent of all requests of the edge.
    pub flags: BTreeMap<String, String>,
    /// Host → percent of all requests of the edge.
    pub hosts: BTreeMap<String, String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A rate as Kiali writes it: two digits, more where it would read 0.00.
pub fn rate_text(rate: f64) -> String {
    if rate > 0.0 && rate < 0.005 { format!("{rate:.4}") } else { format!("{rate:.2}") }
}

/// A percentage with one digit.
pub fn percent_text(percent: f64) -> String {
    format!("{percent:.1}")
}
