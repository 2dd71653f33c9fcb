//! Real sockets through real traffic threads: routing, framing, retries, mutual TLS, HTTP/2 between proxies.

mod answers;
mod breakers;
mod changes;
mod config;
mod floods;
mod limits;
mod peers;
mod streams;
mod upgrades;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::{Proxy, ProxyOptions};
use config::{Backend, Setup, certificates};

/// Longer than anything takes, on a machine that is busy with everything else; only what fails waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends bytes, reads until the peer is done or `enough` says so.
fn talk(address: SocketAddr, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> String {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(request).expect("write");
    let (mut answer, mut piece) = (Vec::new(), [0; 16 * 1024]);
    while !enough(&answer) {
        match socket.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n");
    talk(address, request.as_bytes(), |_| false)
}

/// A server that answers each request with its own head as body; `status` is the answer.
fn echo_server(status: &'static str) -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || echo(socket, status));
        }
    });
    Backend { address }
}

fn echo(mut socket: TcpStream, status: &str) {
    let (mut input, mut piece) = (Vec::new(), [0; 64 * 1024]);
    loop {
        while !input.windows(4).any(|w| w == b"\r\n\r\n") {
            match socket.read(&mut piece) {
                Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
                _ => return,
            }
        }
        let end = input.windows(4).position(|w| w == b"\r\n\r\n").expect("head") + 4;
        let head = String::from_utf8_lossy(&input[..end]).into_owned();
        input.drain(..end);
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .and_then(|n| n.parse::<usize>().ok());
        let done = |input: &[u8]| match length {
            Some(length) => input.len() >= length,
            None => !head.contains("transfer-encoding: chunked") || input.ends_with(b"0\r\n\r\n"),
        };
        while !done(&input) {
            match socket.read(&mut piece) {
                Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
                _ => return,
            }
        }
        let body = format!("{head}body bytes {}", input.len());
        input.clear();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if socket.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A server that refuses connections for as long as its socket lives: it does not listen, and nobody else gets its port.
fn refusing() -> (socket2::Socket, Backend) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let address = socket.local_addr().expect("address").as_socket().expect("an address of IP");
    (socket, Backend { address })
}

fn start(setup: Setup) -> (Proxy, SocketAddr) {
    let proxy = Proxy::run_static(ProxyOptions::default(), &setup.bootstrap()).expect("accepted");
    let address = proxy.listening().first().expect("listening").1;
    (proxy, address)
}

#[test]
fn routes_requests_and_keeps_connections() {
    let (proxy, address) = start(Setup::plain(&[echo_server("200 OK")]));
    let answer = get(address, "/hello?x=1");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("GET /hello?x=1 HTTP/1.1\r\nhost: example.test\r\n"), "{answer}");
    assert!(answer.contains("\r\nserver: envoy\r\n") && answer.contains("x-request-id: "), "{answer}");
    assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404 "));
    let two =
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello2 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    let both = talk(address, two.as_bytes(), |_| false);
    assert!(both.contains("GET /hello HTTP") && both.contains("GET /hello2 HTTP"), "{both}");
    assert!(
        proxy.stats().render_text().contains("cluster.backend.upstream_cx_total: 1\n"),
        "{}",
        proxy.stats().render_text()
    );
    proxy.stop();
}

#[test]
fn bodies_pass_in_every_framing() {
    let (proxy, address) = start(Setup::plain(&[echo_server("200 OK")]));
    let sized = [
        b"POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n".to_vec(),
        vec![b'x'; 1_000_000],
    ]
    .concat();
    assert!(talk(address, &sized, |_| false).ends_with("body bytes 1000000"));
    let chunked = b"POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = talk(address, chunked, |_| false);
    assert!(answer.contains("transfer-encoding: chunked") && answer.contains("body bytes "), "{answer}");
    let waits = b"POST /hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert!(talk(address, waits, |a| a.ends_with(b"\r\n\r\n")).starts_with("HTTP/1.1 100 Continue\r\n\r\n"));
    proxy.stop();
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let (proxy, address) = start(Setup::plain(&[echo_server("200 OK")]));
    let bad = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 03\r\n",
        "Content-Length: \r\n",
        "Content-Length: 3, 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: \u{a0}chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Content-Length : 3\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Bare: a\nY: b\r\n",
        "X-Null: a\0b\r\n",
        "X-Return: a\rb\r\n",
        "Host: second\r\n",
    ];
    for headers in bad {
        let request = format!("POST /hello HTTP/1.1\r\nHost: a\r\n{headers}\r\nabc");
        let answer = talk(address, request.as_bytes(), |_| false);
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 501 "),
            "{headers:?}: {answer}"
        );
    }
    let hidden = talk(address, b"GET http://user@a/hello HTTP/1.1\r\nHost: a\r\n\r\n", |_| false);
    assert!(hidden.starts_with("HTTP/1.1 400 "), "{hidden}");
    for chunk in
        ["0_2e\r\n", " 3\r\nabc\r\n0\r\n\r\n", "-0x0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n"]
    {
        let request = format!("POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        let answer = talk(address, request.as_bytes(), |_| false);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answer}");
    }
    assert!(talk(address, b"GET /hello HTTP/1.0\r\nHost: a\r\n\r\n", |_| false).starts_with("HTTP/1.1 426 "));
    assert!(
        talk(address, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", |_| false).starts_with("HTTP/1.1 404 ")
    );
    proxy.stop();
}

