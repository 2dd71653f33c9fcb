//! The WebSocket opening handshake (RFC 6455), server side.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::apiserver::error::ApiError;

/// Most bytes of one message.
const MESSAGE_LIMIT: usize = 4 << 20;

/// A handshake that will succeed.
pub(super) struct Handshake {
    upgrade: OnUpgrade,
    accept: String,
    /// The chosen subprotocol.
    pub(super) protocol: String,
}

/// A WebSocket over a connection that was handed over.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Checks the request and chooses the first of `supported` that the client offers.
pub(super) fn websocket(mut request: Request<Incoming>, supported: &[&str]) -> Result<Handshake, ApiError> {
    let headers = request.headers();
    if !text(headers, "upgrade").eq_ignore_ascii_case("websocket") {
        return Err(ApiError::bad_request(format!(
            "unable to upgrade: {:?} is not supported, use websocket",
            text(headers, "upgrade")
        )));
    }
    let key = text(headers, "sec-websocket-key").to_owned();
    if key.is_empty() || text(headers, "sec-websocket-version") != "13" {
        return Err(ApiError::bad_request("not a WebSocket handshake of version 13"));
    }
    let offers = headers.get_all("sec-websocket-protocol").iter().filter_map(|value| value.to_str().ok());
    let offers: Vec<String> =
        offers.flat_map(|list| list.split(',')).map(|one| one.trim().to_owned()).collect();
    let protocol = supported.iter().find(|known| offers.iter().any(|offer| offer == *known));
    let Some(protocol) = protocol else {
        return Err(ApiError::bad_request(format!(
            "unable to upgrade: none of the subprotocols {offers:?} is supported, use one of {supported:?}"
        )));
    };
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    );
    let protocol = (*protocol).to_owned();
    Ok(Handshake { upgrade: hyper::upgrade::on(&mut request), accept: STANDARD.encode(digest), protocol })
}

impl Handshake {
    /// The 101 answer, and the socket once the client has it.
    pub(super) fn accept(self) -> (Response<Body>, impl Future<Output = Option<Socket>> + Send) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        for (name, value) in
            [(header::SEC_WEBSOCKET_ACCEPT, &self.accept), (header::SEC_WEBSOCKET_PROTOCOL, &self.protocol)]
        {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let upgrade = self.upgrade;
        let socket = async move {
            let upgraded = upgrade.await.ok()?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MESSAGE_LIMIT))
                .max_frame_size(Some(MESSAGE_LIMIT));
            Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await)
        };
        (response, socket)
    }
}
