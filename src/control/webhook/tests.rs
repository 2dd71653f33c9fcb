//! The validation webhook over a real connection.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn post(path: &str, body: &Value) -> (String, Value) {
    let webhooks = Webhooks {
        store: Store::new(),
        options: Arc::new(ControlPlaneOptions::default()),
        metrics: Arc::new(Metrics::new("test")),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(axum::serve(listener, router(Arc::new(webhooks))).into_future());
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    server.abort();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn review(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE",
        "name": "a", "namespace": "n", "resource": {"group": "networking.istio.io", "version": "v1", "resource": "x"},
        "object": {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "a", "namespace": "n"}, "spec": spec}}})
}

#[tokio::test]
async fn refusals_warnings_and_nonsense() {
    let (status, refused) =
        post("/validate", &review("Sidecar", json!({"egress": [{"hosts": ["a.com"]}]}))).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(refused["response"]["uid"], "u");
    assert_eq!(refused["response"]["allowed"], false);
    assert_eq!(
        refused["response"]["status"]["message"],
        "configuration is invalid: spec.egress[0].hosts[0]: sidecar: host \"a.com\" must be of form namespace/dnsName, such as ./a.com or */a.com"
    );
    let warned = json!({"host": "a", "trafficPolicy": {"outlierDetection": {"consecutiveErrors": 5}}});
    let (_, warned) = post("/validate", &review("DestinationRule", warned)).await;
    assert_eq!(warned["response"]["allowed"], true);
    assert!(
        warned["response"]["warnings"][0].as_str().unwrap_or_default().contains("consecutiveErrors"),
        "{warned}"
    );
    let (_, fine) = post("/validate", &review("DestinationRule", json!({"host": "a"}))).await;
    assert_eq!(fine["response"], json!({"uid": "u", "allowed": true}));
    assert_eq!(post("/validate", &json!({"no": "review"})).await.0, "HTTP/1.1 400 Bad Request");
}
