//! Certificates from a real authority over a real connection.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use prost::Message;
use sagene_base::readiness::Readiness;

use super::*;
use crate::agent::testing::FakeControlPlane;
use crate::config::type_url;

fn certificates(
    fake: &FakeControlPlane,
    folder: &std::path::Path,
    bundle: watch::Receiver<Vec<String>>,
) -> Certificates {
    Certificates {
        source: Box::new(Authority {
            server: fake.client(),
            spiffe_id: "spiffe://cluster.local/ns/b/sa/a".to_owned(),
            cluster_id: "Kubernetes".to_owned(),
            lifetime: None,
        }),
        store: ConfigStore::new(),
        saved: SavedState::new(folder.to_owned()),
        metrics: Arc::new(AgentMetrics::new(Arc::default())),
        trust_bundle: bundle,
        catch_up: Duration::ZERO,
        current: None,
        version: 0,
    }
}

fn secret(store: &ConfigStore, name: &str) -> Option<Vec<u8>> {
    let raw = store.resources(type_url::SECRET).into_iter().find(|raw| raw.name == name)?;
    let secret = Secret::decode(raw.resource?.value.as_slice()).unwrap();
    Some(secret.encode_to_vec())
}

#[tokio::test]
async fn a_certificate_is_obtained_kept_and_renewed_at_half_its_life() {
    // Three seconds of life: renewed after about one.
    let fake = FakeControlPlane::start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let (bundle, receiver) = watch::channel(Vec::new());
    let certificates = certificates(&fake, folder.path(), receiver);
    let store = Arc::clone(&certificates.store);
    let readiness = Readiness::new();
    let task = tokio::spawn(certificates.run(readiness.register("certificate")));
    tokio::time::timeout(Duration::from_secs(60), readiness.ready()).await.unwrap();
    let first = secret(&store, secrets::IDENTITY).unwrap();
    assert!(SavedState::new(folder.path().to_owned()).load_certificate().is_some());

    let mut changes = store.changes();
    let renewed = async {
        while secret(&store, secrets::IDENTITY).unwrap() == first {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();

    // A root that the mesh configuration adds is trusted beside the authority's own.
    let before = secret(&store, secrets::ROOT).unwrap().len();
    let other =
        rcgen::CertificateParams::default().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    bundle.send(vec![other.pem()]).unwrap();
    let mut changes = store.changes();
    let trusted = async {
        while secret(&store, secrets::ROOT).unwrap().len() <= before {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), trusted).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn the_last_certificate_serves_until_it_ends() {
    let fake = FakeControlPlane::start(3600).await;
    let folder = tempfile::tempdir().unwrap();
    let (_bundle, receiver) = watch::channel(Vec::new());
    let mut first = certificates(&fake, folder.path(), receiver.clone());
    first.renew().await.unwrap();

    let mut restarted = certificates(&fake, folder.path(), receiver.clone());
    restarted.restore();
    assert!(restarted.current.is_some());
    assert!(secret(&restarted.store, secrets::IDENTITY).is_some());

    let ended = FakeControlPlane::start(0).await;
    let mut late = certificates(&ended, folder.path(), receiver);
    assert!(matches!(late.renew().await, Err(CertificateError::Expired(_))));
    assert!(late.current.is_none());
}

#[tokio::test]
async fn other_roots_bring_the_next_certificate_forward() {
    let fake = FakeControlPlane::start(3600).await;
    let folder = tempfile::tempdir().unwrap();
    let (bundle, receiver) = watch::channel(Vec::new());
    let certificates = certificates(&fake, folder.path(), receiver);
    let store = Arc::clone(&certificates.store);
    let readiness = Readiness::new();
    let task = tokio::spawn(certificates.run(readiness.register("certificate")));
    tokio::time::timeout(Duration::from_secs(60), readiness.ready()).await.unwrap();
    let first = secret(&store, secrets::IDENTITY).unwrap();

    let key = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let mut changes = store.changes();
    bundle.send(vec![other.pem()]).unwrap();
    let renewed = async {
        while secret(&store, secrets::IDENTITY).unwrap() == first {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();
    task.abort();
}
