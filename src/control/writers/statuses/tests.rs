//! Statuses against an API server that is a function.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Method, Request, Response};
use kube::client::Body;
use sagene_identity::authority::{CertificateAuthority, Lifetimes, self_signed};
use sagene_identity::succession::{Succession, Terms};
use sagene_store::{Store, memory::Memory};

use super::*;
use crate::discovery::push;
use crate::options::ControlPlaneOptions;
use crate::security::authorities::Authorities;

/// An API server with one object, whose status is what it was told last.
fn server(object: &Value) -> (Arc<Mutex<Value>>, Client) {
    let object = Arc::new(Mutex::new(object.clone()));
    let kept = object.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let kept = kept.clone();
        async move {
            if request.method() == Method::PATCH {
                let body = axum::body::Body::new(request.into_body());
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let patch: Value = serde_json::from_slice(&body).unwrap();
                kept.lock().unwrap()["status"] = patch["status"].clone();
            }
            let text = kept.lock().unwrap().to_string();
            Ok::<_, Infallible>(Response::new(Body::from(text.into_bytes())))
        }
    });
    (object, Client::new(service, "default"))
}

fn discovery(client: &Client, store: &Store) -> Arc<Discovery> {
    let options = Arc::new(ControlPlaneOptions::default());
    let hour = Duration::from_secs(3600);
    let material = self_signed("cluster.local", hour).unwrap();
    let authority = CertificateAuthority::new(material, Lifetimes::default()).unwrap();
    let succession = Succession::new(authority, Vec::new(), Terms { announcement: hour, retirement: hour });
    let authorities = Arc::new(Authorities::new(succession, options.clone()));
    let domain = "cluster.local".to_owned();
    crate::control_plane::discovery(&options, client, store.clone(), authorities, domain).unwrap()
}

async fn until(object: &Mutex<Value>, what: &str, holds: impl Fn(&Value) -> bool) {
    let waits = async {
        while !holds(&object.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), waits).await;
    assert!(told.is_ok(), "{what}: {}", object.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_follow_an_index_that_is_late_and_objects_that_are_made_again() {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "front", "namespace": "shop", "generation": 1, "uid": "one", "resourceVersion": "1"},
        "spec": {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    });
    let (object, client) = server(&gateway);
    let store = Store::new();
    let mut memory = Memory::new(&store);
    let discovery = discovery(&client, &store);
    push::begin(&discovery);
    let (_refused, refused) = watch::channel(Refused::new());
    let writer = write(client, discovery.clone(), store.subscribe(), Leadership::held(), refused);
    let writer = tokio::spawn(writer);

    memory.apply(gateway.clone()).unwrap();
    memory.publish();
    // Several looks find nothing of it in the index, which a busy control plane makes late.
    tokio::time::sleep(QUIET * 5).await;
    assert!(object.lock().unwrap().get("status").is_none());
    push::begin(&discovery);
    until(&object, "a status", |object| object["status"]["conditions"].is_array()).await;

    // Deleted and made again before anybody looked.
    *object.lock().unwrap() = gateway.clone();
    memory.delete(gateway.clone()).unwrap();
    memory.apply(gateway).unwrap();
    memory.publish();
    until(&object, "a status again", |object| object["status"]["conditions"].is_array()).await;
    writer.abort();
}
