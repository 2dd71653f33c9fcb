//! Time limits, and what slow or greedy peers may cost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::config::{Backend, Setup};
use super::{PATIENCE, echo_server, start, talk};
use crate::config::proto::ProtoDuration;

fn millis(millis: i32) -> Option<ProtoDuration> {
    Some(ProtoDuration { seconds: 0, nanos: millis * 1_000_000 })
}

/// A server that reads and never answers.
fn silent_server() -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        let sockets: Vec<_> = listener.incoming().flatten().collect();
        drop(sockets);
    });
    Backend { address }
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let setup =
        Setup::plain(&[echo_server("200 OK")]).with_manager(|m| m.request_headers_timeout = millis(150));
    let (proxy, address) = start(setup);
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    // A byte now and then does not help, and they come for as long as somebody takes them.
    let mut writer = socket.try_clone().expect("clone");
    std::thread::spawn(move || {
        let head = b"GET /hello HTTP/1.1\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a'));
        for byte in head {
            if writer.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    proxy.stop();
}

#[test]
fn silence_ends_a_request_by_whose_silence_it_is() {
    let setup = Setup::plain(&[silent_server()]).with_manager(|m| m.stream_idle_timeout = millis(150));
    let (proxy, address) = start(setup);
    let whole = talk(address, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", |a| a.ends_with(b"timeout"));
    assert!(whole.starts_with("HTTP/1.1 504 ") && whole.ends_with("stream timeout"), "{whole}");
    let part = b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc";
    let part = talk(address, part, |_| false);
    assert!(part.starts_with("HTTP/1.1 408 ") && part.ends_with("stream timeout"), "{part}");
    proxy.stop();
}

#[test]
fn connections_end_when_idle_and_when_they_are_old() {
    for (idle, age) in [(millis(150), None), (None, millis(900))] {
        let setup = Setup::plain(&[echo_server("200 OK")]).with_manager(|m| {
            let common = m.common_http_protocol_options.get_or_insert_default();
            common.idle_timeout = idle;
            common.max_connection_duration = age;
        });
        let (proxy, address) = start(setup);
        let begun = Instant::now();
        let answer = talk(address, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", |_| false);
        assert!(answer.starts_with("HTTP/1.1 200 ") && begun.elapsed() < PATIENCE, "{answer}");
        proxy.stop();
    }
}

#[test]
fn heads_have_a_size_and_a_count() {
    let (proxy, address) = start(Setup::plain(&[echo_server("200 OK")]));
    let long = format!("GET /hello HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "a".repeat(70 * 1024));
    let many = format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(101));
    let cookies = format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", "cookie: a=b\r\n".repeat(300));
    for request in [long, many, cookies] {
        let answer = talk(address, request.as_bytes(), |_| false);
        assert!(answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    proxy.stop();
}

#[test]
fn a_client_that_does_not_read_stops_the_server_and_not_the_proxy() {
    const LENGTH: usize = 256 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let backend = Backend { address: listener.local_addr().expect("address") };
    let written = Arc::new(AtomicU64::new(0));
    let count = written.clone();
    std::thread::spawn(move || {
        let Ok((mut socket, _)) = listener.accept() else { return };
        let _ = socket.read(&mut [0; 4096]);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
        let _ = socket.write_all(head.as_bytes());
        let piece = vec![b'x'; 64 * 1024];
        while socket.write_all(&piece).is_ok() {
            count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    let (proxy, address) = start(Setup::plain(&[backend]));
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").expect("write");
    // Until nothing moves any more: every buffer on the way is full.
    let mut last = u64::MAX;
    while written.load(Ordering::Relaxed) != last || last == 0 {
        last = written.load(Ordering::Relaxed);
        std::thread::park_timeout(Duration::from_millis(200));
    }
    assert!(last < 32 << 20, "{last} bytes are somewhere between server and client");
    drop(socket);
    proxy.stop();
}
