//! A proxy as its node says what it is.

use std::net::IpAddr;

use sagene_api::istio::mesh_config::ProxyConfig;
use sagene_api::schema::proto_names::to_json_names;
use sagene_model::labels::Labels;
use thiserror::Error;

use super::proto::{Kind, Struct, Value, core};
use super::topology::Topology;
use super::version_skew::Older;

/// What a proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyType {
    /// Stands beside an application.
    Sidecar,
    /// Stands at the edge: a gateway.
    Router,
}

/// A connected proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Node id, `type~ip~pod.namespace~domain`.
    pub id: String,
    /// What it does.
    pub proxy_type: ProxyType,
    /// Name of the cluster of nodes it counts itself to, `app.namespace`: its name in traces.
    pub service_cluster: String,
    /// Its addresses; the first is the one in its id.
    pub addresses: Vec<IpAddr>,
    /// Name of its pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels of its pod.
    pub labels: Labels,
    /// Service account; empty where it did not say.
    pub service_account: String,
    /// Its cluster; empty where it did not say.
    pub cluster_id: String,
    /// Its network; empty where it has none.
    pub network: String,
    /// `region/zone/subzone`, empty where unknown.
    pub locality: String,
    /// Version of its program.
    pub istio_version: String,
    /// Its class, if it is a proxy of an earlier version that does not implement all that is generated.
    pub older: Option<Older>,
    /// `REDIRECT`, `TPROXY` or `NONE`.
    pub interception_mode: String,
    /// Whether it answers the DNS questions of its workload (`ISTIO_META_DNS_CAPTURE`).
    pub dns_capture: bool,
    /// Whether HTTP/1.0 is accepted.
    pub http10: bool,
    /// A stock Envoy: it lists its extensions, and none is Istio's.
    pub plain_envoy: bool,
    /// What is in front of a gateway.
    pub topology: Topology,
    /// `tracing` of the ProxyConfig in its pod's annotation `proxy.istio.io/config`, as JSON; empty where it has none.
    pub tracing: String,
    /// All of its metadata.
    pub metadata: Struct,
}

/// A node that is no proxy of this mesh.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// The id has another form.
    #[error("node id {0:?} must have the form type~ip~name.namespace~domain")]
    Id(String),
    /// The type is not served.
    #[error("proxies of type {0:?} are not served; known types: sidecar, router")]
    Type(String),
    /// The address does not parse.
    #[error("node id {id:?}: {address:?} is no IP address")]
    Address {
        /// The id.
        id: String,
        /// The part that should be an address.
        address: String,
    },
}

impl Proxy {
    /// Reads a node.
    pub fn parse(node: &core::Node) -> Result<Self, ProxyError> {
        let id = || ProxyError::Id(node.id.clone());
        let mut parts = node.id.split('~');
        let (Some(kind), Some(address), Some(full_name), Some(_domain), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(id());
        };
        let proxy_type = match kind {
            "sidecar" => ProxyType::Sidecar,
            "router" => ProxyType::Router,
            other => return Err(ProxyError::Type(other.to_owned())),
        };
        let first: IpAddr = address
            .parse()
            .map_err(|_| ProxyError::Address { id: node.id.clone(), address: address.to_owned() })?;
        let (name, namespace) = full_name.rsplit_once('.').ok_or_else(id)?;
        let metadata = node.metadata.clone().unwrap_or_default();
        let text = |key: &str| text_of(&metadata, key).to_owned();
        let mut addresses = vec![first];
        for listed in text("INSTANCE_IPS").split(',').filter_map(|part| part.trim().parse().ok()) {
            if !addresses.contains(&listed) {
                addresses.push(listed);
            }
        }
        let namespace = match text_of(&metadata, "NAMESPACE") {
            "" => namespace.to_owned(),
            stated => stated.to_owned(),
        };
        Ok(Self {
            id: node.id.clone(),
            service_cluster: node.cluster.clone(),
            proxy_type,
            addresses,
            name: name.to_owned(),
            namespace,
            labels: labels_of(&metadata),
            service_account: text("SERVICE_ACCOUNT"),
            cluster_id: text("CLUSTER_ID"),
            network: text("NETWORK"),
            locality: node.locality.as_ref().map(locality_text).unwrap_or_default(),
            istio_version: text("ISTIO_VERSION"),
            older: Older::of(&metadata),
            interception_mode: text("INTERCEPTION_MODE"),
            dns_capture: is_on(&metadata, "DNS_CAPTURE"),
            http10: is_on(&metadata, "HTTP10"),
            plain_envoy: is_plain_envoy(node),
            topology: Topology::of(&metadata),
            tracing: tracing_of(&metadata),
            metadata,
        })
    }

