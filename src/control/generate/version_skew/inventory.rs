//! Every field that is generated for a mesh that makes use of what meshes make use of stands in `fields.txt`, with the version whose
//! proxies implement it first; and no proxy of an earlier version gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;
use sagene_api::envoy::json::{any_to_json, fields};
use sagene_api::istio::MeshConfig;
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::networking::{DestinationRule, Gateway, ServiceEntry, Sidecar, VirtualService};
use sagene_api::istio::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use sagene_api::istio::telemetry::Telemetry;
use sagene_api::kubernetes::{EndpointSlice, Node, Pod, Service};
use serde_json::Value;

use super::{Older, Version};
use crate::generate::proto::Any;
use crate::generate::tests::{proxy, put, shop};
use crate::generate::{Proxy, Settings, type_url};
use crate::index::{Index, Requested};

const FIELDS: &str = include_str!("fields.txt");
const MESH: &str = include_str!("mesh.yaml");
const MESH_CONFIG: &str = "
accessLogFile: /dev/stdout
enableTracing: true
defaultConfig: { tracing: { sampling: 100 } }
extensionProviders:
- { name: zipkin, zipkin: { service: collector.watch.svc.cluster.local, port: 9411 } }
- { name: otel, envoyOtelAls: { service: collector.watch.svc.cluster.local, port: 4317 } }
- { name: als-http, envoyHttpAls: { service: collector.watch.svc.cluster.local, port: 4317 } }
- { name: als-tcp, envoyTcpAls: { service: collector.watch.svc.cluster.local, port: 4317 } }
- { name: ask, envoyExtAuthzGrpc: { service: collector.watch.svc.cluster.local, port: 4317 } }
";

fn mesh() -> Index {
    let mut snapshot = shop();
    for yaml in MESH.split("\n---\n") {
        let kind = yaml.lines().find_map(|line| line.strip_prefix("kind: ")).expect("a kind");
        match kind {
            "Service" => put::<Service>(&mut snapshot, yaml),
            "EndpointSlice" => put::<EndpointSlice>(&mut snapshot, yaml),
            "Pod" => put::<Pod>(&mut snapshot, yaml),
            "Node" => put::<Node>(&mut snapshot, yaml),
            "DestinationRule" => put::<DestinationRule>(&mut snapshot, yaml),
            "VirtualService" => put::<VirtualService>(&mut snapshot, yaml),
            "Gateway" => put::<Gateway>(&mut snapshot, yaml),
            "ServiceEntry" => put::<ServiceEntry>(&mut snapshot, yaml),
            "Sidecar" => put::<Sidecar>(&mut snapshot, yaml),
            "PeerAuthentication" => put::<PeerAuthentication>(&mut snapshot, yaml),
            "RequestAuthentication" => put::<RequestAuthentication>(&mut snapshot, yaml),
            "AuthorizationPolicy" => put::<AuthorizationPolicy>(&mut snapshot, yaml),
            "Telemetry" => put::<Telemetry>(&mut snapshot, yaml),
            "WasmPlugin" => put::<WasmPlugin>(&mut snapshot, yaml),
            other => panic!("{other}"),
        };
    }
    let config = MeshConfig::from_layers([serde_yaml::from_str(MESH_CONFIG).expect("YAML")]);
    let settings = Settings::of(&config.expect("a MeshConfig"), "cluster.local", "Kubernetes");
    Index::build(snapshot, Arc::new(settings))
}

fn proxies(older: Option<Older>) -> Vec<Proxy> {
    let web = proxy("sidecar", "web-v1-a", "shop", &[("app", "web"), ("version", "v1")]);
    let narrow = proxy("sidecar", "narrow", "shop", &[("app", "narrow")]);
    let gateway = proxy("router", "gateway", "edge", &[("istio", "gateway")]);
    [web, narrow, gateway].into_iter().map(|proxy| Proxy { older, ..proxy }).collect()
}

