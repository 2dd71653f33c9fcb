//! Keys from a real server: fetched when a rule asks for them, again when they change, kept when the server is gone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagene_api::istio::security::RequestAuthentication;
use sagene_store::Store;
use sagene_store::memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::fetch::Fetcher;
use super::{KeySets, Refresh, Source, run};
use crate::generate::tests::object;
use crate::metrics::Metrics;
use crate::options::Network;

const KEYS: &str = r#"{"keys":[{"kty":"oct","k":"YQ"}]}"#;
const OTHER_KEYS: &str = r#"{"keys":[{"kty":"oct","k":"Yg"}]}"#;

/// Serves the text at every path, and an OpenID configuration at its own.
async fn serve(listener: TcpListener, keys: Arc<Mutex<String>>, asked: Arc<AtomicUsize>) {
    let address = listener.local_addr().expect("address");
    while let Ok((mut socket, _)) = listener.accept().await {
        let mut head = vec![0; 8192];
        let Ok(read) = socket.read(&mut head).await else { continue };
        asked.fetch_add(1, Ordering::SeqCst);
        let body = if head[..read].starts_with(b"GET /.well-known/openid-configuration ") {
            format!("{{\"jwks_uri\": \"http://{address}/keys\"}}")
        } else {
            keys.lock().expect("keys").clone()
        };
        let answer =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let _ = socket.write_all(answer.as_bytes()).await;
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn keys_are_fetched_and_their_rotation_is_noticed() {
    sagene_base::crypto::install();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (served, asked) = (Arc::new(Mutex::new(KEYS.to_owned())), Arc::<AtomicUsize>::default());
    let server = tokio::spawn(serve(listener, served.clone(), asked.clone()));
    // One that takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let hangs = silent.local_addr().expect("address");
    let rules = object::<RequestAuthentication>(&format!(
        "{{metadata: {{name: a, namespace: shop}}, spec: {{jwtRules: [\
         {{issuer: one, jwksUri: 'http://{address}/certs'}}, {{issuer: 'http://{address}'}}, {{issuer: x, jwks: own}}, \
         {{issuer: slow, jwksUri: 'http://{hangs}/', timeout: 3600s}}]}}}}"
    ));
    let store = Store::new();
    let (keys, told) = (Arc::<KeySets>::default(), Arc::<Mutex<BTreeSet<String>>>::default());
    let heard = told.clone();
    let refresh = Refresh {
        store: store.clone(),
        keys: keys.clone(),
        metrics: Arc::new(Metrics::new("test")),
        interval: Duration::from_millis(50),
        closed: Network::LINK_LOCAL.to_vec(),
        changed: move |namespaces: &BTreeSet<String>| heard.lock().expect("told").extend(namespaces.clone()),
    };
    let running = tokio::spawn(run(refresh, store.subscribe()));
    let of = |index: usize| keys.of_rule(&rules.spec.jwt_rules[index]);
    assert!(of(0).contains("nobody"), "before the first fetch no token passes");
    assert!(of(2).contains("nobody"), "keys that proxies would refuse stand in for none either");
    let mut memory = Memory::new(&store);
    let mut value = serde_json::to_value(&*rules).expect("JSON");
    value["apiVersion"] = "security.istio.io/v1".into();
    value["kind"] = "RequestAuthentication".into();
    memory.apply(value).expect("a known kind");
    memory.publish();
    until("fetched", || &*of(0) == KEYS && &*of(1) == KEYS).await;
    assert_eq!(*told.lock().expect("told"), BTreeSet::from(["shop".to_owned()]));
    OTHER_KEYS.clone_into(&mut served.lock().expect("keys"));
    until("rotated", || &*of(0) == OTHER_KEYS).await;
    "not keys".clone_into(&mut served.lock().expect("keys"));
    let before = asked.load(Ordering::SeqCst);
    until("asked again", || asked.load(Ordering::SeqCst) > before + 2).await;
    assert_eq!(&*of(0), OTHER_KEYS, "what was known stays");
    "{\"keys\":[]}".clone_into(&mut served.lock().expect("keys"));
    until("taken back", || of(0).contains("nobody")).await;
    running.abort();
    server.abort();
}

#[tokio::test]
async fn closed_networks_are_not_asked_by_address_by_name_nor_after_a_redirect() {
    sagene_base::crypto::install();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let server = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let head =
                "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/keys\r\ncontent-length: 0\r\n\r\n";
            let _ = socket.read(&mut [0; 8192]).await;
            let _ = socket.write_all(head.as_bytes()).await;
        }
    });
    let told = async |closed: &[Network], location: &str| {
        let fetcher = Fetcher::new(closed).expect("a client");
        let answer = fetcher.keys(&Source::Keys(location.to_owned()), Duration::from_secs(60)).await;
        sagene_base::task::error_chain(&answer.expect_err("closed"))
    };
    let loopback = ["127.0.0.0/8".parse().expect("a network"), "::1".parse().expect("an address")];
    for (closed, location, address) in [
        (&Network::LINK_LOCAL[..], "http://169.254.169.254/keys".to_owned(), "169.254.169.254"),
        (&Network::LINK_LOCAL[..], "http://[::ffff:169.254.169.254]/keys".to_owned(), "169.254.169.254"),
        (&Network::LINK_LOCAL[..], format!("http://127.0.0.1:{port}/keys"), "169.254.169.254"),
        (&loopback[..], format!("http://localhost:{port}/keys"), "127.0.0.1"),
    ] {
        let told = told(closed, &location).await;
        assert!(
            told.contains(&format!("{address} is an address that keys are not fetched from")),
            "{location}: {told}"
        );
    }
    server.abort();
}
