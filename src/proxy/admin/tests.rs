//! The admin server over a real socket.

use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use sagene_base::readiness::Readiness;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::agent::bootstrap::bootstrap;
use crate::agent::http_server::serve;
use crate::agent::lifecycle::{Order, Orders};
use crate::agent::secrets::{Material, update};
use crate::config::{ConfigStore, Update};
use crate::worker::ProxyOptions;

struct Admin {
    address: SocketAddr,
    store: Arc<ConfigStore>,
    orders: Orders,
}

async fn admin() -> Admin {
    let store = ConfigStore::new();
    let options = ProxyOptions { workers: 1, ..ProxyOptions::default() };
    let node = Node { id: "sidecar~10.1.2.3~a.b~b.svc.cluster.local".to_owned(), ..Node::default() };
    let config = crate::agent::proxy_config::ProxyConfig::resolve("/none".as_ref(), "", "").unwrap();
    let readiness = Readiness::new();
    readiness.register("configuration").ready();
    let (lifecycle, orders) = Lifecycle::new();
    let server = AdminServer {
        proxy: Arc::new(Proxy::start(options, Arc::clone(&store)).unwrap()),
        bootstrap: bootstrap(&node, &config),
        started: std::time::SystemTime::now(),
        health: Health::new(readiness),
        lifecycle,
        metrics: Arc::new(AgentMetrics::new(Arc::default())),
        log: None,
        concurrency: 1,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(server)));
    Admin { address, store, orders }
}

impl Admin {
    async fn request(&self, method: &str, path: &str) -> (StatusCode, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn with_clusters(self) -> Self {
        let cluster = |name: &str| {
            let message = Cluster {
                name: name.to_owned(),
                cluster_discovery_type: Some(
                    envoy_types::pb::envoy::config::cluster::v3::cluster::ClusterDiscoveryType::Type(0),
                ),
                load_assignment: Some(ClusterLoadAssignment {
                    cluster_name: name.to_owned(),
                    ..ClusterLoadAssignment::default()
                }),
                ..Cluster::default()
            };
            (name.to_owned(), "v1".to_owned(), any(&message))
        };
        let update = Update {
            type_url: type_url::CLUSTER.to_owned(),
            upserts: vec![cluster("outbound|80||a.b"), cluster("BlackHoleCluster")],
            removed: Vec::new(),
        };
        self.store.apply(update).unwrap();
        self
    }
}

fn section<'a>(dump: &'a Value, name: &str) -> &'a Value {
    let type_url = format!("type.googleapis.com/envoy.admin.v3.{name}");
    let configs = dump["configs"].as_array().unwrap();
    configs.iter().find(|config| config["@type"] == type_url.as_str()).unwrap()
}

