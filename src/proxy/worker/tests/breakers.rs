//! Circuit breakers and outlier detection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use super::config::{Backend, Setup};
use super::{PATIENCE, echo_server, get, start};
use crate::config::proto::cluster;
use crate::config::proto::{ProtoDuration, UInt32Value};

fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn limits(change: impl FnOnce(&mut cluster::circuit_breakers::Thresholds)) -> cluster::CircuitBreakers {
    let mut thresholds = cluster::circuit_breakers::Thresholds::default();
    change(&mut thresholds);
    cluster::CircuitBreakers { thresholds: vec![thresholds], ..Default::default() }
}

/// A server that tells of each request and answers it once told to. Also says how many connections it accepted.
struct Slow {
    backend: Backend,
    requests: Receiver<TcpStream>,
}

fn slow_server() -> Slow {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let (tell, requests) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                let mut socket = socket;
                while matches!(socket.read(&mut piece), Ok(count) if count > 0) {
                    let _ = tell.send(socket.try_clone().expect("clone"));
                }
            });
        }
    });
    Slow { backend: Backend { address }, requests }
}

fn answer(mut socket: TcpStream) {
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("answer");
}

fn ask(address: std::net::SocketAddr) -> JoinHandle<String> {
    std::thread::spawn(move || get(address, "/hello"))
}

#[test]
fn requests_over_the_limits_are_refused_at_once() {
    let slow = slow_server();
    let address = slow.backend.address;
    let setup = Setup::plain(&[Backend { address }]).with_cluster(|cluster| {
        cluster.circuit_breakers = Some(limits(|t| {
            t.max_connections = number(1);
            t.max_pending_requests = number(1);
        }));
    });
    let (proxy, front) = start(setup);
    let first = ask(front);
    let held = slow.requests.recv_timeout(PATIENCE).expect("the first request arrives");
    // The second waits for the only connection, the third may not even wait.
    let second = ask(front);
    let pending = || proxy.stats().render_text().contains("cluster.backend.upstream_rq_pending_active: 1\n");
    let until = Instant::now() + PATIENCE;
    while !pending() {
        assert!(Instant::now() < until, "the second request does not wait");
        std::thread::yield_now();
    }
    let third = get(front, "/hello");
    assert!(third.starts_with("HTTP/1.1 503 "), "{third}");
    assert!(
        third.contains("x-envoy-overloaded: true") && third.contains("reset reason: overflow"),
        "{third}"
    );
    answer(held);
    assert!(first.join().expect("first").starts_with("HTTP/1.1 200"));
    answer(slow.requests.recv_timeout(PATIENCE).expect("the second request arrives"));
    assert!(second.join().expect("second").starts_with("HTTP/1.1 200"));
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.upstream_cx_total: 1\n"), "{stats}");
    assert!(stats.contains("cluster.backend.upstream_rq_pending_overflow: 1\n"), "{stats}");
    proxy.stop();
}

#[test]
fn requests_in_flight_and_retries_are_limited() {
    let slow = slow_server();
    let address = slow.backend.address;
    let setup = Setup::plain(&[Backend { address }])
        .with_cluster(|cluster| cluster.circuit_breakers = Some(limits(|t| t.max_requests = number(1))));
    let (proxy, front) = start(setup);
    let first = ask(front);
    let held = slow.requests.recv_timeout(PATIENCE).expect("the first request arrives");
    assert!(get(front, "/hello").contains("x-envoy-overloaded: true"));
    answer(held);
    assert!(first.join().expect("first").starts_with("HTTP/1.1 200"));
    proxy.stop();

    let setup = Setup::plain(&[echo_server("503 Service Unavailable")])
        .with_cluster(|cluster| cluster.circuit_breakers = Some(limits(|t| t.max_retries = number(0))));
    let (proxy, front) = start(setup);
    assert!(get(front, "/retry").starts_with("HTTP/1.1 503 "));
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.upstream_rq_retry_overflow: 1\n"), "{stats}");
    assert!(stats.contains("cluster.backend.upstream_rq_total: 1\n"), "{stats}");
    proxy.stop();
}

#[test]
#[allow(deprecated, reason = "this is where control planes still say it")]
fn a_connection_carries_as_many_requests_as_it_may() {
    let setup = Setup::plain(&[echo_server("200 OK")])
        .with_cluster(|cluster| cluster.max_requests_per_connection = number(2));
    let (proxy, front) = start(setup);
    for _ in 0..6 {
        assert!(get(front, "/hello").starts_with("HTTP/1.1 200"));
    }
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.upstream_cx_total: 3\n"), "{stats}");
    proxy.stop();
}

