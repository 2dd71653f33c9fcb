//! The election against an API server that is a function.

use std::convert::Infallible;
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
