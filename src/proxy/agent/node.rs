//! Who this proxy is to the control plane and to its peers: the node id and its metadata.

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as ProtoValue, value::Kind};
use serde_json::{Map, Value, json};

use super::environment::Environment;
use super::proxy_config::ProxyConfig;
use super::{AgentArguments, NodeType};

/// Switches both address families on.
const DUAL_STACK: &str = "ISTIO_DUAL_STACK";
/// Prefix of variables that become metadata, as text.
const METADATA: &str = "ISTIO_META_";
/// Prefix of variables that become metadata, as JSON.
const METADATA_JSON: &str = "ISTIO_METAJSON_";

/// Identity of this proxy.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// First address of the pod.
    pub(crate) address: IpAddr,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) trust_domain: String,
    /// `<namespace>.svc.<cluster domain>`
    pub(crate) domain: String,
    pub(crate) cluster_id: String,
    /// The node as discovery sees it.
    pub(crate) node: Node,
}

/// Why the proxy does not know who it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// A variable that the pod template sets.
    #[error("{0} is not set; the proxy's container gets it from the pod template that injection writes")]
    Missing(&'static str),
    /// Not an address.
    #[error("INSTANCE_IP {0:?} is not an IP address")]
    Address(String),
    /// No INSTANCE_IP and no interface with an address.
    #[error("INSTANCE_IP is not set and no network interface has an address")]
    NoAddress,
}

impl Identity {
    /// From what the container was given.
    pub(crate) fn resolve(
        node_type: NodeType,
        arguments: &AgentArguments,
        environment: &Environment,
        config: &ProxyConfig,
    ) -> Result<Self, IdentityError> {
        let required = |name: &'static str| environment.get(name).ok_or(IdentityError::Missing(name));
        let name = required("POD_NAME")?;
        let namespace = required("POD_NAMESPACE")?;
        let addresses = addresses(environment)?;
        let address = *addresses.first().ok_or(IdentityError::NoAddress)?;
        let domain = match arguments.domain.trim_matches('.') {
            "" => format!("{namespace}.svc.cluster.local"),
            domain => domain.to_owned(),
        };
        let labels = environment.pod_labels();
        let metadata = metadata(environment, config, &addresses, &labels);
        let node = Node {
            id: format!("{}~{address}~{name}.{namespace}~{domain}", node_type.as_str()),
            cluster: service_cluster(arguments, environment, config, &labels),
            locality: locality(&labels),
            metadata: Some(to_struct(metadata)),
            user_agent_name: "sagene".to_owned(),
            ..Node::default()
        };
        Ok(Self {
            address,
            namespace: namespace.to_owned(),
            service_account: environment.get("SERVICE_ACCOUNT").unwrap_or("default").to_owned(),
            trust_domain: environment.get("TRUST_DOMAIN").unwrap_or("cluster.local").to_owned(),
            cluster_id: environment.get("ISTIO_META_CLUSTER_ID").unwrap_or("Kubernetes").to_owned(),
            domain,
            node,
        })
    }
}

/// The pod's address first, then the others it has: those of its family, unless `ISTIO_DUAL_STACK` says that the proxy serves both.
fn addresses(environment: &Environment) -> Result<Vec<IpAddr>, IdentityError> {
    let mut addresses = Vec::new();
    if let Some(text) = environment.get("INSTANCE_IP") {
        addresses.push(text.parse().map_err(|_| IdentityError::Address(text.to_owned()))?);
    }
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let found = interfaces.filter_map(|interface| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    for address in found.filter(|address| is_reachable(*address)) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if let Some(first) = addresses.first().copied().filter(|_| environment.get(DUAL_STACK) != Some("true")) {
        addresses.retain(|address| address.is_ipv4() == first.is_ipv4());
    }
    Ok(addresses)
}

fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        // ::6 is the loopback device's, for the proxy's own calls to the application.
        IpAddr::V6(v6) => {
            let own_calls = std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);
            !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified() && v6 != own_calls
        }
    }
}

/// `<app>.<namespace>`, or what was asked for.
fn service_cluster(
    arguments: &AgentArguments,
    environment: &Environment,
    config: &ProxyConfig,
    labels: &BTreeMap<String, String>,
) -> String {
    let namespace = environment.text("POD_NAMESPACE");
    if !arguments.service_cluster.is_empty() {
        return arguments.service_cluster.clone();
    }
    if !matches!(config.service_cluster.as_str(), "" | "istio-proxy") {
        return config.service_cluster.clone();
    }
    let app = labels.get("app").map(String::as_str);
    let name = app.or_else(|| environment.get("ISTIO_META_WORKLOAD_NAME")).unwrap_or("istio-proxy");
    format!("{name}.{namespace}")
}

/// Label `istio-locality: region.zone.subzone` (dots where slashes are not allowed).
fn locality(labels: &BTreeMap<String, String>) -> Option<Locality> {
    let label = labels.get("istio-locality")?;
    let separator = if label.contains('/') { '/' } else { '.' };
    let mut parts = label.split(separator).map(str::to_owned);
    Some(Locality {
        region: parts.next().unwrap_or_default(),
        zone: parts.next().unwrap_or_default(),
        sub_zone: parts.next().unwrap_or_default(),
    })
}

