//! Asking by gRPC: `envoy.service.auth.v3.Authorization/Check`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use envoy_types::pb::envoy::service::auth::v3 as auth;
use envoy_types::pb::google::protobuf::Timestamp;

use super::{Changes, Decision, ExtAuthz, Refusal, joined, status};
use crate::config::proto::core;
use crate::filter::grpc_service::{answered, header_pair, struct_json};
use crate::http::call::Answer;
use crate::http::exchange::Exchange;
use crate::http::prepare::url_encoded_pem;

/// What is called.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The part of a body that goes along.
#[derive(Debug, Default)]
pub(super) struct SentBody<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) as_bytes: bool,
    /// `None`: bodies do not go along; else whether it was cut.
    pub(super) partial: Option<bool>,
}

/// Everything the service may know of a request.
pub(super) fn attributes(
    exchange: &Exchange,
    filter: &ExtAuthz,
    body: &SentBody<'_>,
    context: &[(String, String)],
) -> auth::CheckRequest {
    let connection = &exchange.scene.connection;
    let certificate = connection.peer.as_ref().filter(|_| filter.include_certificate);
    let source = auth::attribute_context::Peer {
        address: Some(address(connection.remote)),
        service: text(
            exchange.request.headers.get(b"x-envoy-downstream-service-cluster").unwrap_or_default(),
        ),
        principal: connection.principal().unwrap_or_default().to_owned(),
        certificate: certificate.map(|peer| url_encoded_pem(&peer.certificate)).unwrap_or_default(),
        ..Default::default()
    };
    let destination = auth::attribute_context::Peer {
        address: Some(address(connection.local)),
        principal: connection.local_principal.as_deref().unwrap_or_default().to_owned(),
        ..Default::default()
    };
    let since = exchange.info.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    };
    auth::CheckRequest {
        attributes: Some(auth::AttributeContext {
            source: Some(source),
            destination: Some(destination),
            request: Some(auth::attribute_context::Request {
                time: Some(time),
                http: Some(http_request(exchange, filter, body)),
            }),
            context_extensions: context.iter().cloned().collect(),
            metadata_context: Some(core::Metadata::default()),
            route_metadata_context: None,
            tls_session: filter
                .include_tls_session
                .then(|| auth::attribute_context::TlsSession { sni: connection.server_name.clone() }),
        }),
    }
}

fn http_request(
    exchange: &Exchange,
    filter: &ExtAuthz,
    body: &SentBody<'_>,
) -> auth::attribute_context::HttpRequest {
    let request = &exchange.request;
    let mut headers = HashMap::with_capacity(request.headers.len() + 5);
    let pseudo: [(&[u8], &[u8]); 4] = [
        (b":method", &request.method),
        (b":path", &request.path),
        (b":authority", &request.authority),
        (b":scheme", request.scheme.as_bytes()),
    ];
    for (name, value) in pseudo {
        if filter.sends(name).unwrap_or(true) {
            headers.insert(text(name), text(value));
        }
    }
    for (name, _) in request.headers.iter() {
        if filter.sends(name).unwrap_or(true) {
            headers.entry(text(name)).or_insert_with(|| text(&joined(&request.headers, name)));
        }
    }
    if let Some(partial) = body.partial {
        headers.insert("x-envoy-auth-partial-body".to_owned(), partial.to_string());
    }
    let length = request.headers.get_text(b"content-length").and_then(|length| length.parse().ok());
    auth::attribute_context::HttpRequest {
        id: exchange.random.to_string(),
        method: text(&request.method),
        headers,
        header_map: None,
        path: text(&request.path),
        host: text(&request.authority),
        scheme: request.scheme.to_owned(),
        query: String::new(),
        fragment: String::new(),
        size: length.unwrap_or(-1),
        protocol: exchange.info.protocol.to_owned(),
        body: if body.as_bytes { String::new() } else { text(body.bytes) },
        raw_body: if body.as_bytes { body.bytes.to_vec() } else { Vec::new() },
    }
}

/// What an answer means.
pub(super) fn decision(answer: &Answer) -> Decision {
    let Some(checked) = answered::<auth::CheckResponse>(answer) else { return Decision::Failed };
    use auth::check_response::HttpResponse::{DeniedResponse, ErrorResponse, OkResponse};
    let metadata = checked.dynamic_metadata.map(struct_json);
    let code = checked.status.as_ref().map_or(0, |status| status.code);
    match (code, checked.http_response) {
        (0, Some(OkResponse(ok))) => Decision::Allowed(Box::new(Changes { metadata, ..changes(ok) })),
        (0, _) => Decision::Allowed(Box::new(Changes { metadata, ..Changes::default() })),
        (_, Some(DeniedResponse(denied) | ErrorResponse(denied))) => {
            let headers = denied.headers.into_iter().filter_map(|option| option.header);
            Decision::Denied(Box::new(Refusal {
                status: status(denied.status.as_ref(), 403),
                headers: headers.map(header_pair).collect(),
                body: denied.body.into_bytes(),
                metadata,
            }))
        }
        _ => Decision::Denied(Box::new(Refusal { status: 403, metadata, ..Refusal::default() })),
    }
}

/// Headers are set unless the service asks for something else.
#[allow(deprecated, reason = "services still say append")]
fn changes(ok: auth::OkHttpResponse) -> Changes {
    let mut changes = Changes::default();
    for option in ok.headers {
        let append = option.append.as_ref().is_some_and(|append| append.value);
        let absent = option.append.is_none()
            && option.append_action() == core::header_value_option::HeaderAppendAction::AddIfAbsent;
        let Some(header) = option.header else { continue };
        match (append, absent) {
            (true, _) => changes.append.push(header_pair(header)),
            (_, true) => changes.add_if_absent.push(header_pair(header)),
            _ => changes.set.push(header_pair(header)),
        }
    }
    changes.remove = ok.headers_to_remove.iter().map(|name| name.to_ascii_lowercase().into_bytes()).collect();
    changes.response =
        ok.response_headers_to_add.into_iter().filter_map(|option| option.header).map(header_pair).collect();
    changes.query_set = ok.query_parameters_to_set.into_iter().map(|each| (each.key, each.value)).collect();
    changes.query_remove = ok.query_parameters_to_remove;
    changes
}

fn address(of: SocketAddr) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: of.ip().to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(of.port().into())),
            ..core::SocketAddress::default()
        })),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
