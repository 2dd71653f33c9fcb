//! Views of the control plane itself: who is connected, what is in the store, what was pushed.

use std::sync::Arc;

use sagene_model::{Snapshot, snapshot::Collection};
use sagene_xds::server::Connection;
use serde_json::{Value, json};

use super::{Question, syncz::display_id};
use crate::discovery::{Discovery, Peer};
use sagene_api::SortedMap;

/// Every view, sorted; `list` itself is not among them.
pub(super) const VIEWS: [&str; 26] = [
    "adsz",
    "authorizationz",
    "cachez",
    "clusterz",
    "conditionz",
    "config_dump",
    "configz",
    "connections",
    "ecdsz",
    "edsz",
    "endpointShardz",
    "endpointz",
    "inject",
    "instancesz",
    "krtz",
    "mcsz",
    "mesh",
    "ndsz",
    "networkz",
    "push_status",
    "pushcontext",
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
pub(super) fn view(discovery: &Discovery, question: &Question) -> Option<Value> {
    let snapshot = discovery.snapshot();
    Some(match question.view.as_str() {
        "cachez" => cache(discovery, question),
        "krtz" => collections(discovery, &snapshot),
        "networkz" => json!(mesh_networks(discovery, &snapshot)),
        // Services of other clusters by the multi-cluster API: there is no reader of it here.
        "mcsz" => json!([]),
        "pushcontext" => json!({
            "AuthorizationPolicies": {
                "namespace_to_policies": by_namespace(&snapshot.authorization_policies),
                "root_namespace": discovery.mesh_config.load().root_namespace,
            },
            "NetworkGateways": mesh_networks(discovery, &snapshot),
            "UnresolvedGateways": unresolved_gateways(&snapshot),
        }),
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

/// What is generated and kept: the names, or with `sizes` the bytes of each type.
fn cache(discovery: &Discovery, question: &Question) -> Value {
    let entries = discovery.index.load().cached();
    if question.parameter("sizes").is_none() {
        return entries.into_iter().map(|(kind, name, _)| format!("{kind}/{name}")).collect();
    }
    let mut sizes = std::collections::BTreeMap::<&str, usize>::new();
    for (kind, _, bytes) in entries {
        *sizes.entry(kind).or_default() += bytes;
    }
    sizes
        .into_iter()
        .map(|(kind, bytes)| (kind.to_owned(), json!(bytes)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The collections of the store, and how many objects are in each.
fn collections(discovery: &Discovery, snapshot: &Snapshot) -> Value {
    let synced = discovery.is_synced();
    let entry = |(name, count): (&str, usize)| json!({"name": name, "synced": synced, "outputs": count});
    let counts = [
        ("Namespaces", snapshot.namespaces.len()),
        ("Services", snapshot.services.len()),
        ("EndpointSlices", snapshot.endpoint_slices.len()),
        ("Pods", snapshot.pods.len()),
        ("VirtualServices", snapshot.virtual_services.len()),
        ("DestinationRules", snapshot.destination_rules.len()),
        ("Gateways", snapshot.gateways.len()),
        ("ServiceEntries", snapshot.service_entries.len()),
        ("WorkloadEntries", snapshot.workload_entries.len()),
        ("Sidecars", snapshot.sidecars.len()),
        ("EnvoyFilters", snapshot.envoy_filters.len()),
        ("PeerAuthentications", snapshot.peer_authentications.len()),
        ("RequestAuthentications", snapshot.request_authentications.len()),
        ("AuthorizationPolicies", snapshot.authorization_policies.len()),
        ("Telemetries", snapshot.telemetries.len()),
    ];
    counts.into_iter().map(entry).collect()
}

/// Gateways between networks, as `meshNetworks` names them.
fn mesh_networks(discovery: &Discovery, snapshot: &Snapshot) -> Vec<Value> {
    let name = format!("istio{}", discovery.options.revision_suffix());
    let map = snapshot.config_maps.get(&discovery.options.namespace, &name);
    let text = map.and_then(|map| map.spec.data.get("meshNetworks").cloned()).unwrap_or_default();
    let written: Value = serde_yaml::from_str(&text).unwrap_or_default();
    let mut gateways = Vec::new();
    for (network, entry) in written["networks"].as_object().into_iter().flatten() {
        for gateway in entry["gateways"].as_array().into_iter().flatten() {
            let address = gateway.get("address").or_else(|| gateway.get("registryServiceName"));
            gateways.push(json!({
                "Network": network, "Cluster": discovery.options.cluster_id, "Addr": address, "Port": gateway["port"],
            }));
        }
    }
    gateways
}

/// `namespace/name` of Gateways that select no workload.
fn unresolved_gateways(snapshot: &Snapshot) -> Vec<String> {
    let selects = |selector: &SortedMap<String, String>| {
        snapshot.pods.iter().any(|pod| sagene_model::labels::has_all(&pod.metadata.labels, selector))
    };
    let unresolved = snapshot.gateways.iter().filter(|gateway| !selects(&gateway.spec.selector));
    unresolved.map(|gateway| format!("{}/{}", gateway.metadata.namespace, gateway.metadata.name)).collect()
}

fn by_namespace<S: sagene_api::Resource>(collection: &Collection<S>) -> Value {
    let mut grouped = serde_json::Map::new();
    for object in collection.iter() {
        let list = grouped.entry(object.metadata.namespace.clone()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(object.to_value());
        }
    }
    grouped.into()
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