/// The fields of all that is generated for proxies of a class.
fn generated(older: Option<Older>) -> BTreeSet<String> {
    let index = mesh();
    let mut found = BTreeSet::new();
    for proxy in proxies(older) {
        let mut note = |kind: &str, names: Requested<'_>| {
            let made = index.resources(&proxy, kind, names);
            for resource in &made {
                let any = Any::decode(resource.any.clone()).expect("an Any");
                found.extend(fields(&any.type_url, &any.value).expect("descriptors of its type"));
            }
            made
        };
        let clusters = note(type_url::CLUSTER, Requested::All);
        let names: Vec<_> = clusters.iter().map(|one| one.name.clone()).collect();
        note(type_url::ENDPOINT, Requested::Names(&names));
        let listeners = note(type_url::LISTENER, Requested::All);
        let mut routes = BTreeSet::new();
        for listener in &listeners {
            let any = Any::decode(listener.any.clone()).expect("an Any");
            route_names(&any_to_json(&any), &mut routes);
        }
        let routes: Vec<Arc<str>> = routes.into_iter().map(Into::into).collect();
        note(type_url::ROUTE, Requested::Names(&routes));
    }
    found
}

/// The routes that a listener asks for.
fn route_names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("route_config_name").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| route_names(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| route_names(value, found)),
        _ => {}
    }
}

fn listed() -> BTreeMap<String, Version> {
    let lines = FIELDS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let entries = lines.map(|line| {
        let (version, field) = line.split_once(' ').expect("a version and a field");
        (field.to_owned(), version.parse().expect("a version"))
    });
    entries.collect()
}

#[test]
fn every_field_that_is_generated_is_listed() {
    let listed = listed();
    let generated = generated(None);
    let unknown: Vec<&String> = generated.iter().filter(|field| !listed.contains_key(*field)).collect();
    assert!(
        unknown.is_empty(),
        "add these to fields.txt with the version whose proxies implement them first; where they are sent without anybody asking for \
         them, also to the table: {unknown:#?}"
    );
    let gone: Vec<&String> = listed.keys().filter(|field| !generated.contains(*field)).collect();
    assert!(gone.is_empty(), "no longer generated, take them out of fields.txt: {gone:#?}");
}

#[test]
fn no_proxy_of_an_earlier_version_gets_what_came_later() {
    let listed = listed();
    let versions: BTreeSet<Version> = listed.values().copied().collect();
    for version in versions {
        let Some(older) = Older::of_version(version) else { continue };
        let refused: Vec<String> = generated(Some(older))
            .into_iter()
            .filter(|field| listed.get(field).is_none_or(|since| *since > version))
            .collect();
        assert!(refused.is_empty(), "proxies of {version} do not implement {refused:#?}");
    }
}

#[test]
fn proxies_of_a_class_share_what_is_adapted_and_others_get_what_is_generated() {
    let index = mesh();
    let set = |older| {
        let sets: Vec<_> = proxies(older)
            .iter()
            .map(|proxy| index.requested(proxy, type_url::LISTENER, Requested::All))
            .collect();
        let again = proxies(older)
            .iter()
            .map(|proxy| index.requested(proxy, type_url::LISTENER, Requested::All))
            .collect();
        (sets, again)
    };
    let (today, again): (Vec<_>, Vec<_>) = set(None);
    assert!(today.iter().zip(&again).all(|(one, other)| Arc::ptr_eq(one, other)));
    let older = Older::of_version(Version(0, 1, 0));
    assert!(older.is_some());
    let (adapted, again): (Vec<_>, Vec<_>) = set(older);
    assert!(adapted.iter().zip(&again).all(|(one, other)| Arc::ptr_eq(one, other)));
    for (one, other) in today.iter().zip(&adapted) {
        assert_ne!(one.version, other.version, "they trace, which older proxies do with fewer tags");
        assert_eq!(one.resources.len(), other.resources.len());
    }
}
