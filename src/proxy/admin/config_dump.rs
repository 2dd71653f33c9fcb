//! `/config_dump`: every resource as it was received, in Envoy's sections.

mod selection;

use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use serde_json::{Map, Value, json};

pub(super) use selection::DumpError;
use selection::Selection;

use super::AdminServer;
use super::json::{shown, shown_untyped, timestamp};
use crate::agent::http_server::Request;
use crate::config::{ConfigStore, Origin, RawResource, ResourceState, type_url};

/// A section: its type, its lists, and fields beside them.
struct Section {
    type_name: &'static str,
    lists: Vec<(&'static str, Vec<Value>)>,
    fields: Map<String, Value>,
}

/// The dump that `request` asks for.
pub(super) fn dump(admin: &AdminServer, request: &Request) -> Result<Value, DumpError> {
    let selection = Selection::parse(request)?;
    let store = admin.proxy.config();
    let mut sections = vec![bootstrap(admin, &selection), clusters(admin, &selection), ecds()];
    if selection.include_eds {
        sections.push(endpoints(store, &selection));
    }
    sections.extend([
        listeners(admin, &selection),
        scoped_routes(),
        routes(admin, &selection),
        secrets(store, &selection),
    ]);
    for section in &mut sections {
        for (list, elements) in &mut section.lists {
            elements.iter_mut().for_each(|element| selection.trim(list, element));
        }
    }
    match selection.resource {
        Some(resource) => one_list(resource, sections),
        None => Ok(json!({ "configs": sections.into_iter().map(whole_section).collect::<Vec<_>>() })),
    }
}

/// The elements of the one list that was asked for, wherever it is.
fn one_list(resource: &str, sections: Vec<Section>) -> Result<Value, DumpError> {
    for section in sections {
        for (list, elements) in section.lists {
            if list == resource {
                let configs: Vec<Value> = elements
                    .into_iter()
                    .map(|element| typed(&element_type(section.type_name, list), element))
                    .collect();
                return Ok(json!({ "configs": configs }));
            }
        }
    }
    Err(DumpError::UnknownResource(resource.to_owned()))
}

fn whole_section(section: Section) -> Value {
    let mut map = section.fields;
    for (list, elements) in section.lists {
        if !elements.is_empty() {
            map.insert(list.to_owned(), Value::Array(elements));
        }
    }
    typed(&format!("type.googleapis.com/envoy.admin.v3.{}", section.type_name), Value::Object(map))
}

/// `ClustersConfigDump.DynamicCluster` for `dynamic_active_clusters`.
fn element_type(section: &str, list: &str) -> String {
    let element = match list {
        "static_clusters" => "StaticCluster",
        "dynamic_active_clusters" | "dynamic_warming_clusters" => "DynamicCluster",
        "static_listeners" => "StaticListener",
        "dynamic_listeners" => "DynamicListener",
        "static_route_configs" => "StaticRouteConfig",
        "dynamic_route_configs" => "DynamicRouteConfig",
        "static_secrets" => "StaticSecret",
        "dynamic_active_secrets" | "dynamic_warming_secrets" => "DynamicSecret",
        "static_endpoint_configs" => "StaticEndpointConfig",
        "dynamic_endpoint_configs" => "DynamicEndpointConfig",
        _ => "EcdsFilterConfig",
    };
    format!("type.googleapis.com/envoy.admin.v3.{section}.{element}")
}

/// Puts the type first, where readers look for it.
fn typed(type_url: &str, value: Value) -> Value {
    let mut map = Map::new();
    map.insert("@type".to_owned(), json!(type_url));
    if let Value::Object(fields) = value {
        map.extend(fields);
    }
    Value::Object(map)
}

fn bootstrap(admin: &AdminServer, selection: &Selection<'_>) -> Section {
    let mut fields = Map::new();
    if selection.resource.is_none() && selection.wants("bootstrap") {
        let any = Any {
            type_url: envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap::type_url(),
            value: admin.bootstrap.encode_to_vec(),
        };
        let mut bootstrap = shown_untyped(&any);
        selection.trim("bootstrap", &mut bootstrap);
        fields.insert("bootstrap".to_owned(), bootstrap);
        fields.insert("last_updated".to_owned(), timestamp(admin.started));
    }
    Section { type_name: "BootstrapConfigDump", lists: Vec::new(), fields }
}

fn clusters(admin: &AdminServer, selection: &Selection<'_>) -> Section {
    let all = admin.resources(type_url::CLUSTER);
    let pick = |list: &'static str, origin, state: Option<ResourceState>| {
        let elements = select(&all, selection, list, |raw| {
            raw.origin == origin && state.is_none_or(|state| raw.state == state)
        })
        .map(|raw| selection.element(raw, "cluster", None))
        .collect();
        (list, elements)
    };
    Section {
        type_name: "ClustersConfigDump",
        fields: version(&all, selection),
        lists: vec![
            pick("static_clusters", Origin::Static, None),
            pick("dynamic_active_clusters", Origin::Dynamic, Some(ResourceState::Active)),
            pick("dynamic_warming_clusters", Origin::Dynamic, Some(ResourceState::Warming)),
        ],
    }
}

