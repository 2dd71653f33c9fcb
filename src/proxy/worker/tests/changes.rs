//! Configuration that changes under traffic.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::config::{Backend, Setup, certificates};
use super::{PATIENCE, Proxy, ProxyOptions, echo_server, get, start};
use crate::config::proto::route;

#[test]
fn shifting_weights_loses_nothing() {
    let (first, second) = (echo_server("200 First"), echo_server("200 Second"));
    let setup = |share: u32| {
        Setup::plain(&[Backend { address: first.address }]).with_action(move |action| {
            let clusters = [("backend", share), ("other", 100 - share)].map(|(name, weight)| {
                let weight = Some(envoy_types::pb::google::protobuf::UInt32Value { value: weight });
                route::weighted_cluster::ClusterWeight { name: name.into(), weight, ..Default::default() }
            });
            let set = route::WeightedCluster { clusters: clusters.into(), ..Default::default() };
            action.cluster_specifier = Some(route::route_action::ClusterSpecifier::WeightedClusters(set));
        })
    };
    let mut bootstrap = setup(50).bootstrap();
    let resources = bootstrap.static_resources.as_mut().expect("resources");
    let mut other = Setup::plain(&[Backend { address: second.address }]).bootstrap();
    let mut other = other.static_resources.take().expect("resources").clusters.remove(0);
    other.name = "other".into();
    resources.clusters.push(other);
    let proxy = Proxy::run_static(ProxyOptions::default(), &bootstrap).expect("accepted");
    let address = proxy.listening().first().expect("listening").1;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while !done.load(Ordering::Relaxed) || count < 50 {
                        let answer = get(address, "/hello");
                        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                        count += 1;
                    }
                })
            })
            .collect();
        for share in (0..=100).cycle().step_by(7).take(100) {
            for update in setup(share).updates() {
                proxy.config().apply_static(update).expect("accepted");
            }
        }
        done.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("no request is lost"));
    });
    let served = |name: &str| proxy.stats().endpoints(name).first().map_or(0, |each| each.rq_total);
    assert!(served("backend") > 0 && served("other") > 0);
    proxy.stop();
}

#[test]
fn connections_survive_what_does_not_concern_them() {
    let backend = echo_server("200 OK");
    let setup = || Setup::plain(&[Backend { address: backend.address }]);
    let (proxy, address) = start(setup());
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut ask = |path: &str| {
        write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("the connection is open");
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).expect("an answer");
        String::from_utf8_lossy(&piece[..count]).into_owned()
    };
    assert!(ask("/hello").starts_with("HTTP/1.1 200 "));
    let changed = setup()
        .with_cluster(|cluster| {
            let assignment = cluster.load_assignment.as_mut().expect("endpoints");
            let weight = envoy_types::pb::google::protobuf::UInt32Value { value: 7 };
            assignment.endpoints[0].lb_endpoints[0].load_balancing_weight = Some(weight);
            cluster.connect_timeout = Some(crate::config::proto::ProtoDuration { seconds: 9, nanos: 0 });
        })
        .with_manager(|manager| manager.server_name = "changed".into());
    for update in changed.updates() {
        proxy.config().apply_static(update).expect("accepted");
    }
    let until = Instant::now() + PATIENCE;
    let wait = |done: &dyn Fn(&str) -> bool| {
        while !done(&get(address, "/hello")) {
            assert!(Instant::now() < until, "the change does not arrive");
        }
    };
    wait(&|answer| answer.contains("server: changed"));
    let answer = ask("/hello");
    assert!(answer.contains("server: changed"), "the connection follows the change: {answer}");
    let stats = proxy.stats().render_text();
    assert!(stats.contains("cluster.backend.upstream_cx_total: 1\n"), "{stats}");

    // Another TLS context is another matter: what was asked is answered, then the connection ends.
    let encrypted = setup().with_downstream_tls(&certificates());
    for update in encrypted.updates() {
        proxy.config().apply_static(update).expect("accepted");
    }
    wait(&|answer| !answer.starts_with("HTTP"));
    let answer = ask("/hello");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    proxy.stop();
}
