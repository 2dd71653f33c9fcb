//! The whole way from a control plane's stream to the configuration in force.

use std::path::Path;

use arc_swap::ArcSwap;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ConfigSource, config_source::ConfigSourceSpecifier,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use sagene_base::readiness::Readiness;

use super::*;
use crate::agent::testing::FakeControlPlane;
use crate::dns::NameTable;

struct Running {
    store: Arc<ConfigStore>,
    readiness: Readiness,
    task: tokio::task::JoinHandle<()>,
}

fn start(fake: &FakeControlPlane, folder: &Path) -> Running {
    let store = ConfigStore::new();
    let readiness = Readiness::new();
    let gate = readiness.register("configuration");
    let mut discovery = Discovery {
        control_plane: fake.client(),
        node: Node { id: "sidecar~10.0.0.1~a.b~b.svc.cluster.local".to_owned(), ..Node::default() },
        cluster_id: "Kubernetes".to_owned(),
        state: DiscoveryState::new(Arc::clone(&store), Arc::new(ArcSwap::from_pointee(NameTable::default()))),
        store: Arc::clone(&store),
        saved: SavedState::new(folder.to_owned()),
        metrics: Arc::new(AgentMetrics::new(Arc::default())),
        with_names: false,
    };
    discovery.restore();
    Running { store, readiness, task: tokio::spawn(discovery.run(gate)) }
}

fn eds_cluster(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(ConfigSource {
                config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
                ..ConfigSource::default()
            }),
            service_name: name.to_owned(),
        }),
        ..Cluster::default()
    }
}

fn assignment(name: &str) -> ClusterLoadAssignment {
    ClusterLoadAssignment { cluster_name: name.to_owned(), ..ClusterLoadAssignment::default() }
}

async fn names(store: &ConfigStore, type_url: &str, expected: &[&str]) {
    let mut changes = store.changes();
    let wait = async {
        loop {
            let found: Vec<String> = store.resources(type_url).into_iter().map(|raw| raw.name).collect();
            if found == expected {
                return;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

#[tokio::test]
async fn ready_once_clusters_listeners_and_all_they_name_are_there() {
    let fake = FakeControlPlane::start(60).await;
    let folder = tempfile::tempdir().unwrap();
    fake.set(type_url::CLUSTER, "a", Some(&eds_cluster("a")));
    let running = start(&fake, folder.path());
    names(&running.store, type_url::CLUSTER, &["a"]).await;
    assert!(!running.readiness.is_ready());
    fake.set(type_url::ENDPOINT, "a", Some(&assignment("a")));
    tokio::time::timeout(Duration::from_secs(60), running.readiness.ready()).await.unwrap();
    names(&running.store, type_url::ENDPOINT, &["a"]).await;

    // What is gone is forgotten, with what only it needed.
    fake.set(type_url::CLUSTER, "a", None::<&Cluster>);
    names(&running.store, type_url::CLUSTER, &[]).await;
    names(&running.store, type_url::ENDPOINT, &[]).await;
}

#[tokio::test]
async fn a_refused_resource_is_named_and_the_others_are_in_force() {
    let fake = FakeControlPlane::start(60).await;
    let folder = tempfile::tempdir().unwrap();
    fake.set(type_url::CLUSTER, "good", Some(&eds_cluster("good")));
    let mut unusable = eds_cluster("bad");
    unusable.cluster_discovery_type = Some(ClusterDiscoveryType::ClusterType(
        envoy_types::pb::envoy::config::cluster::v3::cluster::CustomClusterType {
            name: "made.up".to_owned(),
            typed_config: None,
        },
    ));
    fake.set(type_url::CLUSTER, "bad", Some(&unusable));
    let running = start(&fake, folder.path());
    let refused = async {
        while fake.refusals.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.unwrap();
    let refusal = fake.refusals.lock().unwrap()[0].clone();
    assert!(refusal.contains("envoy.config.cluster.v3.Cluster") && refusal.contains("\"bad\""), "{refusal}");
    let good = running.store.resources(type_url::CLUSTER).into_iter().find(|raw| raw.name == "good").unwrap();
    assert!(good.resource.is_some());

    // One that never had all of its configuration is not ready; it is as soon as it has.
    fake.set(type_url::ENDPOINT, "good", Some(&assignment("good")));
    let listener = crate::agent::bootstrap::test_listener();
    fake.set(type_url::LISTENER, &listener.name, Some(&listener));
    names(&running.store, type_url::ENDPOINT, &["good"]).await;
    names(&running.store, type_url::LISTENER, &[&listener.name]).await;
    assert!(!running.readiness.is_ready());
    fake.set(type_url::CLUSTER, "bad", None::<&Cluster>);
    tokio::time::timeout(Duration::from_secs(60), running.readiness.ready()).await.unwrap();

    // What is refused later changes nothing of that.
    fake.set(type_url::CLUSTER, "bad", Some(&unusable));
    names(&running.store, type_url::CLUSTER, &["bad", "good"]).await;
    assert!(running.readiness.is_ready());
}

#[tokio::test]
async fn a_restarted_proxy_serves_with_the_control_plane_down_and_catches_up_later() {
    let fake = FakeControlPlane::start(60).await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fake.set(type_url::CLUSTER, name, Some(&eds_cluster(name)));
        fake.set(type_url::ENDPOINT, name, Some(&assignment(name)));
    }
    // Listeners are needed for readiness; one that no data path refuses.
    let listener = crate::agent::bootstrap::test_listener();
    fake.set(type_url::LISTENER, &listener.name, Some(&listener));
    let first = start(&fake, folder.path());
    tokio::time::timeout(Duration::from_secs(60), first.readiness.ready()).await.unwrap();
    let file = folder.path().join("last-good-configuration.pb");
    let saved = async {
        let kept = || SavedState::new(folder.path().to_owned()).load_configuration();
        while kept().iter().map(|update| update.upserts.len()).sum::<usize>() < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), saved).await.unwrap();
    assert!(file.exists());
    first.task.abort();

    // The control plane is unreachable: everything is there all the same.
    let mut nobody = fake.clone();
    let closed = closed_port();
    nobody.address = closed.local_addr().unwrap();
    let second = start(&nobody, folder.path());
    tokio::time::timeout(Duration::from_secs(60), second.readiness.ready()).await.unwrap();
    names(&second.store, type_url::CLUSTER, &["a", "b"]).await;
    second.task.abort();

    // Meanwhile a cluster went away; the control plane's first answer leaves it out.
    fake.set(type_url::CLUSTER, "b", None::<&Cluster>);
    let third = start(&fake, folder.path());
    names(&third.store, type_url::CLUSTER, &["a"]).await;
    names(&third.store, type_url::ENDPOINT, &["a"]).await;
}

/// A port where nobody listens, and that nobody else gets for as long as this lives.
fn closed_port() -> tokio::net::TcpSocket {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket
}
