//! A real webhook over TLS: it injects a label, denies by name, and is down at the end.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::TestServer;
use crate::api_client::{ApiClient, DeleteOptions, ResourceRef};

async fn review(Json(review): Json<Value>) -> Json<Value> {
    let request = &review["request"];
    assert_eq!(request["userInfo"]["username"], "system:apiserver");
    let denied = request["name"] == "denied";
    let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"injected": "yes"}}]).to_string();
    let response = json!({"uid": request["uid"], "allowed": !denied, "status": {"message": "not this one"},
        "patchType": "JSONPatch", "patch": STANDARD.encode(patch)});
    Json(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}))
}

/// Serves the webhook as `hook.default.svc` and returns its address and CA bundle.
async fn serve() -> (SocketAddr, String, tokio::task::JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["hook.default.svc".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(sagene_base::crypto::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/inject", post(review));
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    (address, STANDARD.encode(certificate.pem()), task)
}

/// A webhook that takes connections and never answers holds a request up for as long as it may, and no longer; the `failurePolicy` says what
/// becomes of the request then.
async fn a_webhook_that_hangs(client: &ApiClient, configurations: &ResourceRef, bundle: &str) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let change = |policy: &str| {
        json!({"webhooks": [{"name": "inject.example.com", "failurePolicy": policy, "timeoutSeconds": 1,
            "clientConfig": {"url": format!("https://{address}/silent"), "caBundle": bundle},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
            "sideEffects": "None", "admissionReviewVersions": ["v1"]}]})
    };
    let before = client.get(configurations, "", "hook").await.unwrap();
    client.merge_patch(configurations, "", "hook", "", change("Fail")).await.unwrap();
    let map = json!({"metadata": {"name": "held-up"}});
    let failed = client.create(&ResourceRef::CONFIG_MAPS, "default", map.clone()).await.unwrap_err();
    let expected = format!("Post \"https://{address}/silent?timeout=1s\": context deadline exceeded");
    assert!(failed.message.ends_with(&expected), "{failed}");
    client.merge_patch(configurations, "", "hook", "", change("Ignore")).await.unwrap();
    client.create(&ResourceRef::CONFIG_MAPS, "default", map).await.unwrap();
    let webhooks = json!({"webhooks": before["webhooks"]});
    client.merge_patch(configurations, "", "hook", "", webhooks).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_injects_denies_and_fails_closed() {
    let server = TestServer::start().await;
    let client = &server.running.client;
    let (address, bundle, task) = serve().await;
    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"name": "https", "port": 443}]}});
    client.create(&ResourceRef::SERVICES, "default", service).await.unwrap();
    let slice = json!({"metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port()}]});
    client.create(&ResourceRef::ENDPOINT_SLICES, "default", slice).await.unwrap();
    let configurations = ResourceRef::new(
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        false,
    );
    let configuration = json!({"metadata": {"name": "hook"}, "webhooks": [{"name": "inject.example.com",
        "clientConfig": {"service": {"name": "hook", "namespace": "default", "path": "/inject"}, "caBundle": bundle},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
        "matchConditions": [{"name": "not-left-alone", "expression": "!object.metadata.name.startsWith('left-')"}],
        "sideEffects": "None", "admissionReviewVersions": ["v1"]}]});
    let mut wrong = configuration.clone();
    wrong["webhooks"][0]["matchConditions"][0]["expression"] = json!("object.");
    let refused = client.create(&configurations, "", wrong).await.unwrap_err();
    assert!(refused.message.contains("matchConditions[0].expression"), "{refused}");
    client.create(&configurations, "", configuration).await.unwrap();

    let map = |name: &str| json!({"metadata": {"name": name}});
    let injected = client.create(&ResourceRef::CONFIG_MAPS, "default", map("a")).await.unwrap();
    assert_eq!(injected["metadata"]["labels"]["injected"], "yes");
    let left = client.create(&ResourceRef::CONFIG_MAPS, "default", map("left-alone")).await.unwrap();
    assert!(left["metadata"]["labels"].is_null());
    let denied = client.create(&ResourceRef::CONFIG_MAPS, "default", map("denied")).await.unwrap_err();
    assert_eq!(denied.message, "admission webhook \"inject.example.com\" denied the request: not this one");
    let elsewhere = client.create(&ResourceRef::CONFIG_MAPS, "kube-system", map("a")).await.unwrap();
    assert!(elsewhere["metadata"]["labels"].is_null());

    task.abort();
    let _ = task.await;
    let failed = client.create(&ResourceRef::CONFIG_MAPS, "default", map("b")).await.unwrap_err();
    let expected = format!(
        "Internal error occurred: failed calling webhook \"inject.example.com\": failed to call webhook: \
         Post \"https://hook.default.svc:443/inject?timeout=10s\": dial tcp {address}: connect: connection refused"
    );
    assert_eq!(failed.message, expected);
    a_webhook_that_hangs(client, &configurations, &bundle).await;
    let skipping = json!({"metadata": {"name": "c", "labels": {"skip": "me"}}});
    client.create(&ResourceRef::CONFIG_MAPS, "default", skipping).await.unwrap();
    client.merge_patch(&configurations, "", "hook", "", json!({"webhooks": null})).await.unwrap();
    client.create(&ResourceRef::CONFIG_MAPS, "default", map("b")).await.unwrap();
    client.delete(&configurations, "", "hook", &DeleteOptions::default()).await.unwrap();
    server.running.shutdown().await;
}
