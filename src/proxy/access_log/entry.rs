//! Entries of Envoy's access log service. What is not known here (times within a request, the type of an entry) is left out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use envoy_types::pb::envoy::config::core::v3::{
    Address, RequestMethod, SocketAddress, address, socket_address,
};
use envoy_types::pb::envoy::data::accesslog::v3::http_access_log_entry::HttpVersion;
use envoy_types::pb::envoy::data::accesslog::v3::response_flags::{Unauthorized, unauthorized::Reason};
use envoy_types::pb::envoy::data::accesslog::v3::tls_properties::CertificateProperties;
use envoy_types::pb::envoy::data::accesslog::v3::tls_properties::certificate_properties::{
    SubjectAltName, subject_alt_name::San,
};
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, ConnectionProperties, HttpAccessLogEntry, HttpRequestProperties, HttpResponseProperties,
    ResponseFlags, TcpAccessLogEntry, TlsProperties,
};
use envoy_types::pb::google::protobuf::{Duration, Timestamp, UInt32Value};

use super::format::Facts;
use crate::http::headers::HeaderList;
use crate::http::info::{ConnectionInfo, Flags};

/// Headers that are told besides the usual ones; names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) request: Vec<Box<str>>,
    pub(crate) response: Vec<Box<str>>,
}

/// The entry of a request.
pub(crate) fn of_request(facts: &Facts<'_>, headers: &Headers) -> HttpAccessLogEntry {
    let (info, request, response) = (facts.info, facts.request, facts.response);
    let text = |name: &str| request.get_text(name.as_bytes()).unwrap_or_default().to_owned();
    let [method, path, authority, scheme] =
        facts.pseudo.map(|text| String::from_utf8_lossy(text).into_owned());
    let version = match info.protocol {
        "HTTP/1.0" => HttpVersion::Http10,
        "HTTP/1.1" => HttpVersion::Http11,
        "HTTP/2" => HttpVersion::Http2,
        _ => HttpVersion::ProtocolUnspecified,
    };
    HttpAccessLogEntry {
        common_properties: Some(common(facts)),
        protocol_version: version as i32,
        request: Some(HttpRequestProperties {
            request_method: RequestMethod::from_str_name(&method).unwrap_or_default() as i32,
            scheme,
            authority,
            path,
            user_agent: text("user-agent"),
            referer: text("referer"),
            forwarded_for: text("x-forwarded-for"),
            request_id: text("x-request-id"),
            original_path: text("x-envoy-original-path"),
            request_headers_bytes: request.byte_size() as u64,
            request_body_bytes: info.bytes_received,
            request_headers: picked(request, &headers.request),
            ..HttpRequestProperties::default()
        }),
        response: Some(HttpResponseProperties {
            response_code: Some(UInt32Value { value: u32::from(info.response_code) }),
            response_headers_bytes: response.byte_size() as u64,
            response_body_bytes: info.bytes_sent,
            response_headers: picked(response, &headers.response),
            response_code_details: info.details.to_string(),
            ..HttpResponseProperties::default()
        }),
    }
}

/// The entry of a connection.
pub(crate) fn of_connection(facts: &Facts<'_>) -> TcpAccessLogEntry {
    TcpAccessLogEntry {
        common_properties: Some(common(facts)),
        connection_properties: Some(ConnectionProperties {
            received_bytes: facts.info.bytes_received,
            sent_bytes: facts.info.bytes_sent,
        }),
    }
}

fn picked(from: &HeaderList, names: &[Box<str>]) -> HashMap<String, String> {
    let value = |name: &str| from.get_text(name.as_bytes()).map(str::to_owned);
    names.iter().filter_map(|name| Some((name.to_string(), value(name)?))).collect()
}

fn common(facts: &Facts<'_>) -> AccessLogCommon {
    let (info, connection) = (facts.info, facts.connection);
    let started = info.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    AccessLogCommon {
        downstream_remote_address: Some(address(info.client.unwrap_or(connection.remote))),
        downstream_local_address: Some(address(connection.local)),
        downstream_direct_remote_address: Some(address(connection.direct_remote)),
        tls_properties: connection.tls.then(|| tls(connection)),
        start_time: Some(Timestamp {
            seconds: i64::try_from(started.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(started.subsec_nanos()).unwrap_or_default(),
        }),
        duration: Some(Duration {
            seconds: i64::try_from(info.duration.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(info.duration.subsec_nanos()).unwrap_or_default(),
        }),
        upstream_remote_address: info.upstream_host.map(address),
        upstream_local_address: info.upstream_local.map(address),
        upstream_cluster: info.cluster.as_deref().unwrap_or_default().to_owned(),
        upstream_transport_failure_reason: info.transport_failure.to_string(),
        upstream_request_attempt_count: info.attempts,
        route_name: info.route_name.as_deref().unwrap_or_default().to_owned(),
        response_flags: (!info.flags.is_empty()).then(|| flags(info.flags)),
        ..AccessLogCommon::default()
    }
}

fn address(of: SocketAddr) -> Address {
    let socket = SocketAddress {
        address: of.ip().to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(of.port()))),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn tls(connection: &ConnectionInfo) -> TlsProperties {
    let uri = |uri: &str| SubjectAltName { san: Some(San::Uri(uri.to_owned())) };
    let peer = connection.peer.as_ref().map(|peer| CertificateProperties {
        subject_alt_name: peer.uris.iter().map(|name| uri(name)).collect(),
        subject: peer.subject.clone(),
        ..CertificateProperties::default()
    });
    let own = connection.local_principal.as_ref().map(|principal| CertificateProperties {
        subject_alt_name: vec![uri(&format!("spiffe://{}", principal.trim_start_matches("spiffe://")))],
        ..CertificateProperties::default()
    });
    TlsProperties {
        tls_sni_hostname: connection.server_name.clone(),
        peer_certificate_properties: peer,
        local_certificate_properties: own,
        ..TlsProperties::default()
    }
}

fn flags(set: Flags) -> ResponseFlags {
    let unauthorized = Unauthorized { reason: Reason::ExternalService as i32 };
    ResponseFlags {
        no_healthy_upstream: set.has("UH"),
        upstream_request_timeout: set.has("UT"),
        local_reset: set.has("LR"),
        upstream_remote_reset: set.has("UR"),
        upstream_connection_failure: set.has("UF"),
        upstream_connection_termination: set.has("UC"),
        upstream_overflow: set.has("UO"),
        no_route_found: set.has("NR"),
        delay_injected: set.has("DI"),
        fault_injected: set.has("FI"),
        rate_limited: set.has("RL"),
        unauthorized_details: set.has("UAEX").then_some(unauthorized),
        rate_limit_service_error: set.has("RLSE"),
        downstream_connection_termination: set.has("DC"),
        upstream_retry_limit_exceeded: set.has("URX"),
        stream_idle_timeout: set.has("SI"),
        downstream_protocol_error: set.has("DPE"),
        duration_timeout: set.has("DT"),
        upstream_protocol_error: set.has("UPE"),
        no_cluster_found: set.has("NC"),
        ..ResponseFlags::default()
    }
}