    /// True for sidecars.
    pub fn is_sidecar(&self) -> bool {
        self.proxy_type == ProxyType::Sidecar
    }
}

/// Istio's proxy and our own either list Istio's filters or nothing.
fn is_plain_envoy(node: &core::Node) -> bool {
    !node.extensions.is_empty()
        && !node.extensions.iter().any(|extension| extension.name.starts_with("istio."))
}

fn text_of<'a>(metadata: &'a Struct, key: &str) -> &'a str {
    metadata.fields.get(key).map(value_text).unwrap_or_default()
}

fn is_on(metadata: &Struct, key: &str) -> bool {
    !matches!(text_of(metadata, key), "" | "0" | "false")
}

fn value_text(value: &Value) -> &str {
    match &value.kind {
        Some(Kind::StringValue(text)) => text,
        _ => "",
    }
}

fn labels_of(metadata: &Struct) -> Labels {
    match metadata.fields.get("LABELS").and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(labels)) => {
            labels.fields.iter().map(|(key, value)| (key.clone(), value_text(value).to_owned())).collect()
        }
        _ => Labels::new(),
    }
}

/// Its own settings of traces. They are read from the annotation: what else its ProxyConfig says is as old as the pod.
fn tracing_of(metadata: &Struct) -> String {
    let Some(Kind::StructValue(annotations)) =
        metadata.fields.get("ANNOTATIONS").and_then(|value| value.kind.as_ref())
    else {
        return String::new();
    };
    let annotation = text_of(annotations, "proxy.istio.io/config");
    if !annotation.contains("tracing") {
        return String::new();
    }
    let Ok(mut config) = sagene_api::yaml::value(annotation) else { return String::new() };
    to_json_names::<ProxyConfig>(&mut config);
    config.get("tracing").map(ToString::to_string).unwrap_or_default()
}

fn locality_text(locality: &core::Locality) -> String {
    let parts = [&locality.region, &locality.zone, &locality.sub_zone];
    let used = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
    parts[..used].iter().map(|part| part.as_str()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::super::proto::{nested, structure, text};
    use super::*;

    #[test]
    fn reads_nodes_and_names_what_is_wrong_with_others() {
        let node = core::Node {
            id: "sidecar~10.1.0.7~reviews-v1-abc.shop~shop.svc.cluster.local".to_owned(),
            metadata: Some(structure([
                ("LABELS", nested([("app", text("reviews"))])),
                ("INSTANCE_IPS", text("10.1.0.7,fd00::7")),
                ("SERVICE_ACCOUNT", text("reviews")),
            ])),
            ..core::Node::default()
        };
        let proxy = Proxy::parse(&node).expect("a proxy");
        assert_eq!((proxy.name.as_str(), proxy.namespace.as_str()), ("reviews-v1-abc", "shop"));
        assert_eq!((proxy.addresses.len(), proxy.labels["app"].as_str()), (2, "reviews"));
        let error = |id: &str| Proxy::parse(&core::Node { id: id.to_owned(), ..core::Node::default() }).err();
        assert!(matches!(error("sidecar~10.0.0.1~a.b"), Some(ProxyError::Id(_))));
        assert!(matches!(error("ztunnel~10.0.0.1~a.b~c"), Some(ProxyError::Type(_))));
        assert!(matches!(error("router~x~a.b~c"), Some(ProxyError::Address { .. })));
    }
}
