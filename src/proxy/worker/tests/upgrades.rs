//! Changing the protocol, and what must not pass under its cover.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::config::{Backend, Setup};
use super::{PATIENCE, start, talk};
use crate::config::proto::network::http_connection_manager::v3::http_connection_manager::UpgradeConfig;

const ASK: &str = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A server that answers the first head with `answer`, then sends everything back.
fn switching_server(answer: &'static str) -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                let mut input = Vec::new();
                while !input.windows(4).any(|w| w == b"\r\n\r\n") {
                    match socket.read(&mut piece) {
                        Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
                        _ => return,
                    }
                }
                let _ = socket.write_all(answer.as_bytes());
                while let Ok(count) = socket.read(&mut piece) {
                    if count == 0 || socket.write_all(&piece[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Backend { address }
}

fn with_websocket(setup: Setup) -> Setup {
    setup.with_manager(|manager| {
        let config = UpgradeConfig { upgrade_type: "websocket".into(), ..Default::default() };
        manager.upgrade_configs.push(config);
    })
}

fn upgrade(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(ASK.as_bytes()).expect("write");
    socket
}

#[test]
fn a_websocket_is_a_tunnel_once_the_server_agrees() {
    let server = switching_server(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    );
    let (proxy, address) = start(with_websocket(Setup::plain(&[server])));
    let mut socket = upgrade(address);
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(b"\r\n\r\n") {
        let count = socket.read(&mut piece).expect("head");
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    socket.write_all(b"\x81\x05hello").expect("frame");
    let mut frame = [0; 7];
    socket.read_exact(&mut frame).expect("the frame comes back");
    assert_eq!(&frame, b"\x81\x05hello");
    proxy.stop();
}

#[test]
fn an_upgrade_that_is_not_allowed_is_refused() {
    let (proxy, address) = start(Setup::plain(&[switching_server("HTTP/1.1 200 OK\r\n\r\n")]));
    assert!(talk(address, ASK.as_bytes(), |a| a.ends_with(b"\r\n\r\n")).starts_with("HTTP/1.1 403 "));
    proxy.stop();
}

#[test]
fn bytes_after_a_refused_upgrade_are_requests_like_others() {
    // 200 with an Upgrade header is no switch: what follows must be read, and judged, as the next request.
    let server = switching_server("HTTP/1.1 200 OK\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n");
    let (proxy, address) = start(with_websocket(Setup::plain(&[server])));
    let both = format!("{ASK}GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = talk(address, both.as_bytes(), |_| false);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 404 "), "{answer}");
    let stats = proxy.stats().render_text();
    assert!(
        stats.contains("cluster.backend.upstream_cx_active: 0\n"),
        "the connection serves nobody else: {stats}"
    );
    proxy.stop();
}
