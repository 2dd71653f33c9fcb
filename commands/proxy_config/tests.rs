//! The views on a small dump, in both spellings of field names.

use serde_json::{Value, json};

use super::dump::{Dump, camel_case};
use super::{cluster, endpoint, listener, route};

fn dump() -> Dump {
    Dump::new(json!({"configs": [
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
         "dynamic_active_clusters": [
            {"cluster": {"name": "outbound|9080|v1|reviews.default.svc.cluster.local", "type": "EDS", "metadata":
                {"filter_metadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"}}}}},
            {"cluster": {"name": "PassthroughCluster", "type": "ORIGINAL_DST"}}]},
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
         "dynamic_listeners": [{"active_state": {"listener": {
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
            "filter_chains": [{
                "filter_chain_match": {"destination_port": 9080, "transport_protocol": "tls",
                    "application_protocols": ["istio-http/1.0", "istio-http/1.1", "istio-h2"]},
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {"route_config":
                    {"virtual_hosts": [{"domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "inbound|9080||"}}]}]}}}]}]}}}]},
        {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
         "dynamicRouteConfigs": [{"routeConfig": {"name": "9080", "virtualHosts": [
            {"name": "reviews:9080", "domains": ["reviews.default.svc.cluster.local", "reviews.default.svc", "reviews", "reviews.default", "reviews:9080"],
             "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "x"}}]},
            {"name": "allow_any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}}]},
            {"name": "none", "domains": ["none"]}]}}]},
    ]}))
}

#[test]
fn clusters_are_taken_apart_and_name_their_destination_rule() {
    let clusters = cluster::select(&dump(), &cluster::ClusterFilter::default(), None);
    let table = cluster::table(&clusters).expect("clusters").render();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["PassthroughCluster", "-", "-", "-", "ORIGINAL_DST"]);
    assert_eq!(
        rows[2],
        ["reviews.default.svc.cluster.local", "9080", "v1", "outbound", "EDS", "reviews.default"]
    );
    assert!(cluster::select(&dump(), &cluster::ClusterFilter::default(), Some(1)).is_empty());
}

#[test]
fn listeners_show_what_a_chain_matches_and_where_it_leads() {
    let listeners = listener::select(&dump(), &listener::ListenerFilter::default(), Some(15006));
    let table = listener::table(&listeners, true).expect("listeners").render();
    assert!(
        table.contains("0.0.0.0   15006 Trans: tls; App: HTTP TLS; Addr: *:9080 Cluster: inbound|9080||"),
        "{table}"
    );
    assert!(listener::table(&[], true).is_err());
}

#[test]
fn routes_skip_passthrough_and_shorten_domains() {
    let table =
        route::table(&route::select(&dump(), &route::RouteFilter::default()), true).expect("routes").render();
    assert!(table.contains("reviews, reviews.default"), "{table}");
    assert!(!table.contains("allow_any") && table.contains("404"), "{table}");
}

#[test]
fn endpoints_tell_health_and_outlier_ejection() {
    let answer = json!({"cluster_statuses": [{"name": "outbound|80||a", "host_statuses": [
        {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}, "health_status": {"eds_health_status": "HEALTHY"}},
        {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 80}},
         "health_status": {"eds_health_status": "UNHEALTHY", "failed_outlier_check": true}}]}]});
    let filter =
        endpoint::EndpointFilter { status: "unhealthy".into(), ..endpoint::EndpointFilter::default() };
    let table = endpoint::table(&endpoint::select(&answer, &filter)).expect("endpoints").render();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["10.0.0.2:80", "UNHEALTHY", "FAILED", "outbound|80||a"]]);
}

#[test]
fn full_output_renames_fields_but_not_the_users_keys() {
    let value = json!({"connect_timeout": "1s", "metadata": {"filter_metadata": {"istio": {"default_original_port": 1}}},
        "typed_per_filter_config": {"envoy.filters.http.x_y": {"max_tokens": 1}}});
    let expected = json!({"connectTimeout": "1s", "metadata": {"filterMetadata": {"istio": {"default_original_port": 1}}},
        "typedPerFilterConfig": {"envoy.filters.http.x_y": {"maxTokens": 1}}});
    assert_eq!(camel_case(&value), expected);
    assert_eq!(camel_case(&Value::Null), Value::Null);
}
