//! Client and server over real sockets.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use sagene_base::connect::TcpConnect;

use super::*;
use crate::{
    Resource,
    client::{Client, ClientOptions, Event, Events, Subscription, Update},
    session::Push,
    type_url,
};

#[derive(Default)]
struct Counter {
    version: AtomicU64,
    nacks: AtomicU64,
    /// Responses by node.
    sent: Mutex<BTreeMap<String, usize>>,
}

impl Handler for Counter {
    type Peer = ();

    fn admit<'a>(&'a self, _: &'a Parts, _: &'a Node) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn rules(&self, _: &str) -> Option<TypeRules> {
        Some(TypeRules { wildcard: true, removals: true })
    }

    fn fetch(&self, (): &(), type_url: &str, _: Requested<'_>) -> Arc<ResourceSet> {
        let number = self.version.load(Ordering::SeqCst);
        let clusters = (0..3).map(|index| {
            let changing = if index == 0 { number } else { 0 };
            let alt_stat_name = format!("{changing}{}", "x".repeat(100_000));
            let cluster = Cluster { name: format!("c{index}"), alt_stat_name, ..Default::default() };
            Arc::new(Resource::encode(cluster.name.clone(), type_url, &cluster))
        });
        ResourceSet::new(clusters.collect())
    }

    fn answer<'a>(
        &'a self,
        _: &'a Arc<Connection<()>>,
        _: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Vec<Bytes>>, Status>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn noted(&self, _: &Connection<()>, _: &str, verdict: &Verdict) {
        if matches!(verdict, Verdict::Nack(_)) {
            self.nacks.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn sent(&self, connection: &Connection<()>, _: &Response, _: Duration) {
        *self.sent.lock().unwrap().entry(connection.node.id.clone()).or_default() += 1;
    }

    fn identifier(&self) -> &str {
        "test"
    }
}

async fn serve(service: DiscoveryService<Counter>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                builder.serve_connection(TokioIo::new(stream), service).await.map_err(|_| ())
            });
        }
    });
    port
}

async fn update(events: &mut Events) -> Update {
    loop {
        match tokio::time::timeout(Duration::from_secs(60), events.next()).await.unwrap().unwrap() {
            Event::Update(update) => return update,
            Event::Connected | Event::Disconnected { .. } => {}
        }
    }
}

async fn wait_until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("comes true in time");
}

fn names(update: &Update) -> Vec<&str> {
    update.upserts.iter().map(|(name, _, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_client_is_told_of_changes_and_of_nothing_twice_even_over_a_reconnect() {
    let handler = Arc::new(Counter::default());
    let connections = Connections::default();
    let port = serve(DiscoveryService::new(handler.clone(), connections.clone(), Limits::default())).await;
    for protocol in [crate::client::Protocol::Delta, crate::client::Protocol::StateOfTheWorld] {
        let delta = protocol == crate::client::Protocol::Delta;
        let node = Node { id: "sidecar~127.0.0.1~a.b~b.svc".into(), ..Default::default() };
        let mut options = ClientOptions::new(node, "test");
        options.protocol = protocol;
        let (client, mut events) = Client::spawn(options, Arc::new(TcpConnect::new("127.0.0.1", port)));
        client.subscribe(type_url::CLUSTER, Subscription::Wildcard);
        let first = update(&mut events).await;
        assert_eq!(names(&first), ["c0", "c1", "c2"]);
        client.accept(&first);
        handler.version.fetch_add(1, Ordering::SeqCst);
        let connection = connections.all().pop().unwrap();
        connection.settled().await;
        connection.push(&Push::everything());
        let second = update(&mut events).await;
        assert!(!connection.is_settled(), "the client has not said anything yet");
        assert_eq!(names(&second), if delta { vec!["c0"] } else { vec!["c0", "c1", "c2"] });
        client.reject(&second, "no", vec!["c0".into()]);
        wait_until(|| handler.nacks.swap(0, Ordering::SeqCst) > 0).await;
        connection.settled().await;
        connection.disconnect();
        let third = update(&mut events).await;
        // The rejected version is sent again; what was accepted is not.
        assert_eq!(names(&third), if delta { vec!["c0"] } else { vec!["c0", "c1", "c2"] });
        client.accept(&third);
        drop((client, events));
        wait_until(|| connections.is_empty()).await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_gets_no_more_than_its_buffers_hold_and_holds_up_nobody() {
    let handler = Arc::new(Counter::default());
    let connections = Connections::default();
    let port = serve(DiscoveryService::new(handler.clone(), connections.clone(), Limits::default())).await;
    let connect = |id: &str| {
        let options = ClientOptions::new(Node { id: id.into(), ..Default::default() }, "test");
        let (client, events) = Client::spawn(options, Arc::new(TcpConnect::new("127.0.0.1", port)));
        client.subscribe(type_url::CLUSTER, Subscription::Wildcard);
        (client, events)
    };
    let stuck = connect("stuck");
    wait_until(|| connections.len() == 1).await;
    let (client, mut events) = connect("reader");
    client.accept(&update(&mut events).await);
    for _ in 0..200 {
        handler.version.fetch_add(1, Ordering::SeqCst);
        connections.all().iter().for_each(|connection| connection.push(&Push::everything()));
        client.accept(&update(&mut events).await);
    }
    let sent = handler.sent.lock().unwrap().clone();
    assert!(sent["reader"] > 200, "{sent:?}");
    // Its own windows and buffers hold some.
    assert!(sent["stuck"] < 60, "{sent:?}");
    let left = connections.all().into_iter().find(|one| one.node.id == "stuck").unwrap();
    assert!(!left.is_settled());
    drop(stuck);
    left.settled().await;
}
