//! The tables and the difference on answers written by hand.

use serde_json::json;

use super::{Answer, detailed, difference, discovery_response, not_in_force, state, summary};

fn answer() -> Answer {
    let syncz = json!([
        {"proxy": "b.default", "proxy_type": "sidecar", "istio_version": "1.30.0", "cluster_id": "Kubernetes", "resources": {
            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": {"sent": "2", "acked": "1"},
            "type.googleapis.com/envoy.config.cluster.v3.Cluster": {"sent": "1", "acked": "1"},
            "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": {}}},
        {"proxy": "a.default", "cluster_sent": "n", "cluster_acked": "n"},
    ]);
    Answer {
        istiod: "istiod-x".into(),
        version: "v".into(),
        proxies: state::parse(&syncz.to_string()).expect("parses"),
        conditions: vec![
            json!({"kind": "VirtualService", "namespace": "shop", "name": "cart", "message": "spec.hosts: no"}),
        ],
    }
}

#[test]
fn what_is_not_in_force_is_told_once_however_many_control_planes_say_it() {
    let lines = not_in_force(&[answer(), answer()]);
    assert_eq!(
        lines,
        ["Not in force as written (sagene analyze says more):", "  VirtualService shop/cart: spec.hosts: no"]
    );
    assert!(not_in_force(&[]).is_empty());
    let refused = json!([{"proxy": "a.default", "resources": {
        "type.googleapis.com/envoy.config.listener.v3.Listener": {"sent": "2", "acked": "1", "lastError": "no Lua here"}}}]);
    let proxies = state::parse(&refused.to_string()).expect("parses");
    let lines = not_in_force(&[Answer { proxies, conditions: Vec::new(), ..answer() }]);
    assert_eq!(lines, ["Refused by proxies, which keep what they had:", "  a.default LDS: no Lua here"]);
}

#[test]
fn the_default_table_lists_types_in_the_usual_order() {
    let table = summary(&[answer()]);
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["a.default", "Kubernetes", "istiod-x", "1", "(CDS)"]);
    assert_eq!(rows[1], ["b.default", "Kubernetes", "istiod-x", "1.30.0", "2", "(CDS,RDS)"]);
}

#[test]
fn the_detailed_table_tells_synced_stale_and_not_sent() {
    let table = detailed(&[answer()]);
    let last = table.lines().last().expect("row");
    assert!(last.contains("SYNCED") && last.contains("NOT SENT") && last.contains("STALE"), "{table}");
    let document = discovery_response(&answer());
    assert_eq!(document["resources"][1]["genericXdsConfigs"][2]["configStatus"], "STALE");
}

#[test]
fn the_difference_compares_dynamic_resources_whatever_the_spelling() {
    let wanted = json!({"configs": [{"@type": "t/envoy.admin.v3.ClustersConfigDump",
        "dynamicActiveClusters": [{"cluster": {"name": "a", "connectTimeout": "10s"}}]}]});
    let same = json!({"configs": [{"@type": "t/envoy.admin.v3.ClustersConfigDump",
        "dynamic_active_clusters": [{"cluster": {"connect_timeout": "10s", "name": "a"}}],
        "static_clusters": [{"cluster": {"name": "static"}}]}]});
    let text = difference::render(&wanted.to_string(), &same.to_string()).expect("renders");
    assert!(text.starts_with("Clusters Match\n"), "{text}");
    let other = same.to_string().replace("10s", "5s");
    let text = difference::render(&wanted.to_string(), &other).expect("renders");
    assert!(text.contains("Clusters Don't Match\n--- Istiod Clusters\n+++ Envoy Clusters"), "{text}");
}