#[test]
fn retries_go_to_another_endpoint() {
    let (_port, gone) = refusing();
    let backends = [gone, echo_server("503 Service Unavailable"), echo_server("200 OK")];
    let (proxy, address) = start(Setup::plain(&backends));
    for _ in 0..12 {
        let answer = get(address, "/retry");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    let (other, address) = start(Setup::plain(&[Backend { address: backends[0].address }]));
    let answer = get(address, "/hello");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("upstream connect error"), "{answer}");
    proxy.stop();
    other.stop();
}

#[test]
fn two_proxies_speak_mutual_tls() {
    let certificates = certificates();
    for http2 in [false, true] {
        let (server, inside) =
            start(Setup::plain(&[echo_server("200 OK")]).with_downstream_tls(&certificates));
        let (client, outside) = start(Setup::plain(&[Backend { address: inside }]).with_upstream_tls(
            &certificates,
            "spiffe://cluster.local/ns/a/sa/server",
            http2,
        ));
        let answer = get(outside, "/hello");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "http2 {http2}: {answer}");
        assert!(answer.contains("URI=spiffe://cluster.local/ns/a/sa/client"), "{answer}");
        let (wrong, outside) = start(Setup::plain(&[Backend { address: inside }]).with_upstream_tls(
            &certificates,
            "spiffe://cluster.local/ns/a/sa/other",
            http2,
        ));
        assert!(get(outside, "/hello").starts_with("HTTP/1.1 503 "));
        for proxy in [server, client, wrong] {
            proxy.stop();
        }
    }
}

#[test]
fn a_server_must_prove_the_name_it_is_called_by() {
    let certificates = certificates();
    for (by_name, expected) in [(false, "HTTP/1.1 200 "), (true, "HTTP/1.1 503 ")] {
        let (server, inside) =
            start(Setup::plain(&[echo_server("200 OK")]).with_downstream_tls(&certificates));
        let setup = Setup::plain(&[Backend { address: inside }]);
        let (client, outside) = start(setup.with_upstream_tls_for_any_name(&certificates, by_name));
        let answer = get(outside, "/hello");
        assert!(answer.starts_with(expected), "{by_name}: {answer}");
        server.stop();
        client.stop();
    }
}

#[test]
fn who_is_sent_away_hears_it_with_an_answer() {
    const INBOUND: i32 = 1;
    const OUTBOUND: i32 = 2;
    for (direction, inbound_only, expected) in
        [(INBOUND, true, true), (OUTBOUND, true, false), (OUTBOUND, false, true)]
    {
        let setup = Setup::plain(&[echo_server("200 OK")]);
        let (proxy, address) = start(setup.with_listener(|listener| listener.traffic_direction = direction));
        let mut open = TcpStream::connect(address).expect("connect");
        let mut ask = || {
            open.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").expect("write");
            let mut piece = [0; 4096];
            let count = open.read(&mut piece).expect("an answer");
            let answer = String::from_utf8_lossy(&piece[..count]).to_lowercase();
            assert!(answer.starts_with("http/1.1 200 "), "{answer}");
            answer.contains("connection: close")
        };
        assert!(!ask());
        proxy.send_away(inbound_only);
        assert_eq!(ask(), expected, "direction {direction}, inbound only {inbound_only}");
        assert!(get(address, "/hello").starts_with("HTTP/1.1 200 "), "new connections are served on");
        proxy.stop();
    }
}

#[test]
fn the_proxy_drains() {
    let (proxy, address) = start(Setup::plain(&[echo_server("200 OK")]));
    let mut idle = TcpStream::connect(address).expect("connect");
    idle.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").expect("write");
    let mut piece = [0; 4096];
    assert!(idle.read(&mut piece).expect("answer") > 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    assert_eq!(runtime.block_on(proxy.drain(PATIENCE)), 0, "idle connections are closed by draining");
    proxy.stop();
}
