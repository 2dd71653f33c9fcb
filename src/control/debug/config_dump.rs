//! What one proxy is sent, in the shape of Envoy's own `config_dump`, generated anew from the index; private keys are left out.

use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::{
    envoy::admin::v3::{
        ClustersConfigDump, EcdsConfigDump, EndpointsConfigDump, ListenersConfigDump, RoutesConfigDump,
        clusters_config_dump::DynamicCluster,
        endpoints_config_dump::DynamicEndpointConfig,
        listeners_config_dump::{DynamicListener, DynamicListenerState},
        routes_config_dump::DynamicRouteConfig,
    },
    google::protobuf::Any,
};
use prost::Message as _;
use sagene_api::envoy::json::any_to_json;
use sagene_xds::{
    Resource, ResourceSet,
    server::{Connection, Handler as _},
    session::Requested,
    type_url,
};
use serde_json::{Value, json};

use super::Question;
use crate::discovery::{Discovery, Peer};

const PREFIX: &str = "type.googleapis.com/envoy.admin.v3.";

/// An encoded `Any`.
pub(super) fn any(type_url: &str, value: Vec<u8>) -> Bytes {
    Bytes::from(Any { type_url: type_url.to_owned(), value }.encode_to_vec())
}

/// One proxy's view as JSON.
pub(super) fn view(
    discovery: &Discovery,
    connection: &Arc<Connection<Peer>>,
    name: &str,
    question: &Question,
) -> Value {
    match name {
        "edsz" => list(discovery, connection, type_url::ENDPOINT),
        "ndsz" => list(discovery, connection, type_url::NAME_TABLE),
        "ecdsz" => list(discovery, connection, type_url::EXTENSION_CONFIG),
        _ => {
            let endpoints = question.parameter("include_eds").is_some();
            let configs: Vec<Value> = sections(discovery, connection)
                .iter()
                .filter_map(|bytes| Any::decode(bytes.clone()).ok())
                .filter(|section| endpoints || !section.type_url.ends_with("EndpointsConfigDump"))
                .map(|section| any_to_json(&section))
                .collect();
            json!({"configs": configs})
        }
    }
}

fn list(discovery: &Discovery, connection: &Connection<Peer>, type_url: &str) -> Value {
    let resources = of_type(discovery, connection, type_url);
    resources.resources.iter().filter_map(|resource| decode(resource)).map(|any| any_to_json(&any)).collect()
}

fn decode(resource: &Resource) -> Option<Any> {
    Any::decode(resource.any.clone()).ok()
}

/// What the connection watches of a type, as it is now.
fn of_type(discovery: &Discovery, connection: &Connection<Peer>, type_url: &str) -> Arc<ResourceSet> {
    let Some(status) = connection.types().remove(type_url) else { return Arc::default() };
    let requested =
        if status.watch.wildcard { Requested::All } else { Requested::Names(&status.watch.names) };
    discovery.fetch(&connection.peer, type_url, requested)
}

/// The sections of the dump, each an encoded `Any`.
pub(super) fn sections(discovery: &Discovery, connection: &Arc<Connection<Peer>>) -> Vec<Bytes> {
    let of = |type_url| of_type(discovery, connection, type_url);
    let version = |resource: &Resource| format!("{:x}", resource.version);
    let clusters = ClustersConfigDump {
        dynamic_active_clusters: of(type_url::CLUSTER)
            .resources
            .iter()
            .map(|resource| DynamicCluster {
                version_info: version(resource),
                cluster: decode(resource),
                ..DynamicCluster::default()
            })
            .collect(),
        ..ClustersConfigDump::default()
    };
    let listeners = ListenersConfigDump {
        dynamic_listeners: of(type_url::LISTENER)
            .resources
            .iter()
            .map(|resource| DynamicListener {
                name: resource.name.to_string(),
                active_state: Some(DynamicListenerState {
                    version_info: version(resource),
                    listener: decode(resource),
                    ..DynamicListenerState::default()
                }),
                ..DynamicListener::default()
            })
            .collect(),
        ..ListenersConfigDump::default()
    };
    let routes = RoutesConfigDump {
        dynamic_route_configs: of(type_url::ROUTE)
            .resources
            .iter()
            .map(|resource| DynamicRouteConfig {
                version_info: version(resource),
                route_config: decode(resource),
                ..DynamicRouteConfig::default()
            })
            .collect(),
        ..RoutesConfigDump::default()
    };
    let endpoints = EndpointsConfigDump {
        dynamic_endpoint_configs: of(type_url::ENDPOINT)
            .resources
            .iter()
            .map(|resource| DynamicEndpointConfig {
                version_info: version(resource),
                endpoint_config: decode(resource),
                ..DynamicEndpointConfig::default()
            })
            .collect(),
        ..EndpointsConfigDump::default()
    };
    vec![
        any(&format!("{PREFIX}ClustersConfigDump"), clusters.encode_to_vec()),
        any(&format!("{PREFIX}ListenersConfigDump"), listeners.encode_to_vec()),
        any(&format!("{PREFIX}RoutesConfigDump"), routes.encode_to_vec()),
        any(&format!("{PREFIX}EndpointsConfigDump"), endpoints.encode_to_vec()),
        any(&format!("{PREFIX}EcdsConfigDump"), EcdsConfigDump::default().encode_to_vec()),
    ]
}
