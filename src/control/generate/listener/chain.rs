//! Parts of listeners and filter chains that all kinds share.

use super::super::proto::{Any, address, any, boolean, core, duration, listener, types, uint};
use super::super::{Settings, access_log};
use envoy_types::pb::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
use envoy_types::pb::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use listener::listener_filter_chain_match_predicate::Rule;

/// Mark of connections in a caller's name: the default of `istio-init`, which keeps their packets inside the pod. Not Istio's 1337,
/// by which our proxy may mark all it sends.
const TPROXY_MARK: u32 = 1338;
/// ALPN of plaintext HTTP, as the HTTP inspector names it.
pub(super) const PLAINTEXT_HTTP: [&str; 2] = ["http/1.1", "h2c"];
/// The same where HTTP/1.0 is accepted.
pub(super) const PLAINTEXT_HTTP_10: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];
/// ALPN of HTTP inside the mesh's mutual TLS.
pub(super) const MUTUAL_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// ALPN of TCP inside the mesh's mutual TLS.
pub(super) const MUTUAL_TCP: [&str; 2] = ["istio-peer-exchange", "istio"];
/// Every ALPN of the mesh.
pub(super) const MUTUAL_ANY: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// A network filter.
pub(super) fn filter(name: &str, config: Any) -> listener::Filter {
    listener::Filter {
        name: name.to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
    }
}

/// A listener filter.
pub(super) fn listener_filter(name: &str, config: Any) -> listener::ListenerFilter {
    listener::ListenerFilter {
        name: name.to_owned(),
        filter_disabled: None,
        config_type: Some(listener::listener_filter::ConfigType::TypedConfig(config)),
    }
}

/// Reads the server name and ALPN of a TLS connection.
pub(super) fn tls_inspector() -> listener::ListenerFilter {
    listener_filter("envoy.filters.listener.tls_inspector", any(&TlsInspector::default()))
}

/// Finds out whether plaintext is HTTP.
pub(super) fn http_inspector() -> listener::ListenerFilter {
    listener_filter("envoy.filters.listener.http_inspector", any(&HttpInspector::default()))
}

/// Takes the header of the PROXY protocol off a connection, and its client's address from it.
pub(super) fn proxy_protocol() -> listener::ListenerFilter {
    listener_filter("envoy.filters.listener.proxy_protocol", any(&ProxyProtocol::default()))
}

/// Learns where a captured connection was going.
pub(super) fn original_dst() -> listener::ListenerFilter {
    listener_filter("envoy.filters.listener.original_dst", any(&OriginalDst::default()))
}

/// Has the application see its callers' addresses.
pub(super) fn original_src() -> listener::ListenerFilter {
    let config = OriginalSrc { mark: TPROXY_MARK, ..OriginalSrc::default() };
    listener_filter("envoy.filters.listener.original_src", any(&config))
}

/// A filter switched off for these ports; on everywhere where there are none.
pub(super) fn off_for_ports(mut made: listener::ListenerFilter, ports: &[u16]) -> listener::ListenerFilter {
    let predicate = |port: &u16| listener::ListenerFilterChainMatchPredicate {
        rule: Some(Rule::DestinationPortRange(types::Int32Range {
            start: i32::from(*port),
            end: i32::from(*port) + 1,
        })),
    };
    let mut rules: Vec<_> = ports.iter().map(predicate).collect();
    made.filter_disabled = match rules.len() {
        0 => None,
        1 => rules.pop(),
        _ => Some(listener::ListenerFilterChainMatchPredicate {
            rule: Some(Rule::OrMatch(listener::listener_filter_chain_match_predicate::MatchSet { rules })),
        }),
    };
    made
}

/// An outbound or inbound listener with the settings all have.
pub(super) fn listener(
    name: &str,
    ip: &str,
    port: u16,
    direction: core::TrafficDirection,
    settings: &Settings,
) -> listener::Listener {
    listener::Listener {
        name: name.to_owned(),
        address: Some(address(ip, u32::from(port))),
        traffic_direction: direction as i32,
        access_log: access_log::listener_access_log(settings),
        ..listener::Listener::default()
    }
}

/// How long the inspectors may take; without a limit they may take as long as the client does.
pub(super) fn set_inspection_timeout(made: &mut listener::Listener, settings: &Settings) {
    made.listener_filters_timeout = Some(duration(settings.protocol_detection_timeout));
    made.continue_on_listener_filters_timeout = true;
}

/// A chain without conditions.
pub(super) fn chain(name: &str, filters: Vec<listener::Filter>) -> listener::FilterChain {
    listener::FilterChain { name: name.to_owned(), filters, ..listener::FilterChain::default() }
}

/// Condition on the destination port.
pub(super) fn to_port(port: u16) -> listener::FilterChainMatch {
    listener::FilterChainMatch { destination_port: uint(u32::from(port)), ..Default::default() }
}

/// Condition for plaintext HTTP.
pub(super) fn plaintext_http(http10: bool) -> listener::FilterChainMatch {
    let protocols: &[&str] = if http10 { &PLAINTEXT_HTTP_10 } else { &PLAINTEXT_HTTP };
    listener::FilterChainMatch {
        transport_protocol: "raw_buffer".to_owned(),
        application_protocols: protocols.iter().map(|&protocol| protocol.to_owned()).collect(),
        ..listener::FilterChainMatch::default()
    }
}

/// A listener that others hand connections to, without a socket of its own.
pub(super) fn without_socket(mut made: listener::Listener) -> listener::Listener {
    made.bind_to_port = boolean(false);
    made
}
