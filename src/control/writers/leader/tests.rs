//! The election against an API server that is a function.

use std::convert::Infallible;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server with one Lease, held by somebody who is gone.
fn server(renewed: &str) -> (Arc<Mutex<Value>>, Client) {
    let lease = Arc::new(Mutex::new(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "istio-leader", "namespace": "istio-system", "resourceVersion": "1"},
        "spec": {"holderIdentity": "istiod-gone", "leaseDurationSeconds": 10, "renewTime": renewed},
    })));
    let kept = lease.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let kept = kept.clone();
        async move {
            if request.method() == Method::PUT {
                let body =
                    axum::body::to_bytes(axum::body::Body::new(request.into_body()), 1 << 20).await.unwrap();
                *kept.lock().unwrap() = serde_json::from_slice(&body).unwrap();
            }
            let text = kept.lock().unwrap().to_string();
            Ok::<_, Infallible>(Response::new(Body::from(text.into_bytes())))
        }
    });
    (lease, Client::new(service, "istio-system"))
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_gone_is_replaced_though_the_clock_jumped_back() {
    let (lease, client) = server("2999-01-01T00:00:00.000000Z");
    let (_drain, watch) = sagene_base::drain::channel();
    let options = ControlPlaneOptions { pod_name: "istiod-here".to_owned(), ..Default::default() };
    let (mut leadership, election) = election(client, &options, Duty::Revision, watch);
    let election = tokio::spawn(election);
    let began = Instant::now();
    tokio::time::timeout(DURATION + PERIOD * 2, leadership.changed()).await.expect("elected in time");
    assert!(leadership.is_leader());
    assert!(began.elapsed() >= DURATION, "a holder that lives would have lost its Lease");
    assert_eq!(lease.lock().unwrap()["spec"]["holderIdentity"], "istiod-here");
    election.abort();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_gets_no_answer_gives_up_before_others_may_take_over() {
    let (lease, answering) = (Mutex::new(json!({})), std::sync::atomic::AtomicUsize::new(2));
    let kept = Arc::new((lease, answering));
    let service = tower::service_fn(move |request: Request<Body>| {
        let kept = kept.clone();
        async move {
            let (lease, answering) = &*kept;
            if answering.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err() {
                return std::future::pending().await;
            }
            if request.method() == Method::POST {
                let body = axum::body::Body::new(request.into_body());
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                *lease.lock().unwrap() = serde_json::from_slice(&body).unwrap();
            }
            let lease = lease.lock().unwrap().to_string();
            let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
            let (code, text) = if lease == "{}" { (404, status.to_string()) } else { (201, lease) };
            Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap())
        }
    });
    let (_drain, watch) = sagene_base::drain::channel();
    let options = ControlPlaneOptions { pod_name: "istiod-here".to_owned(), ..Default::default() };
    let client = Client::new(service, "istio-system");
    let (mut leadership, election) = election(client, &options, Duty::Revision, watch);
    let election = tokio::spawn(election);
    leadership.changed().await;
    assert!(leadership.is_leader());
    let began = Instant::now();
    leadership.changed().await;
    assert!(!leadership.is_leader() && began.elapsed() < DURATION, "{:?}", began.elapsed());
    election.abort();
}