#[test]
fn an_endpoint_that_keeps_failing_gets_no_traffic_for_a_while() {
    let (bad, good) = (echo_server("500 Internal Server Error"), echo_server("200 OK"));
    let bad_address = bad.address;
    let setup = Setup::plain(&[bad, good]).with_cluster(|cluster| {
        cluster.outlier_detection = Some(cluster::OutlierDetection {
            consecutive_5xx: number(3),
            interval: Some(ProtoDuration { seconds: 0, nanos: 100_000_000 }),
            base_ejection_time: Some(ProtoDuration { seconds: 2, nanos: 0 }),
            max_ejection_percent: number(50),
            ..Default::default()
        });
    });
    let (proxy, front) = start(setup);
    let ejected = || {
        let endpoints = proxy.stats().endpoints("backend");
        endpoints.iter().find(|each| each.address == bad_address).is_some_and(|each| each.ejected)
    };
    let fails = || get(front, "/hello").starts_with("HTTP/1.1 500");
    let mut failures = 0;
    while !ejected() {
        failures += u32::from(fails());
        assert!(failures <= 3, "after three failures the endpoint is left out");
    }
    let stats = proxy.stats().render_text();
    assert_eq!(failures, 3);
    assert!(stats.contains("cluster.backend.outlier_detection.ejections_active: 1\n"), "{stats}");
    for _ in 0..20 {
        // The ejection may end while somebody asks.
        assert!(!fails() || !ejected(), "nothing goes to the endpoint");
    }
    let until = Instant::now() + PATIENCE;
    while ejected() {
        assert!(Instant::now() < until, "the ejection does not end");
        std::thread::yield_now();
    }
    assert!((0..4).any(|_| fails()), "it is tried again");
    proxy.stop();
}

#[test]
fn more_than_the_share_is_never_ejected() {
    let (bad, good) = (echo_server("500 Internal Server Error"), echo_server("200 OK"));
    let setup = Setup::plain(&[bad, good]).with_cluster(|cluster| {
        cluster.outlier_detection =
            Some(cluster::OutlierDetection { consecutive_5xx: number(1), ..Default::default() });
    });
    let (proxy, front) = start(setup);
    let failures = (0..20).filter(|_| get(front, "/hello").starts_with("HTTP/1.1 500")).count();
    assert_eq!(failures, 10, "a tenth of two endpoints is none");
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.outlier_detection.ejections_overflow: 10\n"), "{stats}");
    proxy.stop();
}

#[test]
fn a_budget_limits_retries_by_the_requests_in_flight() {
    let setup = Setup::plain(&[echo_server("503 Service Unavailable")]).with_cluster(|cluster| {
        cluster.circuit_breakers = Some(limits(|t| {
            let percent = crate::config::proto::types::Percent { value: 0.0 };
            t.retry_budget = Some(cluster::circuit_breakers::thresholds::RetryBudget {
                budget_percent: Some(percent),
                min_retry_concurrency: number(0),
                ..Default::default()
            });
        }));
    });
    let (proxy, front) = start(setup);
    assert!(get(front, "/retry").starts_with("HTTP/1.1 503 "));
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.upstream_rq_retry_overflow: 1\n"), "{stats}");
    assert!(stats.contains("cluster.backend.circuit_breakers.default.rq_pending_open: 0\n"), "{stats}");
    proxy.stop();
}

#[test]
fn what_is_not_honored_is_refused_by_name() {
    let setup = Setup::plain(&[echo_server("200 OK")])
        .with_cluster(|cluster| cluster.preconnect_policy = Some(Default::default()))
        .with_manager(|manager| manager.via = "somebody".into())
        .with_action(|action| action.metadata_match = Some(Default::default()));
    let refused = crate::worker::Proxy::run_static(Default::default(), &setup.bootstrap());
    let reasons = refused.map(drop).expect_err("refused").to_string();
    assert!(reasons.contains("preconnect_policy: is not supported"), "{reasons}");
    assert!(reasons.contains("via: is not supported"), "{reasons}");
}

#[test]
fn without_panic_nobody_healthy_means_nobody() {
    for (threshold, expected) in [(0.0, "HTTP/1.1 503 "), (50.0, "HTTP/1.1 200 ")] {
        let setup = Setup::plain(&[echo_server("200 OK")]).with_cluster(|cluster| {
            let assignment = cluster.load_assignment.as_mut().expect("endpoints");
            assignment.endpoints[0].lb_endpoints[0].health_status = 2;
            cluster.common_lb_config = Some(cluster::cluster::CommonLbConfig {
                healthy_panic_threshold: Some(crate::config::proto::types::Percent { value: threshold }),
                ..Default::default()
            });
        });
        let (proxy, front) = start(setup);
        let answer = get(front, "/hello");
        assert!(answer.starts_with(expected), "{threshold}: {answer}");
        proxy.stop();
    }
}

#[test]
fn the_next_priority_serves_when_the_first_cannot() {
    let (first, second) = (echo_server("200 First"), echo_server("200 Second"));
    for (health, expected) in [(1, "HTTP/1.1 200"), (2, "HTTP/1.1 200")] {
        let setup = Setup::plain(&[Backend { address: first.address }]).with_cluster(|cluster| {
            let other = Setup::plain(&[Backend { address: second.address }]).bootstrap();
            let mut other = other.static_resources.expect("resources").clusters.remove(0);
            let mut group = other.load_assignment.take().expect("endpoints").endpoints.remove(0);
            group.priority = 1;
            let assignment = cluster.load_assignment.as_mut().expect("endpoints");
            assignment.endpoints[0].lb_endpoints[0].health_status = health;
            assignment.endpoints.push(group);
        });
        let (proxy, front) = start(setup);
        for _ in 0..10 {
            assert!(get(front, "/hello").starts_with(expected));
        }
        let served: Vec<u64> = [&first, &second]
            .map(|backend| {
                let all = proxy.stats().endpoints("backend");
                all.iter().find(|e| e.address == backend.address).map_or(0, |e| e.rq_total)
            })
            .to_vec();
        assert_eq!(served, if health == 1 { [10, 0] } else { [0, 10] });
        proxy.stop();
    }
}
