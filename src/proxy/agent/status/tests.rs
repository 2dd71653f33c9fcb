//! The agent's port over real sockets, with a real application behind it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::StatusCode;
use sagene_base::readiness::Readiness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::agent::http_server::serve;
use crate::agent::lifecycle::Order;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An application that answers every request with what `answer` makes of its head.
async fn application(answer: fn(&str) -> String) -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            let mut head = format!("peer: {}\n", peer.ip()).into_bytes();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes()).await.unwrap();
        }
    });
    port
}

fn plain(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

struct Agent {
    address: SocketAddr,
    readiness: Readiness,
    orders: crate::agent::lifecycle::Orders,
}

async fn agent(probers: &str, annotations: &str) -> Agent {
    let readiness = Readiness::new();
    let (lifecycle, orders) = Lifecycle::new();
    let server = StatusServer {
        health: Health::new(readiness.clone()),
        lifecycle,
        probes: Probes::parse(probers, LOOPBACK).unwrap(),
        stats: Arc::default(),
        metrics: Arc::new(AgentMetrics::new(Arc::default())),
        scrape: ScrapeTarget::parse(annotations).unwrap(),
        names: Arc::default(),
    };
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(server)));
    Agent { address, readiness, orders }
}

async fn request(address: SocketAddr, method: &str, path: &str) -> (StatusCode, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nuser-agent: kube-probe/1.34\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn readiness_is_said_explicitly_and_names_what_is_missing() {
    let agent = agent("", "").await;
    let gate = agent.readiness.register("certificate");
    let (status, body) = request(agent.address, "GET", "/healthz/ready").await;
    assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "waiting for certificate\n"));
    gate.ready();
    assert_eq!(request(agent.address, "GET", "/healthz/ready").await.0, StatusCode::OK);
    assert_eq!(request(agent.address, "HEAD", "/healthz/ready").await, (StatusCode::OK, String::new()));
}

#[tokio::test]
async fn http_probes_reach_the_application_as_their_author_wrote_them() {
    let port = application(|head| {
        let as_written = head.starts_with("peer: 127.0.0.6\nGET /health?deep=1 HTTP/1.1")
            && head.contains("user-agent: kube-probe/1.34")
            && head.contains("x-own: yes")
            && head.contains("host: app.example.com");
        plain(if as_written { "200 OK" } else { "418 teapot" }, "", "")
    })
    .await;
    let probers = format!(
        r#"{{"/app-health/app/readyz":{{"httpGet":{{"path":"/health?deep=1","port":{port},"scheme":"HTTP","httpHeaders":[{{"name":"X-Own","value":"yes"}},{{"name":"Host","value":"app.example.com"}}]}},"timeoutSeconds":2}}}}"#
    );
    let agent = agent(&probers, "").await;
    assert_eq!(request(agent.address, "GET", "/app-health/app/readyz").await.0, StatusCode::OK);
    assert_eq!(request(agent.address, "GET", "/app-health/app/livez").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn redirects_are_followed_only_inside_the_application() {
    let port = application(|head| match head.split(' ').nth(2).unwrap() {
        "/inside" => plain("302 Found", "location: /ok\r\n", ""),
        "/outside" => plain("302 Found", "location: http://169.254.169.254/secret\r\n", ""),
        "/loop" => plain("302 Found", "location: /loop\r\n", ""),
        _ => plain("200 OK", "", ""),
    })
    .await;
    let probe =
        |path: &str| format!(r#""/app-health/app{path}":{{"httpGet":{{"path":"{path}","port":{port}}}}}"#);
    let agent =
        agent(&format!("{{{},{},{}}}", probe("/inside"), probe("/outside"), probe("/loop")), "").await;
    assert_eq!(request(agent.address, "GET", "/app-health/app/inside").await.0, StatusCode::OK);
    assert_eq!(request(agent.address, "GET", "/app-health/app/outside").await.0, StatusCode::FOUND);
    assert_eq!(
        request(agent.address, "GET", "/app-health/app/loop").await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn tcp_and_grpc_probes() {
    let open = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let closed = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap().port();
    let health = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let grpc = health.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = health.accept().await {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let mut body = request.into_body();
                let message = body.data().await.unwrap().unwrap();
                // Service "up" (field 1) is SERVING, every other NOT_SERVING.
                let status = if message.ends_with(b"up") { 1 } else { 2 };
                let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                send.send_data(bytes::Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false).unwrap();
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                send.send_trailers(trailers).unwrap();
            }
        }
    });
    let port = open.local_addr().unwrap().port();
    let agent = agent(
        &format!(
            r#"{{"/app-health/a/livez":{{"tcpSocket":{{"port":{port}}}}},"/app-health/b/livez":{{"tcpSocket":{{"port":{closed}}}}},
               "/app-health/c/livez":{{"grpc":{{"port":{grpc},"service":"up"}}}},"/app-health/d/livez":{{"grpc":{{"port":{grpc},"service":null}}}}}}"#
        ),
        "",
    )
    .await;
    for (path, expected) in [("a", 200), ("b", 500), ("c", 200), ("d", 500)] {
        let (status, _) = request(agent.address, "GET", &format!("/app-health/{path}/livez")).await;
        assert_eq!(status.as_u16(), expected, "{path}");
    }
}

#[tokio::test]
async fn the_applications_metrics_join_the_proxys_and_cannot_spoil_them() {
    let port = application(|head| {
        assert!(head.contains("accept: text/plain;version=0.0.4"), "{head}");
        plain("200 OK", "", "app_requests 7")
    })
    .await;
    let merged = agent("", &format!(r#"{{"scrape":"true","path":"/prom","port":"{port}"}}"#)).await;
    let (status, body) = request(merged.address, "GET", "/stats/prometheus").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("istio_agent_scrapes_total 1\n") && body.ends_with("app_requests 7\n"), "{body}");

    let closed = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap().port();
    let alone = agent("", &format!(r#"{{"scrape":"true","port":"{closed}"}}"#)).await;
    assert_eq!(request(alone.address, "GET", "/stats/prometheus").await.0, StatusCode::OK);
    let (_, body) = request(alone.address, "GET", "/metrics").await;
    assert!(body.contains("istio_agent_scrape_failures_total{type=\"application\"} 1"), "{body}");

    let own = ScrapeTarget::parse(r#"{"scrape":"true","port":"15020"}"#).unwrap_err();
    assert!(own.to_string().contains("15020 is a port of the proxy itself"), "{own}");
}

#[tokio::test]
async fn orders_are_taken_only_as_post() {
    let mut agent = agent("", "").await;
    assert_eq!(request(agent.address, "GET", "/quitquitquit").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(request(agent.address, "POST", "/drain").await.0, StatusCode::OK);
    assert_eq!(request(agent.address, "POST", "/quitquitquit").await.0, StatusCode::OK);
    assert_eq!(agent.orders.recv().await, Some(Order::Drain));
    assert_eq!(agent.orders.recv().await, Some(Order::Quit));
}
