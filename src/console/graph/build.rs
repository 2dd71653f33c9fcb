//! Telemetry in, nodes and edges out.
//!
//! Both ends of a request report it. The server's word is taken where there is one (it knows about mutual TLS); the client's where the
//! request never arrived or left the mesh.

mod place;
mod sum;

use std::collections::{BTreeMap, BTreeSet};

use self::place::Places;
use self::sum::{EdgeSum, NodeSum};
use super::elements::{Edge, Elements, Graph, Node, Wrapped};
use super::options::{GraphOptions, GraphType};
use crate::telemetry::{EdgeDelta, EdgeKey, Peer, Reporter, Window};

/// Folds a window into a graph. `timestamp` is in Unix seconds.
pub fn build(window: &Window, options: &GraphOptions, timestamp: u64) -> Graph {
    let mut builder =
        Builder { options, seconds: window.seconds, places: Places::default(), edges: BTreeMap::new() };
    for (key, delta) in reported_once(window) {
        if builder.concerns(key) && (options.include_idle_edges || has_traffic(&delta)) {
            builder.add(key, &delta);
        }
    }
    Graph {
        timestamp,
        duration: options.duration.as_secs(),
        unwatched_seconds: window.unwatched_seconds.round() as u64,
        graph_type: options.graph_type.name(),
        elements: builder.finish(),
    }
}

/// What happened between two peers by one service, from one reporter only.
pub fn reported_once(window: &Window) -> Vec<(&EdgeKey, EdgeDelta)> {
    type Ends<'a> = ((&'a str, &'a str), &'a str, (&'a str, &'a str), &'a str);
    fn of(peer: &Peer) -> (&str, &str) {
        (&peer.namespace, &peer.workload)
    }
    let mut groups: BTreeMap<Ends<'_>, [Option<(&EdgeKey, EdgeDelta)>; 2]> = BTreeMap::new();
    for (key, reporter, delta) in &window.edges {
        let ends = (of(&key.source), key.service_host.as_str(), of(&key.destination), key.protocol.as_str());
        let side = usize::from(*reporter == Reporter::Source);
        match &mut groups.entry(ends).or_default()[side] {
            Some((kept, sum)) => {
                sum.merge(delta);
                if kept.source_principal == "unknown" {
                    *kept = key;
                }
            }
            empty => *empty = Some((key, delta.clone())),
        }
    }
    groups.into_values().filter_map(|[destination, source]| pick(destination, source)).collect()
}

fn pick<'a>(
    destination: Option<(&'a EdgeKey, EdgeDelta)>,
    source: Option<(&'a EdgeKey, EdgeDelta)>,
) -> Option<(&'a EdgeKey, EdgeDelta)> {
    match (destination, source) {
        (Some(server), Some(client)) if !has_traffic(&server.1) && has_traffic(&client.1) => Some(client),
        (Some(server), _) => Some(server),
        (None, client) => client,
    }
}

/// True where anything happened.
pub fn has_traffic(delta: &EdgeDelta) -> bool {
    delta.total_requests() > 0.0 || delta.tcp_sent + delta.tcp_received + delta.tcp_opened > 0.0
}

struct Builder<'a> {
    options: &'a GraphOptions,
    seconds: f64,
    places: Places,
    edges: BTreeMap<(String, String, String), EdgeSum>,
}

impl Builder<'_> {
    fn concerns(&self, key: &EdgeKey) -> bool {
        let wanted = |namespace: &String| self.options.namespaces.contains(namespace);
        self.options.namespaces.is_empty()
            || wanted(&key.source.namespace)
            || wanted(&key.destination.namespace)
            || wanted(&key.service_namespace)
    }

    fn add(&mut self, key: &EdgeKey, delta: &EdgeDelta) {
        let kind = self.options.graph_type;
        let source = self.places.source(key, kind);
        let service =
            (!key.service_name.is_empty() && key.service_name != "unknown").then(|| self.places.service(key));
        let destination = (kind != GraphType::Service && !key.destination.is_unknown())
            .then(|| self.places.peer(&key.destination, kind));
        let inject = self.options.inject_service_nodes || kind == GraphType::Service;
        match (service, destination) {
            (Some(service), Some(destination)) if inject => {
                self.connect(source, &service, key, delta);
                self.connect(service, &destination, key, delta);
                self.places.leads_to(key, &destination);
            }
            (_, Some(destination)) => {
                self.connect(source, &destination, key, delta);
                self.places.leads_to(key, &destination);
            }
            (Some(service), None) => self.connect(source, &service, key, delta),
            (None, None) => {
                let unknown = self.places.unknown();
                self.connect(source, &unknown, key, delta);
            }
        }
    }

    fn connect(&mut self, source: String, target: &str, key: &EdgeKey, delta: &EdgeDelta) {
        let protocol = if has_traffic(delta) { key.protocol.clone() } else { String::new() };
        self.edges.entry((source, target.to_owned(), protocol)).or_default().add(key, delta);
    }

    fn finish(mut self) -> Elements {
        self.drop_shadowed_idle_edges();
        let mut nodes: BTreeMap<String, NodeSum> = BTreeMap::new();
        let mut sent: BTreeMap<(String, String), f64> = BTreeMap::new();
        for ((source, target, protocol), sum) in &self.edges {
            nodes.entry(source.clone()).or_default().sends(protocol, sum);
            nodes.entry(target.clone()).or_default().receives(protocol, sum);
            *sent.entry((source.clone(), protocol.clone())).or_default() += sum.amount();
        }
        let edges = self.edges.iter().map(|((source, target, protocol), sum)| {
            let total = sent.get(&(source.clone(), protocol.clone())).copied().unwrap_or_default();
            let mut edge = Edge { source: source.clone(), target: target.clone(), ..Edge::default() };
            edge.id = format!("{source}>{target}>{protocol}");
            sum.describe(&mut edge, protocol, self.seconds, total);
            Wrapped { data: edge }
        });
        let edges = edges.collect();
        Elements { nodes: self.places.finish(&nodes, self.seconds, &self.options.namespaces), edges }
    }

    /// An edge known from before, without traffic now, says nothing beside a live one of another protocol.
    fn drop_shadowed_idle_edges(&mut self) {
        let live: BTreeSet<(String, String)> = self
            .edges
            .keys()
            .filter(|(_, _, protocol)| !protocol.is_empty())
            .map(|(source, target, _)| (source.clone(), target.clone()))
            .collect();
        self.edges.retain(|(source, target, protocol), _| {
            !protocol.is_empty() || !live.contains(&(source.clone(), target.clone()))
        });
    }
}

/// The boxes' order: a box stands before what it holds.
fn boxes_first(nodes: &mut [Wrapped<Node>]) {
    nodes.sort_by(|left, right| {
        let rank = |node: &Node| (node.is_box.is_none(), node.id.clone());
        rank(&left.data).cmp(&rank(&right.data))
    });
}

#[cfg(test)]
mod tests;
