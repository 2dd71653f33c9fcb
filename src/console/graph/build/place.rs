//! Where telemetry's peers and services stand in the graph: the identity of nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::elements::{DestinationService, Node, Wrapped};
use super::super::options::GraphType;
use super::sum::NodeSum;
use crate::telemetry::{EdgeKey, Peer};

/// The cluster every node belongs to while there is one.
const CLUSTER: &str = "Kubernetes";

/// All nodes met so far, by id.
#[derive(Default)]
pub(super) struct Places {
    nodes: BTreeMap<String, Node>,
    services: BTreeMap<String, BTreeSet<DestinationService>>,
}

impl Places {
    /// Id of the client's node.
    pub(super) fn source(&mut self, key: &EdgeKey, kind: GraphType) -> String {
        if key.source.is_unknown() {
            return self.unknown();
        }
        self.peer(&key.source, if kind == GraphType::Service { GraphType::Workload } else { kind })
    }

    /// Id of the node for traffic from outside the mesh.
    pub(super) fn unknown(&mut self) -> String {
        let node = Node {
            node_type: "unknown",
            namespace: "unknown".to_owned(),
            workload: "unknown".to_owned(),
            ..Node::default()
        };
        self.insert("unknown".to_owned(), node)
    }

    /// Id of a workload's node.
    pub(super) fn peer(&mut self, peer: &Peer, kind: GraphType) -> String {
        let Peer { namespace, workload, app, version } = peer;
        let (id, mut node) = match kind {
            GraphType::App => {
                (format!("app:{namespace}/{app}"), Node { node_type: "app", ..Node::default() })
            }
            GraphType::Workload | GraphType::Service => (
                format!("workload:{namespace}/{workload}"),
                Node {
                    node_type: "workload",
                    workload: workload.clone(),
                    version: version.clone(),
                    ..Node::default()
                },
            ),
            GraphType::VersionedApp => (
                format!("app:{namespace}/{app}/{version}"),
                Node {
                    node_type: "app",
                    workload: workload.clone(),
                    version: version.clone(),
                    ..Node::default()
                },
            ),
        };
        node.namespace = namespace.clone();
        node.app = app.clone();
        self.insert(id, node)
    }

    /// Id of a service's node.
    pub(super) fn service(&mut self, key: &EdgeKey) -> String {
        let (namespace, name) = (&key.service_namespace, &key.service_name);
        let node = Node {
            node_type: "service",
            namespace: namespace.clone(),
            service: name.clone(),
            app: name.clone(),
            is_out_of_mesh: key.service_host == "unknown",
            ..Node::default()
        };
        let id = self.insert(format!("service:{namespace}/{name}"), node);
        self.leads_to(key, &id);
        id
    }

    /// Notes that the edge's service leads to a node.
    pub(super) fn leads_to(&mut self, key: &EdgeKey, id: &str) {
        self.services.entry(id.to_owned()).or_default().insert(DestinationService {
            cluster: CLUSTER.to_owned(),
            namespace: key.service_namespace.clone(),
            name: key.service_name.clone(),
        });
    }

    fn insert(&mut self, id: String, node: Node) -> String {
        self.nodes.entry(id.clone()).or_insert(Node { id: id.clone(), cluster: CLUSTER.to_owned(), ..node });
        id
    }

    /// The nodes that have an edge, with their rates, and boxes round applications of several versions.
    pub(super) fn finish(
        mut self,
        sums: &BTreeMap<String, NodeSum>,
        seconds: f64,
        namespaces: &BTreeSet<String>,
    ) -> Vec<Wrapped<Node>> {
        self.nodes.retain(|id, _| sums.contains_key(id));
        for (id, node) in &mut self.nodes {
            if let Some(sum) = sums.get(id) {
                sum.describe(node, seconds);
            }
            node.is_outside = !namespaces.is_empty() && !namespaces.contains(&node.namespace);
            node.dest_services = self.services.remove(id).unwrap_or_default().into_iter().collect();
        }
        let boxes = self.app_boxes();
        let mut nodes: Vec<_> = self.nodes.into_values().chain(boxes).map(|data| Wrapped { data }).collect();
        super::boxes_first(&mut nodes);
        nodes
    }

    fn app_boxes(&mut self) -> Vec<Node> {
        let mut members: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for node in self.nodes.values().filter(|node| node.node_type == "app" && !node.version.is_empty()) {
            members.entry((node.namespace.clone(), node.app.clone())).or_default().push(node.id.clone());
        }
        let mut boxes = Vec::new();
        for ((namespace, app), ids) in members.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let id = format!("box:{namespace}/{app}");
            for member in &ids {
                if let Some(node) = self.nodes.get_mut(member) {
                    node.parent = Some(id.clone());
                }
            }
            boxes.push(Node {
                id,
                node_type: "box",
                is_box: Some("app"),
                cluster: CLUSTER.to_owned(),
                namespace,
                app,
                ..Node::default()
            });
        }
        boxes
    }
}
