//! Streams in both directions at once, trailers, mirrors, and consistent hashing.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

use super::config::{Backend, Setup};
use super::{PATIENCE, echo_server, get, start, talk};
use crate::config::proto::route;

/// An HTTP/2 server that sends every piece back at once, and the request's trailers with `grpc-status: 0`.
fn streaming_server() -> Backend {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("nonblocking");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        runtime.expect("runtime").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
            while let Ok((socket, _)) = listener.accept().await {
                tokio::task::spawn_local(async move {
                    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::task::spawn_local(echo_stream(request, respond));
                    }
                });
            }
        });
    });
    Backend { address }
}

async fn echo_stream(request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).expect("head");
    let mut out = respond.send_response(head, false).expect("head is sent");
    let mut body = request.into_body();
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        out.send_data(piece, false).expect("piece is sent");
    }
    let mut trailers = body.trailers().await.expect("trailers").unwrap_or_default();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    out.send_trailers(trailers).expect("trailers are sent");
}

async fn talk_both_ways(address: SocketAddr) -> HeaderMap {
    let socket = tokio::net::TcpStream::connect(address).await.expect("connect");
    let (sender, connection) = h2::client::handshake(socket).await.expect("handshake");
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    let mut sender = sender.ready().await.expect("ready");
    let head = Request::post(format!("http://{address}/hello")).header("content-type", "application/grpc");
    let (answer, mut out) = sender.send_request(head.body(()).expect("head"), false).expect("sent");
    out.send_data("first".into(), false).expect("first piece");
    let answer = answer.await.expect("the head comes before the request has ended");
    let mut body = answer.into_body();
    for piece in ["first", "second", "third"] {
        if piece != "first" {
            out.send_data(piece.into(), false).expect("piece");
        }
        let echoed = body.data().await.expect("a piece").expect("whole");
        assert_eq!(echoed, piece, "each piece comes back before the next is sent");
        body.flow_control().release_capacity(echoed.len()).expect("capacity");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("42"));
    out.send_trailers(trailers).expect("trailers");
    assert!(body.data().await.is_none());
    body.trailers().await.expect("trailers").expect("some")
}

#[test]
fn streams_run_both_ways_with_trailers() {
    let (proxy, address) = start(Setup::plain(&[streaming_server()]).with_http2());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let limit = PATIENCE;
    let talking = async { tokio::time::timeout(limit, talk_both_ways(address)).await };
    let trailers = runtime.expect("runtime").block_on(talking).expect("in time");
    assert_eq!(trailers.get("x-checksum").map(|v| v.as_bytes()), Some(b"42".as_slice()));
    assert_eq!(trailers.get("grpc-status").map(|v| v.as_bytes()), Some(b"0".as_slice()));
    proxy.stop();
}

#[test]
fn trailers_cross_from_one_protocol_to_the_other() {
    let (proxy, address) = start(Setup::plain(&[streaming_server()]).with_http2());
    let request = b"POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Checksum: 42\r\n\r\n";
    let answer = talk(address, request, |_| false);
    assert!(answer.contains("3\r\nabc\r\n0\r\n"), "{answer}");
    assert!(answer.contains("x-checksum: 42\r\n") && answer.contains("grpc-status: 0\r\n"), "{answer}");
    proxy.stop();
}

/// How the proxy resets a stream of HTTP/2 to this URL.
async fn reset_of(address: SocketAddr, url: &str) -> Option<h2::Reason> {
    let socket = tokio::net::TcpStream::connect(address).await.expect("connect");
    let (sender, connection) = h2::client::handshake(socket).await.expect("handshake");
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    let mut sender = sender.ready().await.expect("ready");
    let (answer, _) = sender.send_request(Request::get(url).body(()).expect("head"), true).expect("sent");
    answer.await.err().and_then(|error| error.reason())
}

