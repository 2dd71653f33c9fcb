//! Views of the control plane itself: who is connected, what is in the store, what was pushed.

use std::sync::Arc;

use sagene_model::{Snapshot, snapshot::Collection};
use sagene_xds::server::Connection;
use serde_json::{Value, json};

use super::syncz::display_id;
use crate::discovery::{Discovery, Peer};

/// Every view, sorted; `list` itself is not among them.
pub(super) const VIEWS: [&str; 20] = [
    "adsz",
    "authorizationz",
    "clusterz",
    "config_dump",
    "configz",
    "connections",
    "ecdsz",
    "edsz",
    "endpointShardz",
    "endpointz",
    "inject",
    "instancesz",
    "mesh",
    "ndsz",
    "push_status",
    "registryz",
    "resourcesz",
    "sidecarz",
    "syncz",
    "telemetryz",
];

/// The connection of a proxy, by `pod.namespace`, node id or connection id; the newest if there are several.
pub(super) fn find(discovery: &Discovery, id: &str) -> Option<Arc<Connection<Peer>>> {
    let named = |connection: &Arc<Connection<Peer>>| {
        let proxy = connection.peer.proxy.as_ref();
        connection.id == id || connection.node.id == id || proxy.is_some_and(|proxy| display_id(proxy) == id)
    };
    discovery.connections.all().into_iter().filter(named).max_by_key(|connection| connection.connected_at)
}

/// A view by name; `None` where there is none of that name.
pub(super) fn view(discovery: &Discovery, name: &str) -> Option<Value> {
    let snapshot = discovery.store.snapshot();
    Some(match name {
        "list" => json!(VIEWS),
        "adsz" | "connections" => connections(discovery),
        "clusterz" => json!([{
            "id": discovery.options.cluster_id, "secretName": "", "syncStatus":
                if discovery.is_synced() { "synced" } else { "syncing" },
        }]),
        "configz" => configs(&snapshot),
        "authorizationz" => json!({
            "namespaces": objects(&snapshot.authorization_policies),
        }),
        "registryz" => objects(&snapshot.services),
        "endpointz" | "endpointShardz" => objects(&snapshot.endpoint_slices),
        "instancesz" => objects(&snapshot.pods),
        "mesh" => serde_json::to_value(&**discovery.mesh_config.load()).unwrap_or_default(),
        "resourcesz" => json!(sagene_xds::type_url::PUSH_ORDER),
        "sidecarz" => objects(&snapshot.sidecars),
        "telemetryz" => objects(&snapshot.telemetries),
        "inject" => inject(discovery, &snapshot),
        "push_status" => push_status(discovery),
        _ => return None,
    })
}

fn connections(discovery: &Discovery) -> Value {
    let clients: Vec<Value> = discovery
        .connections
        .all()
        .iter()
        .map(|connection| {
            let watches: serde_json::Map<String, Value> = connection
                .types()
                .into_iter()
                .map(|(type_url, status)| {
                    let names: Vec<&str> = status.watch.names.iter().map(|name| &**name).collect();
                    (type_url, json!(names))
                })
                .collect();
            json!({
                "connectionId": connection.id,
                "connectedAt": jiff::Timestamp::try_from(connection.connected_at).ok().map(|at| at.to_string()),
                "address": connection.remote.map(|remote| remote.to_string()),
                "labels": connection.peer.proxy.as_ref().map(|proxy| &proxy.labels),
                "locality": connection.peer.proxy.as_ref().map(|proxy| &proxy.locality),
                "watches": watches,
            })
        })
        .collect();
    json!({"totalClients": clients.len(), "clients": clients})
}

fn configs(snapshot: &Snapshot) -> Value {
    let lists = [
        objects(&snapshot.virtual_services),
        objects(&snapshot.destination_rules),
        objects(&snapshot.gateways),
        objects(&snapshot.service_entries),
        objects(&snapshot.workload_entries),
        objects(&snapshot.workload_groups),
        objects(&snapshot.sidecars),
        objects(&snapshot.envoy_filters),
        objects(&snapshot.proxy_configs),
        objects(&snapshot.peer_authentications),
        objects(&snapshot.request_authentications),
        objects(&snapshot.authorization_policies),
    ];
    lists.into_iter().flat_map(|list| list.as_array().cloned().unwrap_or_default()).collect()
}

fn objects<S: sagene_api::Resource>(collection: &Collection<S>) -> Value {
    collection.iter().map(|object| object.to_value()).collect()
}

fn inject(discovery: &Discovery, snapshot: &Snapshot) -> Value {
    let name = format!("istio-sidecar-injector{}", discovery.options.revision_suffix());
    let map = snapshot.config_maps.get(&discovery.options.namespace, &name);
    let key = |key: &str| map.and_then(|map| map.spec.data.get(key).cloned());
    json!({"config": key("config"), "values": key("values")})
}

fn push_status(discovery: &Discovery) -> Value {
    let rejected: Vec<Value> = discovery
        .store
        .rejected()
        .iter()
        .map(|rejected| {
            json!({
                "kind": rejected.kind.name(), "namespace": rejected.namespace, "name": rejected.name,
                "message": rejected.message, "lastGoodInForce": rejected.last_good,
            })
        })
        .collect();
    let last = discovery.last_push.load();
    let last = last.as_ref().as_ref().map(|push| {
        json!({
            "number": push.number,
            "at": jiff::Timestamp::try_from(push.at).ok().map(|at| at.to_string()),
            "milliseconds": push.took.as_secs_f64() * 1000.0,
            "changes": push.changes,
            "proxies": push.proxies,
        })
    });
    json!({"lastPush": last, "rejectedConfigs": rejected})
}
