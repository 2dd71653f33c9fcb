//! What proxies tell each other: the PROXY protocol, read and written, and requests that could not be delivered.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::channel;

use envoy_types::pb::google::protobuf::BoolValue;

use super::config::{Backend, Setup, any};
use super::{PATIENCE, echo_server, get, refusing, start, talk};
use crate::config::proto::network::http_connection_manager::v3 as hcm;
use crate::config::proto::{UInt32Value, core, listener, listener_filter, proxy_protocol, route};

fn expects_header(setup: Setup) -> Setup {
    setup
        .with_listener(|front| {
            let filter = listener_filter::proxy_protocol::v3::ProxyProtocol::default();
            let name = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
            front.listener_filters.push(listener::ListenerFilter {
                name: "envoy.filters.listener.proxy_protocol".into(),
                config_type: Some(listener::listener_filter::ConfigType::TypedConfig(any(name, &filter))),
                ..Default::default()
            });
        })
        .with_manager(|manager| manager.use_remote_address = Some(BoolValue { value: true }))
}

#[test]
fn the_balancer_tells_who_the_client_is() {
    let (proxy, address) = start(expects_header(Setup::plain(&[echo_server("200 OK")])));
    let request = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let told = format!("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n{request}");
    let answer = talk(address, told.as_bytes(), |_| false);
    assert!(answer.contains("x-forwarded-for: 203.0.113.7\r\n"), "{answer}");
    assert_eq!(talk(address, request.as_bytes(), |_| false), "", "without the header nobody is served");
    assert_eq!(talk(address, b"PROXY TCP4 nonsense\r\nGET / HTTP/1.1\r\n\r\n", |_| false), "");
    proxy.stop();
}

#[test]
fn an_endpoint_that_wants_the_header_gets_it_first() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let backend = Backend { address: listener.local_addr().expect("address") };
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut piece = [0; 4096];
            let count = socket.read(&mut piece).unwrap_or_default();
            let _ = tell.send(String::from_utf8_lossy(&piece[..count]).into_owned());
        }
    });
    let setup = expects_header(Setup::plain(&[backend])).with_cluster(|cluster| {
        let name = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
        let transport = proxy_protocol::ProxyProtocolUpstreamTransport::default();
        cluster.transport_socket = Some(core::TransportSocket {
            name: "envoy.transport_sockets.upstream_proxy_protocol".into(),
            config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(name, &transport))),
        });
    });
    let (proxy, address) = start(setup);
    let told = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let _ = talk(address, told.as_bytes(), |answer| !answer.is_empty());
    let first = heard.recv_timeout(PATIENCE).expect("a connection");
    assert!(first.starts_with("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"), "{first}");
    proxy.stop();
}

/// A manager that exchanges peer metadata: the fields of its configuration, each of which holds one way of doing so.
fn exchanges_metadata(setup: Setup, fields: [u8; 2]) -> Setup {
    let value = fields.iter().flat_map(|number| [number << 3 | 2, 2, 10, 0]).collect();
    let type_url = "type.googleapis.com/io.istio.http.peer_metadata.Config".into();
    let config = envoy_types::pb::google::protobuf::Any { type_url, value };
    setup.with_manager(|manager| {
        let filter = hcm::HttpFilter {
            name: "istio.metadata_exchange".into(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
            ..Default::default()
        };
        manager.http_filters.insert(0, filter);
    })
}

#[test]
fn what_a_sidecar_could_not_deliver_goes_to_another_endpoint() {
    let (_port, gone) = refusing();
    let inbound = |backend| start(exchanges_metadata(Setup::plain(&[backend]), [1, 3]));
    let (leaving, left) = inbound(gone);
    let (staying, stayed) = inbound(echo_server("200 OK"));
    let ends = [Backend { address: left }, Backend { address: stayed }];
    let setup = Setup::plain(&ends).with_action(|action| {
        action.retry_policy = Some(route::RetryPolicy {
            retry_on: "connect-failure".into(),
            num_retries: Some(UInt32Value { value: 2 }),
            retry_host_predicate: vec![route::retry_policy::RetryHostPredicate::default()],
            ..Default::default()
        });
    });
    let (client, address) = start(exchanges_metadata(setup, [2, 4]).for_service("web"));
    for _ in 0..12 {
        let answer = get(address, "/hello");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    let (alone, address) = start(exchanges_metadata(Setup::plain(&ends[..1]), [2, 4]).for_service("web"));
    let answer = get(address, "/hello");
    assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains("x-sagene"), "{answer}");
    for proxy in [leaving, staying, client, alone] {
        proxy.stop();
    }
}
