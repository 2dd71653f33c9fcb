//! What callers and logs see when upstreams fail, when time is over, and when the caller goes away.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Instant;

use super::config::{Backend, Setup};
use super::{PATIENCE, echo_server, get, refusing, start, talk};
use crate::config::proto::route;
use crate::config::proto::{ProtoDuration, UInt32Value};
use crate::worker::Proxy;

/// An access log of one short line for each request.
struct Log(tempfile::TempDir);

impl Log {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn of(&self, setup: Setup) -> Setup {
        let format = "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%\n";
        setup.with_access_log(&self.0.path().join("log"), format)
    }

    /// The lines, once there are `count`.
    fn lines(&self, count: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.0.path().join("log")).unwrap_or_default();
            if text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(Instant::now() < until, "not {count} lines: {text}");
            std::thread::yield_now();
        }
    }
}

fn retries(on: &str, count: u32, per_try: Option<i32>) -> Option<route::RetryPolicy> {
    Some(route::RetryPolicy {
        retry_on: on.into(),
        num_retries: Some(UInt32Value { value: count }),
        per_try_timeout: per_try.map(|millis| ProtoDuration { seconds: 0, nanos: millis * 1_000_000 }),
        ..Default::default()
    })
}

/// A server that tells of every connection that ends, and never answers.
fn silent_server() -> (Backend, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let backend = Backend { address: listener.local_addr().expect("address") };
    let (tell, ended) = channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                while matches!(socket.read(&mut [0; 4096]), Ok(count) if count > 0) {}
                let _ = tell.send(());
            });
        }
    });
    (backend, ended)
}

#[test]
fn retries_that_are_used_up_are_told() {
    let log = Log::new();
    let setup = Setup::plain(&[echo_server("503 Service Unavailable")]);
    let (proxy, address) = start(log.of(setup.with_action(|a| a.retry_policy = retries("5xx", 2, None))));
    assert!(get(address, "/hello").starts_with("HTTP/1.1 503 "));
    assert!(log.lines(1)[0].starts_with("GET 503 URX via_upstream "), "{:?}", log.lines(1));
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.upstream_rq_retry_limit_exceeded: 1\n"), "{stats}");
    proxy.stop();

    let log = Log::new();
    let (_port, gone) = refusing();
    let setup = Setup::plain(&[gone]);
    let (proxy, address) =
        start(log.of(setup.with_action(|a| a.retry_policy = retries("gateway-error", 1, None))));
    let answer = get(address, "/hello");
    let told = "before headers. retried and the latest reset reason: remote connection failure";
    assert!(answer.ends_with(told), "{answer}");
    let line = &log.lines(1)[0];
    let details = "{remote_connection_failure|delayed_connect_error:_Connection_refused}";
    assert!(line.starts_with("GET 503 URX,UF ") && line.contains(details), "{line}");
    proxy.stop();
}

/// A server that answers the first request of each connection and closes it at the second.
fn forgetful_server() -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let backend = Backend { address: listener.local_addr().expect("address") };
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                if matches!(socket.read(&mut buffer), Ok(count) if count > 0) {
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                    let _ = socket.read(&mut buffer);
                }
            });
        }
    });
    backend
}

#[test]
fn a_connection_that_the_server_closes_between_requests_loses_none_that_may_be_repeated() {
    let log = Log::new();
    let (proxy, address) = start(log.of(Setup::plain(&[forgetful_server()])));
    // On one connection, so that one worker has them all.
    let requests = ["GET", "GET", "OPTIONS", "POST"].map(|method| {
        let (length, end) =
            if method == "POST" { ("Content-Length: 1\r\nConnection: close\r\n", "x") } else { ("", "") };
        format!("{method} /hello HTTP/1.1\r\nHost: a\r\n{length}\r\n{end}")
    });
    let _ = talk(address, requests.concat().as_bytes(), |_| false);
    let lines = log.lines(4);
    let codes: Vec<&str> = lines.iter().map(|line| &line[..line.len().min(8)]).collect();
    assert_eq!(codes, ["GET 200 ", "GET 200 ", "OPTIONS ", "POST 503"], "{lines:?}");
    assert!(lines[2].starts_with("OPTIONS 200 ") && lines[3].contains("connection_termination"), "{lines:?}");
    proxy.stop();
}

#[test]
fn a_try_that_takes_too_long_is_a_timeout() {
    let log = Log::new();
    let (backend, _ended) = silent_server();
    let setup = Setup::plain(&[backend]);
    let (proxy, address) = start(log.of(setup.with_action(|a| a.retry_policy = retries("5xx", 1, Some(50)))));
    let answer = get(address, "/hello");
    assert!(
        answer.starts_with("HTTP/1.1 504 ") && answer.ends_with("\r\n\r\nupstream request timeout"),
        "{answer}"
    );
    assert_eq!(log.lines(1), ["GET 504 URX,UT upstream_per_try_timeout 24"]);
    proxy.stop();
}