fn listeners(admin: &AdminServer, selection: &Selection<'_>) -> Section {
    let all = admin.resources(type_url::LISTENER);
    let fixed = select(&all, selection, "static_listeners", |raw| raw.origin == Origin::Static)
        .map(|raw| selection.element(raw, "listener", None))
        .collect();
    let dynamic = select(&all, selection, "dynamic_listeners", |raw| raw.origin == Origin::Dynamic)
        .map(|raw| {
            let mut listener = Map::new();
            listener.insert("name".to_owned(), json!(raw.name));
            if raw.resource.is_some() {
                let state = if raw.state == ResourceState::Active { "active_state" } else { "warming_state" };
                let mut body = selection.element(raw, "listener", None);
                if let Value::Object(map) = &mut body {
                    map.remove("error_state");
                }
                listener.insert(state.to_owned(), body);
            }
            selection.insert_error(&mut listener, raw);
            Value::Object(listener)
        })
        .collect();
    Section {
        type_name: "ListenersConfigDump",
        fields: version(&all, selection),
        lists: vec![("static_listeners", fixed), ("dynamic_listeners", dynamic)],
    }
}

fn routes(admin: &AdminServer, selection: &Selection<'_>) -> Section {
    let all = admin.resources(type_url::ROUTE);
    let mut fixed: Vec<Value> =
        select(&all, selection, "static_route_configs", |raw| raw.origin == Origin::Static)
            .map(|raw| selection.element(raw, "route_config", None))
            .collect();
    if selection.wants("static_route_configs") {
        fixed.extend(inline_routes(admin, selection));
    }
    let dynamic = select(&all, selection, "dynamic_route_configs", |raw| raw.origin == Origin::Dynamic)
        .map(|raw| selection.element(raw, "route_config", None))
        .collect();
    Section {
        type_name: "RoutesConfigDump",
        fields: Map::new(),
        lists: vec![("static_route_configs", fixed), ("dynamic_route_configs", dynamic)],
    }
}

/// Route configurations that stand inside listeners; Envoy counts them as static.
fn inline_routes(admin: &AdminServer, selection: &Selection<'_>) -> Vec<Value> {
    let mut found = Vec::new();
    for raw in admin.resources(type_url::LISTENER) {
        let Some(listener) =
            raw.resource.as_ref().and_then(|any| Listener::decode(any.value.as_slice()).ok())
        else {
            continue;
        };
        for filter in listener
            .filter_chains
            .iter()
            .chain(&listener.default_filter_chain)
            .flat_map(|chain| &chain.filters)
        {
            let Some(ConfigType::TypedConfig(config)) = &filter.config_type else {
                continue;
            };
            if config.type_url != HttpConnectionManager::type_url() {
                continue;
            }
            let Ok(manager) = HttpConnectionManager::decode(config.value.as_slice()) else {
                continue;
            };
            if let Some(RouteSpecifier::RouteConfig(route)) = manager.route_specifier
                && selection.has_name(&route.name)
            {
                let any = Any { type_url: type_url::ROUTE.to_owned(), value: route.encode_to_vec() };
                found.push(json!({
                    "route_config": shown(&any),
                    "last_updated": timestamp(raw.last_updated),
                }));
            }
        }
    }
    found
}

fn endpoints(store: &ConfigStore, selection: &Selection<'_>) -> Section {
    let all = store.resources(type_url::ENDPOINT);
    let pick = |list: &'static str, origin| {
        let elements = select(&all, selection, list, |raw| raw.origin == origin)
            .map(|raw| selection.element(raw, "endpoint_config", None))
            .collect();
        (list, elements)
    };
    Section {
        type_name: "EndpointsConfigDump",
        fields: Map::new(),
        lists: vec![
            pick("static_endpoint_configs", Origin::Static),
            pick("dynamic_endpoint_configs", Origin::Dynamic),
        ],
    }
}

fn secrets(store: &ConfigStore, selection: &Selection<'_>) -> Section {
    let all = store.resources(type_url::SECRET);
    let pick = |list: &'static str, keep: fn(&RawResource) -> bool| {
        let elements = select(&all, selection, list, keep)
            .map(|raw| selection.element(raw, "secret", Some(&raw.name)))
            .collect();
        (list, elements)
    };
    Section {
        type_name: "SecretsConfigDump",
        fields: Map::new(),
        lists: vec![
            pick("static_secrets", |raw| raw.origin == Origin::Static),
            pick("dynamic_active_secrets", |raw| raw.origin == Origin::Dynamic && raw.resource.is_some()),
            pick("dynamic_warming_secrets", |raw| raw.origin == Origin::Dynamic && raw.resource.is_none()),
        ],
    }
}

fn ecds() -> Section {
    Section { type_name: "EcdsConfigDump", fields: Map::new(), lists: vec![("ecds_filters", Vec::new())] }
}

fn scoped_routes() -> Section {
    Section { type_name: "ScopedRoutesConfigDump", fields: Map::new(), lists: Vec::new() }
}

fn select<'a>(
    all: &'a [RawResource],
    selection: &'a Selection<'_>,
    list: &'static str,
    keep: impl Fn(&RawResource) -> bool + 'a,
) -> impl Iterator<Item = &'a RawResource> {
    let wanted = selection.wants(list);
    all.iter().filter(move |raw| wanted && keep(raw) && selection.has_name(&raw.name))
}

/// The version of the newest resource, as Envoy shows one for the whole section.
fn version(all: &[RawResource], selection: &Selection<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    let newest = all.iter().max_by_key(|raw| raw.last_updated);
    if let Some(newest) = newest.filter(|raw| !raw.version.is_empty() && selection.wants("version_info")) {
        fields.insert("version_info".to_owned(), json!(newest.version));
    }
    fields
}
