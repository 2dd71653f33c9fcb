//! The watch against an API server that is a function.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::json;
use tokio::sync::Notify;

use super::*;

/// An API server that knows no kind but definitions, until it is told that VirtualServices exist.
#[derive(Default)]
struct Server {
    refused: AtomicUsize,
    listed: AtomicUsize,
    known: AtomicBool,
    learned: Notify,
}

impl Server {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if query.contains("watch=true") {
            return self.watch(path).await;
        }
        if path.ends_with("/customresourcedefinitions") {
            return list();
        }
        if self.known.load(Ordering::SeqCst) {
            self.listed.fetch_add(1, Ordering::SeqCst);
            return list();
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
            "reason": "NotFound", "message": "the server could not find the requested resource" });
        let mut response = Response::new(Body::from(status.to_string().into_bytes()));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }

    /// Says once that a definition came, when it does.
    async fn watch(&self, path: &str) -> Response<Body> {
        if !path.ends_with("/customresourcedefinitions") {
            return std::future::pending().await;
        }
        self.learned.notified().await;
        let metadata = json!({ "name": "virtualservices.networking.istio.io", "resourceVersion": "2" });
        let object =
            json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata });
        Response::new(Body::from(format!("{}\n", json!({ "type": "ADDED", "object": object })).into_bytes()))
    }
}

fn list() -> Response<Body> {
    let list =
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] });
    Response::new(Body::from(list.to_string().into_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_there_is_empty_at_once_asked_for_rarely_and_found_when_it_comes() {
    let server = Arc::new(Server::default());
    let answering = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = answering.clone();
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let client = Client::new(service, "default");
    let store = Store::default();
    let options = WatchOptions { kinds: vec![Kind::VirtualService], only_in: Vec::new() };
    watch(&client, &store, &options).wait().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let refused = server.refused.load(Ordering::SeqCst);
    assert!((2..30).contains(&refused), "asked {refused} times in five minutes");

    // The definition is told before its kind is served.
    server.learned.notify_one();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.known.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.listed.load(Ordering::SeqCst), 1);
}

/// An API server whose VirtualServices are told one list after the other: the history between them is lost, or the server is away.
#[derive(Default)]
struct Forgetful {
    lists: AtomicUsize,
    away: AtomicBool,
    cut: Notify,
}

impl Forgetful {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if self.away.load(Ordering::SeqCst) {
            let mut response = Response::new(Body::from(b"upstream is gone".to_vec()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return response;
        }
        if path.ends_with("/customresourcedefinitions") {
            return if query.contains("watch=true") { std::future::pending().await } else { list() };
        }
        if query.contains("watch=true") {
            self.cut.notified().await;
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                "reason": "Expired", "message": "too old resource version" });
            let line = format!("{}\n", json!({ "type": "ERROR", "object": status }));
            return Response::new(Body::from(line.into_bytes()));
        }
        let number = self.lists.fetch_add(1, Ordering::SeqCst) + 1;
        let item = json!({ "kind": "VirtualService", "apiVersion": "networking.istio.io/v1",
            "metadata": { "name": format!("of-list-{number}"), "namespace": "shop" }, "spec": { "hosts": ["a"] } });
        let list = json!({ "kind": "List", "apiVersion": "v1",
            "metadata": { "resourceVersion": number.to_string() }, "items": [item] });
        Response::new(Body::from(list.to_string().into_bytes()))
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_nothing_stale_is_left_and_while_the_server_is_away_what_is_known_stays() {
    let server = Arc::new(Forgetful::default());
    let answering = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = answering.clone();
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let client = Client::new(service, "default");
    let store = Store::default();
    let options = WatchOptions { kinds: vec![Kind::VirtualService], only_in: Vec::new() };
    watch(&client, &store, &options).wait().await;
    let known = || {
        let names: Vec<String> =
            store.snapshot().virtual_services.iter().map(|object| object.metadata.name.clone()).collect();
        names.join(" ")
    };
    let until = async |wanted: &str| {
        let comes = async {
            while known() != wanted {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), comes).await.unwrap_or_else(|_| panic!("{}", known()));
    };
    until("of-list-1").await;
    server.cut.notify_one();
    until("of-list-2").await;

    server.away.store(true, Ordering::SeqCst);
    server.cut.notify_one();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(known(), "of-list-2");
    server.away.store(false, Ordering::SeqCst);
    until("of-list-3").await;
}