fn metadata(
    environment: &Environment,
    config: &ProxyConfig,
    addresses: &[IpAddr],
    labels: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let mut metadata = Map::new();
    for (name, value) in environment.with_prefix(METADATA) {
        metadata.insert(name.to_owned(), json!(value));
    }
    for (name, value) in environment.with_prefix(METADATA_JSON) {
        match serde_json::from_str::<Value>(value) {
            Ok(parsed) => {
                metadata.insert(name.to_owned(), parsed);
            }
            Err(error) => {
                tracing::warn!(variable = %format!("{METADATA_JSON}{name}"), %error, "not JSON; left out of the node metadata")
            }
        }
    }
    let instance_ips: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let own = [
        ("NAME", json!(environment.text("POD_NAME"))),
        ("NAMESPACE", json!(environment.text("POD_NAMESPACE"))),
        ("SERVICE_ACCOUNT", json!(environment.get("SERVICE_ACCOUNT").unwrap_or("default"))),
        ("INSTANCE_IPS", json!(instance_ips.join(","))),
        ("LABELS", json!(labels)),
        ("ANNOTATIONS", json!(environment.pod_annotations())),
        ("PROXY_CONFIG", Value::Object(config.all.clone())),
        ("ISTIO_PROXY_SHA", json!(concat!("sagene:", env!("CARGO_PKG_VERSION")))),
        ("ENVOY_STATUS_PORT", json!(15021)),
        ("ENVOY_PROMETHEUS_PORT", json!(15090)),
    ];
    metadata.extend(own.map(|(name, value)| (name.to_owned(), value)));
    metadata.entry("ISTIO_VERSION").or_insert_with(|| json!(env!("CARGO_PKG_VERSION")));
    metadata.entry("CLUSTER_ID").or_insert_with(|| json!("Kubernetes"));
    metadata.entry("PILOT_SAN").or_insert_with(|| json!([discovery_host(&config.discovery_address)]));
    metadata
}

/// The host part of `host:port`.
pub(crate) fn discovery_host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn to_struct(map: Map<String, Value>) -> Struct {
    Struct { fields: map.into_iter().map(|(name, value)| (name, to_proto(value))).collect() }
}

fn to_proto(value: Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(to_proto).collect() })
        }
        Value::Object(map) => Kind::StructValue(to_struct(map)),
    };
    ProtoValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        agent: AgentArguments,
    }

    fn resolve(root: &Path, variables: &[(&str, &str)]) -> Result<Identity, IdentityError> {
        let arguments = CommandLine::parse_from([
            "proxy",
            "--domain",
            "shop.svc.cluster.local",
            "--proxyLogLevel=warning",
        ]);
        let environment = Environment::given(root, variables);
        let config =
            ProxyConfig::resolve(Path::new("/none"), "{\"discoveryAddress\":\"istiod.mesh.svc:15012\"}", "")
                .unwrap();
        Identity::resolve(NodeType::Sidecar, &arguments.agent, &environment, &config)
    }

    #[test]
    fn the_node_is_what_the_pod_template_says() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("etc/istio/pod")).unwrap();
        std::fs::write(
            folder.path().join("etc/istio/pod/labels"),
            "app=\"cart\"\nistio-locality=\"eu.a.1\"\n",
        )
        .unwrap();
        let identity = resolve(
            folder.path(),
            &[
                ("POD_NAME", "cart-1"),
                ("POD_NAMESPACE", "shop"),
                ("INSTANCE_IP", "10.1.2.3"),
                ("SERVICE_ACCOUNT", "cart"),
                ("ISTIO_META_WORKLOAD_NAME", "cart-v1"),
                ("ISTIO_METAJSON_POD", "{\"zone\":1}"),
            ],
        )
        .unwrap();
        assert_eq!(identity.node.id, "sidecar~10.1.2.3~cart-1.shop~shop.svc.cluster.local");
        assert_eq!(identity.node.cluster, "cart.shop");
        assert_eq!(identity.node.locality.unwrap().zone, "a");
        let metadata = identity.node.metadata.unwrap().fields;
        let text = |name: &str| match metadata[name].kind.clone() {
            Some(Kind::StringValue(text)) => text,
            other => panic!("{name}: {other:?}"),
        };
        assert!(text("INSTANCE_IPS").starts_with("10.1.2.3"));
        assert_eq!(text("WORKLOAD_NAME"), "cart-v1");
        assert!(matches!(metadata["POD"].kind, Some(Kind::StructValue(_))));
        assert!(matches!(metadata["LABELS"].kind, Some(Kind::StructValue(_))));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error =
            |variables: &[(&str, &str)]| resolve(Path::new("/none"), variables).unwrap_err().to_string();
        assert!(error(&[("POD_NAMESPACE", "shop")]).starts_with("POD_NAME is not set"));
        assert!(
            error(&[("POD_NAME", "a"), ("POD_NAMESPACE", "b"), ("INSTANCE_IP", "x")])
                .contains("INSTANCE_IP \"x\"")
        );
    }
}
