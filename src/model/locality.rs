//! Where workloads are: region, zone and subzone, as labels of pods and nodes say, and how near two of them are.

use sagene_api::Object;
use sagene_api::kubernetes::{Node, Pod};

use crate::endpoint::Endpoint;
use crate::labels::Labels;
use crate::mesh::Mesh;
use crate::snapshot::Collection;

/// Label of a pod whose locality is not its node's; dots stand for slashes.
pub const LOCALITY_LABEL: &str = "istio-locality";
/// Label of a node: its region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Label of a node: its zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Label of a node: its subzone.
pub const SUBZONE_LABEL: &str = "topology.istio.io/subzone";
/// Label of a workload: its network.
pub const NETWORK_LABEL: &str = "topology.istio.io/network";
/// Label of a workload: its cluster.
pub const CLUSTER_LABEL: &str = "topology.istio.io/cluster";
/// Label of a node: its name.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// Region, zone and subzone; empty where unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality<'a> {
    /// Region.
    pub region: &'a str,
    /// Zone.
    pub zone: &'a str,
    /// Subzone.
    pub subzone: &'a str,
}

impl<'a> Locality<'a> {
    /// Reads `region/zone/subzone`; parts may be missing from the end.
    pub fn parse(text: &'a str) -> Self {
        let mut parts = text.splitn(3, '/');
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }

    /// Whether a rule for `pattern` is for this locality: `*` and missing parts stand for any.
    pub fn is_covered_by(self, pattern: &str) -> bool {
        let pattern = Locality::parse(pattern);
        let agrees = |wanted: &str, part: &str| wanted.is_empty() || wanted == "*" || wanted == part;
        (pattern.region == "*" || pattern.region == self.region)
            && agrees(pattern.zone, self.zone)
            && agrees(pattern.subzone, self.subzone)
    }

    /// 0 in the same subzone, 1 in the same zone, 2 in the same region, else 3.
    pub fn distance(self, other: Locality<'_>) -> u32 {
        if self.region != other.region {
            3
        } else if self.zone != other.zone {
            2
        } else {
            u32::from(self.subzone != other.subzone)
        }
    }
}

/// What nearness to a workload is judged by.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// `region/zone/subzone`, empty where unknown.
    pub locality: String,
    /// Labels that some order of preference (`failoverPriority`) asks for, those of its place among them.
    pub labels: Labels,
}

/// The locality of a pod: its own label's, else its node's.
pub fn of_pod(pod: &Object<Pod>, nodes: &Collection<Node>) -> String {
    match pod.metadata.labels.get(LOCALITY_LABEL) {
        Some(label) => of_label(label),
        None => of_node(&pod.spec.node_name, "", nodes),
    }
}

/// The locality that a value of [`LOCALITY_LABEL`] stands for.
pub fn of_label(label: &str) -> String {
    if label.contains('/') { label.to_owned() } else { label.replacen('.', "/", 2) }
}

/// The locality of a node by its labels, in `zone` where they name none.
pub fn of_node(name: &str, zone: &str, nodes: &Collection<Node>) -> String {
    let labels = nodes.get("", name).map(|node| &node.metadata.labels);
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map_or("", String::as_str);
    let zone = match label(ZONE_LABEL) {
        "" => zone,
        zone => zone,
    };
    match (label(REGION_LABEL), zone, label(SUBZONE_LABEL)) {
        ("", "", "") => String::new(),
        (region, "", "") => region.to_owned(),
        (region, zone, "") => format!("{region}/{zone}"),
        (region, zone, subzone) => format!("{region}/{zone}/{subzone}"),
    }
}

/// The value of a label of a workload, those of its place included, which go before labels it has of that name.
pub fn label<'a>(
    key: &str,
    labels: &'a Labels,
    locality: &'a str,
    node: &'a str,
    mesh: &'a Mesh,
) -> Option<&'a str> {
    let place = Locality::parse(locality);
    let placed = match key {
        REGION_LABEL => place.region,
        ZONE_LABEL => place.zone,
        SUBZONE_LABEL => place.subzone,
        HOSTNAME_LABEL => node,
        CLUSTER_LABEL => &mesh.cluster_id,
        _ => "",
    };
    if placed.is_empty() { labels.get(key).map(String::as_str) } else { Some(placed) }
}

/// As [`label`], of an endpoint.
pub fn label_of_endpoint<'a>(key: &str, endpoint: &'a Endpoint, mesh: &'a Mesh) -> Option<&'a str> {
    label(key, &endpoint.labels, &endpoint.locality, &endpoint.node, mesh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_cover_localities_and_distances_grow_outwards() {
        let here = Locality::parse("eu/a/rack1");
        for (pattern, covered) in [
            ("eu/a/rack1", true),
            ("eu/a/*", true),
            ("eu/*", true),
            ("eu", true),
            ("*", true),
            ("eu/b/*", false),
            ("us/*", false),
            ("eu/a/rack2", false),
        ] {
            assert_eq!(here.is_covered_by(pattern), covered, "{pattern}");
        }
        let distances = ["eu/a/rack1", "eu/a/rack2", "eu/b/rack1", "us/a/rack1"]
            .map(|other| here.distance(Locality::parse(other)));
        assert_eq!(distances, [0, 1, 2, 3]);
    }

    #[test]
    fn a_pods_label_goes_before_its_nodes() {
        let mut snapshot = crate::Snapshot::default();
        let mut node = Object::new("", "n1", Node::default());
        node.metadata.labels = [(REGION_LABEL, "eu"), (ZONE_LABEL, "a"), (SUBZONE_LABEL, "rack1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        snapshot.insert(std::sync::Arc::new(node));
        let mut pod = Object::new("shop", "web", Pod { node_name: "n1".to_owned(), ..Pod::default() });
        assert_eq!(of_pod(&pod, &snapshot.nodes), "eu/a/rack1");
        pod.metadata.labels.insert(LOCALITY_LABEL.to_owned(), "us.b".to_owned());
        assert_eq!(of_pod(&pod, &snapshot.nodes), "us/b");
        assert_eq!(of_node("gone", "c", &snapshot.nodes), "/c");
    }
}
