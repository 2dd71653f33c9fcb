//! Where connections come from: the PROXY protocol, read and written.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use envoy_types::pb::google::protobuf::BoolValue;

use super::config::{Backend, Setup, any};
use super::{echo_server, start, talk};
use crate::config::proto::{core, listener, listener_filter, proxy_protocol};

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
    let first = heard.recv_timeout(Duration::from_secs(5)).expect("a connection");
    assert!(first.starts_with("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"), "{first}");
    proxy.stop();
}