#[test]
fn a_host_behind_user_information_is_refused() {
    let (proxy, address) = start(Setup::plain(&[streaming_server()]).with_http2());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let asked = async { tokio::time::timeout(PATIENCE, reset_of(address, "http://user@a/hello")).await };
    let reset = runtime.expect("runtime").block_on(asked).expect("in time");
    assert_eq!(reset, Some(h2::Reason::PROTOCOL_ERROR));
    proxy.stop();
}

/// A server that hands over the head of every request, and never answers.
fn recording_server() -> (Backend, std::sync::mpsc::Receiver<String>) {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let backend = Backend { address: listener.local_addr().expect("address") };
    let (tell, heads) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let (mut input, mut piece) = (Vec::new(), [0; 4096]);
            while !input.windows(4).any(|four| four == b"\r\n\r\n") {
                match socket.read(&mut piece) {
                    Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            let _ = tell.send(String::from_utf8_lossy(&input).into_owned());
            std::mem::forget(socket);
        }
    });
    (backend, heads)
}

#[test]
fn mirrors_get_a_copy_and_have_no_say() {
    let (mirrored, heads) = recording_server();
    let setup = Setup::plain(&[echo_server("200 OK")]).with_action(|action| {
        action.prefix_rewrite = "/there".into();
        let policy =
            route::route_action::RequestMirrorPolicy { cluster: "mirror".into(), ..Default::default() };
        action.request_mirror_policies.push(policy);
    });
    let mut bootstrap = setup.bootstrap();
    let mut other =
        Setup::plain(&[mirrored]).bootstrap().static_resources.expect("resources").clusters.remove(0);
    other.name = "mirror".into();
    bootstrap.static_resources.as_mut().expect("resources").clusters.push(other);
    let proxy = super::Proxy::run_static(super::ProxyOptions::default(), &bootstrap).expect("accepted");
    let address = proxy.listening().first().expect("listening").1;
    let request = b"POST /hello HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    assert!(talk(address, request, |_| false).starts_with("HTTP/1.1 200 "));
    let head = heads.recv_timeout(PATIENCE).expect("the mirror gets a copy");
    assert!(head.starts_with("POST /there HTTP/1.1\r\nhost: a-shadow:80\r\n"), "{head}");
    assert!(head.contains("x-envoy-internal: true\r\n"), "{head}");
    let until = Instant::now() + PATIENCE;
    while !proxy.stats().render_text().contains("cluster.mirror.upstream_rq_total: 1\n") {
        assert!(Instant::now() < until, "the mirror gets no request");
        std::thread::yield_now();
    }
    proxy.stop();
}

#[test]
fn a_key_goes_to_one_endpoint() {
    let backends: Vec<Backend> = ["200 A", "200 B", "200 C", "200 D"].map(echo_server).into();
    let setup = Setup::plain(&backends).with_cluster(|cluster| cluster.lb_policy = 2).with_action(|action| {
        use route::route_action::hash_policy::{Header, PolicySpecifier};
        let header = Header { header_name: "x-user".into(), ..Default::default() };
        let specifier = Some(PolicySpecifier::Header(header));
        action
            .hash_policy
            .push(route::route_action::HashPolicy { policy_specifier: specifier, terminal: true });
    });
    let (proxy, address) = start(setup);
    assert!(get(address, "/hello").starts_with("HTTP/1.1 200"), "without the header anything goes");
    let mut used = HashSet::new();
    for user in 0..20 {
        let request =
            format!("GET /hello HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\nConnection: close\r\n\r\n");
        let before: Vec<u64> = proxy.stats().endpoints("backend").iter().map(|e| e.rq_total).collect();
        for _ in 0..3 {
            assert!(talk(address, request.as_bytes(), |_| false).starts_with("HTTP/1.1 200"));
        }
        let after = proxy.stats().endpoints("backend");
        let moved: Vec<_> =
            after.iter().zip(before).filter(|(e, b)| e.rq_total != *b).map(|(e, _)| e.address).collect();
        assert_eq!(moved.len(), 1, "all three requests of a user go to one endpoint");
        used.extend(moved);
    }
    assert!(used.len() >= 3, "users are spread: {used:?}");
    proxy.stop();
}
