//! Limits of connections by the EnvoyFilters that people copy.

use std::net::TcpStream;

use sagene_api::istio::networking::EnvoyFilter;

use crate::envoy_filter::{filter, gateway};
use crate::mesh::{App, Mesh, status};
use crate::wait::until;

/// A patch that puts a network filter in front of the gateway's connection manager.
fn in_front(name: &str, message: &str, fields: &str) -> String {
    filter(
        name,
        &format!(
            "{{applyTo: NETWORK_FILTER, match: {{context: GATEWAY, listener: {{filterChain: {{filter: {{name: \
             envoy.filters.network.http_connection_manager}}}}}}}}, patch: {{operation: INSERT_BEFORE, value: {{name: \
             envoy.filters.network.{name}, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.{name}.v3.{message}, \
             stat_prefix: edge, {fields}}}}}}}}}"
        ),
    )
}

#[test]
fn a_gateway_takes_so_many_connections_at_once() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<EnvoyFilter>(&in_front("connection_limit", "ConnectionLimit", "max_connections: 1"));
    let proxy = mesh.gateway(8080).expect("accepted");
    let held = TcpStream::connect(proxy.address).expect("connect");
    let active = |count: u64| {
        let told = || (proxy.stat("connection_limit.edge.active_connections") == count).then_some(());
        until(told).unwrap_or_else(|| panic!("never {count} connections"));
    };
    active(1);
    assert_eq!(proxy.get("/", ""), "", "closed without an answer");
    assert_eq!(proxy.stat("connection_limit.edge.limited_connections"), 1);
    drop(held);
    active(0);
    assert_eq!(status(&proxy.get("/", "")), 200);
}

#[test]
fn a_gateway_takes_so_many_connections_in_a_while() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    let bucket = "token_bucket: {max_tokens: 2, tokens_per_fill: 2, fill_interval: 600s}";
    mesh.put::<EnvoyFilter>(&in_front("local_ratelimit", "LocalRateLimit", bucket));
    let proxy = mesh.gateway(8080).expect("accepted");
    let answers: Vec<u16> = (0..4).map(|_| status(&proxy.get("/", ""))).collect();
    assert_eq!(answers, [200, 200, 0, 0]);
    assert_eq!(proxy.stat("local_rate_limit.edge.rate_limited"), 2);
}
