//! Both ways, on messages that proxies meet.

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use serde_json::json;

use super::*;
use crate::envoy::bootstrap;

const FILE: &str = r#"
admin:
  address: { socketAddress: { address: 127.0.0.1, port_value: 9901 } }
static_resources:
  listeners:
  - name: in
    address: { socket_address: { address: 0.0.0.0, port_value: 8080 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          stream_idle_timeout: 1.5s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route: { cluster: app, timeout: 0s }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          - name: istio.stats
            typed_config: { "@type": type.googleapis.com/stats.PluginConfig, disable_host_header_fallback: true }
  clusters:
  - name: app
    type: STRICT_DNS
    connect_timeout: 0.25s
    lb_policy: LEAST_REQUEST
    metadata: { filter_metadata: { istio: { weight: 3, host: null, names: [a, true] } } }
    circuit_breakers: { thresholds: [ { max_connections: 5 } ] }
"#;

#[test]
fn a_bootstrap_file_comes_back_as_it_was_written() {
    let bootstrap = bootstrap::parse(FILE).unwrap();
    let value =
        to_json("envoy.config.bootstrap.v3.Bootstrap", &prost::Message::encode_to_vec(&bootstrap)).unwrap();
    assert_eq!(value["admin"]["address"]["socket_address"]["port_value"], 9901);
    let manager =
        &value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(manager["stream_idle_timeout"], "1.500s");
    assert_eq!(manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"], "0s");
    assert_eq!(manager["http_filters"][1]["typed_config"]["disable_host_header_fallback"], true);
    let cluster = &value["static_resources"]["clusters"][0];
    assert_eq!(cluster["type"], "STRICT_DNS");
    assert_eq!(cluster["connect_timeout"], "0.250s");
    assert_eq!(
        cluster["metadata"]["filter_metadata"]["istio"],
        json!({"weight": 3.0, "host": null, "names": ["a", true]})
    );
    assert_eq!(cluster["circuit_breakers"]["thresholds"][0]["max_connections"], 5);

    let again = from_json("envoy.config.bootstrap.v3.Bootstrap", &value).unwrap();
    assert_eq!(<Bootstrap as prost::Message>::decode(again.as_slice()).unwrap(), bootstrap);
}

#[test]
fn what_does_not_fit_is_named_by_its_path() {
    let error = |text: &str| {
        let error = bootstrap::parse(text).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let clusters = |body: &str| format!("static_resources: {{ clusters: [ {{ name: a, {body} }} ] }}");
    assert_eq!(
        error(&clusters("connect_timeout: 5")),
        "static_resources.clusters[0].connect_timeout: expected a duration such as \"1.5s\""
    );
    assert!(
        error(&clusters("lb_policy: FASTEST"))
            .starts_with("static_resources.clusters[0].lb_policy: expected one of ROUND_ROBIN,")
    );
    assert_eq!(
        error(&clusters("colour: red")),
        "static_resources.clusters[0].colour: envoy.config.cluster.v3.Cluster has no such field"
    );
    assert!(error(&clusters("type: EDS, cluster_type: { name: x }")).contains("only one of"));
    let unknown = "typed_extension_protocol_options: { x: { \"@type\": type.googleapis.com/made.Up } }";
    assert!(error(&clusters(unknown)).ends_with("made.Up is not a message known here"));
}

#[test]
fn a_message_of_an_unknown_type_is_shown_as_its_bytes() {
    let any = Any { type_url: "type.googleapis.com/made.Up".to_owned(), value: vec![1, 2, 3] };
    assert_eq!(any_to_json(&any), json!({"@type": "type.googleapis.com/made.Up", "value": "AQID"}));
}