#[test]
fn the_log_knows_the_request_when_its_time_is_over() {
    let log = Log::new();
    let (backend, _ended) = silent_server();
    let limit = Some(ProtoDuration { seconds: 0, nanos: 50_000_000 });
    let (proxy, address) = start(log.of(Setup::plain(&[backend]).with_action(|a| a.timeout = limit)));
    assert!(get(address, "/hello").ends_with("upstream request timeout"));
    assert_eq!(log.lines(1), ["GET 504 UT response_timeout 24"]);
    proxy.stop();
}

#[test]
fn an_answer_to_head_has_no_body() {
    let (proxy, address) = start(Setup::plain(&[]));
    let both =
        b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = talk(address, both, |_| false);
    let (first, second) = answer.split_once("\r\n\r\n").expect("two answers");
    assert!(first.contains("content-length: 19"), "{answer}");
    assert!(
        second.starts_with("HTTP/1.1 503 ") && second.ends_with("\r\n\r\nno healthy upstream"),
        "{answer}"
    );
    proxy.stop();
}

#[test]
fn a_client_that_leaves_is_not_served_on() {
    let log = Log::new();
    let (backend, ended) = silent_server();
    let (proxy, address) = start(log.of(Setup::plain(&[backend])));
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").expect("write");
    let active =
        |proxy: &Proxy| proxy.stats().render_text().contains("cluster.backend.upstream_rq_active: 1\n");
    while !active(&proxy) {
        std::thread::yield_now();
    }
    drop(socket);
    ended.recv_timeout(PATIENCE).expect("the upstream connection ends");
    assert_eq!(log.lines(1), ["GET 0 DC downstream_remote_disconnect 0"]);
    proxy.stop();
}

#[test]
fn heads_that_are_none_are_answered_and_logged() {
    let log = Log::new();
    let (proxy, address) = start(log.of(Setup::plain(&[echo_server("200 OK")])));
    // Nothing more comes, and nothing more is needed to see that this is no request.
    let answer = talk(address, b"\x16\x03\x01\x02\x00", |a| a.ends_with(b"Request"));
    assert!(answer.contains("server: envoy\r\n") && answer.ends_with("\r\n\r\nBad Request"), "{answer}");
    assert_eq!(log.lines(1), ["- 400 DPE http1.codec_error 11"]);
    let answer = talk(address, b"GET /hello HTTP/1.1\r\n\r\n", |_| false);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(log.lines(2)[1], "GET 400 - missing_host_header 0");
    proxy.stop();
}

#[test]
fn json_lines_have_the_shape_they_are_given() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("log");
    let format = r#"{"code": "%RESPONSE_CODE%", "missing": "%REQ(X-NO)%", "text": "code %RESPONSE_CODE%", "fixed": 7,
        "inner": {"flags": "%RESPONSE_FLAGS%", "yes": true}, "list": ["%PROTOCOL%", 1.5], "status": "%GRPC_STATUS%"}"#;
    let (proxy, address) = start(Setup::plain(&[]).with_json_access_log(&path, format));
    let request =
        b"POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/grpc\r\n\r\n";
    assert!(talk(address, request, |_| false).contains("grpc-status: 14\r\n"));
    let until = Instant::now() + PATIENCE;
    let line = loop {
        match std::fs::read_to_string(&path) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => assert!(Instant::now() < until, "no line"),
        }
    };
    assert_eq!(
        line,
        "{\"code\":200,\"fixed\":7,\"inner\":{\"flags\":\"UH\",\"yes\":true},\"list\":[\"HTTP/1.1\",1.5],\"missing\":null,\"status\":\"Unavailable\",\"text\":\"code 200\"}\n"
    );
    proxy.stop();
}

#[test]
fn a_body_is_sent_again_as_far_as_it_may_be_kept() {
    for (length, attempts) in [(1000, 2), (3000, 1)] {
        let setup = Setup::plain(&[echo_server("503 Service Unavailable")])
            .with_listener(|l| l.per_connection_buffer_limit_bytes = Some(UInt32Value { value: 2000 }))
            .with_action(|a| a.retry_policy = retries("5xx", 1, None));
        let (proxy, address) = start(setup);
        let head = format!(
            "POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = talk(address, &[head.into_bytes(), vec![b'x'; length]].concat(), |_| false);
        assert!(answer.ends_with(&format!("body bytes {length}")), "{answer}");
        let stats = proxy.stats().render_text();
        assert!(
            stats.contains(&format!("cluster.backend.upstream_rq_total: {attempts}\n")),
            "{length}: {stats}"
        );
        proxy.stop();
    }
}
