//! Which proxies have which configuration: JSON for HTTP, `ClientConfig`s for `istioctl proxy-status`.

use std::time::SystemTime;

use bytes::Bytes;
use envoy_types::pb::{
    envoy::{
        admin::v3::UpdateFailureState,
        config::core::v3::Node,
        service::status::v3::{ClientConfig, ConfigStatus, client_config::GenericXdsConfig},
    },
    google::protobuf::{Struct, Timestamp, Value as ProtoValue, value::Kind},
};
use prost::Message as _;
use sagene_xds::{
    server::{Connection, TypeStatus},
    type_url,
};
use serde_json::{Map, Value, json};

use super::config_dump::any;
use crate::{
    discovery::{Discovery, Peer},
    generate::{Proxy, ProxyType},
};

const CLIENT_CONFIG: &str = "type.googleapis.com/envoy.service.status.v3.ClientConfig";

/// The list over HTTP; only proxies of `namespace` if one is given.
pub(super) fn list(discovery: &Discovery, namespace: Option<&str>) -> Value {
    let mut entries = Vec::new();
    for connection in discovery.connections.all() {
        let Some(proxy) = &connection.peer.proxy else { continue };
        if namespace.is_none_or(|wanted| wanted.is_empty() || wanted == proxy.namespace) {
            entries.push(entry(&connection, proxy));
        }
    }
    Value::Array(entries)
}

/// `<pod>.<namespace>`, as every tool prints it.
pub(super) fn display_id(proxy: &Proxy) -> String {
    format!("{}.{}", proxy.name, proxy.namespace)
}

fn entry(connection: &Connection<Peer>, proxy: &Proxy) -> Value {
    let types = connection.types();
    let mut entry = json!({
        "cluster_id": proxy.cluster_id,
        "proxy": display_id(proxy),
        "proxy_type": match proxy.proxy_type {
            ProxyType::Sidecar => "sidecar",
            ProxyType::Router => "router",
        },
        "istio_version": proxy.istio_version,
    });
    let mut resources = Map::new();
    for (type_url, status) in &types {
        let prefix = match type_url.as_str() {
            type_url::CLUSTER => Some("cluster"),
            type_url::LISTENER => Some("listener"),
            type_url::ROUTE => Some("route"),
            type_url::ENDPOINT => Some("endpoint"),
            type_url::EXTENSION_CONFIG => Some("extensionconfig"),
            _ => None,
        };
        if let Some(prefix) = prefix {
            entry[format!("{prefix}_sent")] = json!(status.watch.nonce_sent);
            entry[format!("{prefix}_acked")] = json!(status.watch.nonce_acked);
        }
        let mut resource = json!({"sent": status.watch.nonce_sent, "acked": status.watch.nonce_acked});
        if let Some(at) = status.sent_at.and_then(|at| jiff::Timestamp::try_from(at).ok()) {
            resource["sentTime"] = json!(at.to_string());
        }
        if let Some(error) = &status.watch.refused {
            resource["lastError"] = json!(error);
        }
        resources.insert(type_url.clone(), resource);
    }
    entry["resources"] = Value::Object(resources);
    entry
}

/// The list over discovery.
pub(super) fn client_configs(discovery: &Discovery) -> Vec<Bytes> {
    let connections = discovery.connections.all();
    let of_proxies = connections.iter().filter_map(|c| Some((c, c.peer.proxy.as_ref()?)));
    of_proxies
        .map(|(connection, proxy)| any(CLIENT_CONFIG, client_config(connection, proxy).encode_to_vec()))
        .collect()
}

fn client_config(connection: &Connection<Peer>, proxy: &Proxy) -> ClientConfig {
    let text = |value: &str| ProtoValue { kind: Some(Kind::StringValue(value.to_owned())) };
    let fields = [
        ("CLUSTER_ID".to_owned(), text(&proxy.cluster_id)),
        ("NAMESPACE".to_owned(), text(&proxy.namespace)),
        ("ISTIO_VERSION".to_owned(), text(&proxy.istio_version)),
    ];
    let types = connection.types();
    ClientConfig {
        node: Some(Node {
            id: display_id(proxy),
            metadata: Some(Struct { fields: fields.into() }),
            ..Node::default()
        }),
        generic_xds_configs: types.iter().map(|(type_url, status)| generic(type_url, status)).collect(),
        ..ClientConfig::default()
    }
}

fn generic(type_url: &str, status: &TypeStatus) -> GenericXdsConfig {
    let watch = &status.watch;
    let error = watch.refused.as_deref();
    let config_status = if error.is_some() {
        ConfigStatus::Error
    } else if watch.nonce_sent.is_empty() {
        ConfigStatus::NotSent
    } else if watch.nonce_sent == watch.nonce_acked {
        ConfigStatus::Synced
    } else {
        ConfigStatus::Stale
    };
    GenericXdsConfig {
        type_url: type_url.to_owned(),
        config_status: config_status.into(),
        last_updated: status.sent_at.map(timestamp),
        error_state: error.map(|details| UpdateFailureState {
            details: details.to_owned(),
            ..UpdateFailureState::default()
        }),
        ..GenericXdsConfig::default()
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}