#[tokio::test]
async fn config_dump_has_envoys_sections_in_envoys_order() {
    let admin = admin().await.with_clusters();
    let dump = admin.json("/config_dump?include_eds").await;
    let types: Vec<&str> = dump["configs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["@type"].as_str().unwrap().rsplit('.').next().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "BootstrapConfigDump",
            "ClustersConfigDump",
            "EcdsConfigDump",
            "EndpointsConfigDump",
            "ListenersConfigDump",
            "ScopedRoutesConfigDump",
            "RoutesConfigDump",
            "SecretsConfigDump"
        ]
    );
    let clusters = section(&dump, "ClustersConfigDump");
    assert_eq!(
        clusters["dynamic_active_clusters"].as_array().map_or(0, Vec::len)
            + clusters["dynamic_warming_clusters"].as_array().map_or(0, Vec::len),
        2
    );
    assert!(clusters["static_clusters"].as_array().unwrap().len() >= 4);
    assert_eq!(section(&dump, "ListenersConfigDump")["static_listeners"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn config_dump_shows_what_mask_resource_and_name_ask_for() {
    let admin = admin().await.with_clusters();
    let masked = admin.json("/config_dump?mask=static_clusters").await;
    assert!(section(&masked, "ClustersConfigDump")["static_clusters"].is_array());
    assert!(section(&masked, "BootstrapConfigDump")["bootstrap"].is_null());
    assert!(section(&masked, "ListenersConfigDump")["static_listeners"].is_null());

    let one = admin.json("/config_dump?resource=dynamic_active_clusters&name_regex=.*Hole.*").await;
    assert_eq!(one["configs"].as_array().unwrap().len(), 1);
    assert_eq!(
        one["configs"][0]["@type"],
        "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster"
    );

    assert_eq!(admin.request("GET", "/config_dump?resource=nothing").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(admin.request("GET", "/config_dump?name_regex=(").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn keys_never_leave_and_certificates_are_described() {
    let admin = admin().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let uri = "spiffe://cluster.local/ns/default/sa/a";
    parameters.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().unwrap()));
    let certificate = parameters.self_signed(&key).unwrap();
    let material = Material {
        chain: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
        roots: certificate.pem().into_bytes(),
    };
    admin.store.apply(update(&material, "1")).unwrap();
    let certs = admin.json("/certs").await;
    let listed = certs["certificates"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    let chain = listed.iter().find(|entry| entry["cert_chain"].is_array()).unwrap();
    assert_eq!(chain["cert_chain"][0]["subject_alt_names"][0]["uri"], uri);

    use base64::Engine;
    let secret = base64::engine::general_purpose::STANDARD.encode(&material.key);
    let (_, dump) = admin.request("GET", "/config_dump").await;
    assert!(!dump.contains(&secret[..40]));
    assert!(!dump.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn clusters_in_both_formats() {
    let admin = admin().await.with_clusters();
    let (_, text) = admin.request("GET", "/clusters").await;
    assert!(text.contains("outbound|80||a.b::added_via_api::true\n"), "{text}");
    assert!(text.contains("agent::127.0.0.1:15020::health_flags::healthy\n"), "{text}");
    let json = admin.json("/clusters?format=json").await;
    let statuses = json["cluster_statuses"].as_array().unwrap();
    let agent = statuses.iter().find(|status| status["name"] == "agent").unwrap();
    assert_eq!(agent["host_statuses"][0]["address"]["socket_address"]["port_value"], 15020);
    assert_eq!(agent["host_statuses"][0]["health_status"]["eds_health_status"], "HEALTHY");
}

#[tokio::test]
async fn changes_need_post_and_unknown_paths_get_help() {
    let mut admin = admin().await;
    for path in ["/quitquitquit", "/drain_listeners", "/healthcheck/fail", "/reset_counters"] {
        assert_eq!(admin.request("GET", path).await.0, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    let (status, body) = admin.request("GET", "/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.starts_with("invalid path. admin commands are:"));

    assert_eq!(admin.request("GET", "/ready").await, (StatusCode::OK, "LIVE\n".to_owned()));
    admin.request("POST", "/healthcheck/fail").await;
    assert_eq!(
        admin.request("GET", "/ready").await,
        (StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n".to_owned())
    );
    admin.request("POST", "/healthcheck/ok").await;
    assert_eq!(admin.json("/server_info").await["state"], "LIVE");

    admin.request("POST", "/drain_listeners?graceful").await;
    admin.request("POST", "/quitquitquit").await;
    assert_eq!(admin.orders.recv().await, Some(Order::Drain));
    assert_eq!(admin.orders.recv().await, Some(Order::Quit));
}

#[tokio::test]
async fn stats_are_picked_as_asked() {
    let admin = admin().await;
    let (_, text) = admin.request("GET", "/stats?filter=%5Eserver%5C.").await;
    assert!(
        text.lines().all(|line| line.starts_with("server.")) && text.contains("server.live: 1\n"),
        "{text}"
    );
    let json = admin.json("/stats?format=json&usedonly&type=Gauges").await;
    assert!(json["stats"].as_array().unwrap().iter().any(|stat| stat["name"] == "server.live"));
    assert_eq!(admin.request("GET", "/stats?filter=(").await.0, StatusCode::BAD_REQUEST);
    assert!(admin.json("/memory").await["total_physical_bytes"].as_str().unwrap().len() > 5);
}
