//! The handshake that turns a request into a connection of its own: WebSocket (RFC 6455) or SPDY, server side.

use std::future::Future;
use std::io;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_util::codec::{BytesCodec, Framed};

use super::spdy::Transport;
use crate::apiserver::error::ApiError;

/// Most bytes of one message.
const MESSAGE_LIMIT: usize = 4 << 20;
/// Names the subprotocols of a SPDY connection.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Subprotocols that a request may choose, best first.
pub(super) struct Supported<'a> {
    pub(super) websocket: &'a [&'a str],
    pub(super) spdy: &'a [&'a str],
}

/// A handshake that will succeed.
pub(super) struct Handshake {
    upgrade: OnUpgrade,
    /// The proof that a WebSocket client wants; SPDY clients want none.
    websocket_accept: Option<String>,
    /// The chosen subprotocol.
    pub(super) protocol: String,
}

/// A WebSocket over a connection that was handed over.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn offers(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).map(|one| one.trim().to_owned()).collect()
}

fn choose(offers: &[String], supported: &[&str]) -> Result<String, ApiError> {
    let found = supported.iter().find(|known| offers.iter().any(|offer| offer == *known));
    found.map(|protocol| (*protocol).to_owned()).ok_or_else(|| {
        ApiError::bad_request(format!(
            "unable to upgrade: none of the subprotocols {offers:?} is supported, use one of {supported:?}"
        ))
    })
}

/// Checks the request and chooses the first supported subprotocol that the client offers.
pub(super) fn negotiate(
    mut request: Request<Incoming>,
    supported: &Supported<'_>,
) -> Result<Handshake, ApiError> {
    let headers = request.headers();
    let wanted = text(headers, "upgrade").to_ascii_lowercase();
    let (websocket_accept, protocol) = match wanted.as_str() {
        "websocket" => {
            let key = text(headers, "sec-websocket-key");
            if key.is_empty() || text(headers, "sec-websocket-version") != "13" {
                return Err(ApiError::bad_request("not a WebSocket handshake of version 13"));
            }
            let offers = offers(headers, &header::SEC_WEBSOCKET_PROTOCOL);
            (Some(proof(key)), choose(&offers, supported.websocket)?)
        }
        "spdy/3.1" => (None, choose(&offers(headers, &STREAM_PROTOCOL), supported.spdy)?),
        other => {
            return Err(ApiError::bad_request(format!(
                "unable to upgrade: {other:?} is not supported, use websocket or SPDY/3.1"
            )));
        }
    };
    Ok(Handshake { upgrade: hyper::upgrade::on(&mut request), websocket_accept, protocol })
}

fn proof(key: &str) -> String {
    STANDARD.encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    ))
}

impl Handshake {
    /// Whether the connection will be SPDY without a WebSocket around it.
    pub(super) fn is_spdy(&self) -> bool {
        self.websocket_accept.is_none()
    }

    /// The 101 answer.
    fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let (upgrade, protocol_header) = match &self.websocket_accept {
            Some(accept) => {
                headers.extend(
                    HeaderValue::from_str(accept).ok().map(|value| (header::SEC_WEBSOCKET_ACCEPT, value)),
                );
                ("websocket", header::SEC_WEBSOCKET_PROTOCOL)
            }
            None => ("SPDY/3.1", STREAM_PROTOCOL),
        };
        headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
        headers.extend(HeaderValue::from_str(&self.protocol).ok().map(|value| (protocol_header, value)));
        response
    }

    /// The 101 answer, and the WebSocket once the client has it.
    pub(super) fn accept(self) -> (Response<Body>, impl Future<Output = Option<Socket>> + Send) {
        let response = self.response();
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

    /// The 101 answer, and the bytes of SPDY once the client has it, be they in a WebSocket or not.
    pub(super) fn accept_spdy(self) -> (Response<Body>, impl Future<Output = Option<Transport>> + Send) {
        let (plain, response) = (self.is_spdy(), self.response());
        let transport = async move {
            if plain {
                Some(plain_transport(self.upgrade.await.ok()?))
            } else {
                Some(tunnel(self.accept().1.await?))
            }
        };
        (response, transport)
    }
}

fn plain_transport(upgraded: Upgraded) -> Transport {
    let (sink, source) = Framed::new(TokioIo::new(upgraded), BytesCodec::new()).split::<Bytes>();
    Transport { source: Box::pin(source.map(|bytes| bytes.map(BytesMut::freeze))), sink: Box::pin(sink) }
}

fn tunnel(socket: Socket) -> Transport {
    let (sink, source) = socket.split();
    let source = source
        .take_while(|message| std::future::ready(!matches!(message, Ok(Message::Close(_)))))
        .filter_map(|message| {
            std::future::ready(match message {
                Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
                Ok(_) => None,
                Err(error) => Some(Err(io::Error::other(error))),
            })
        });
    let sink = sink
        .with(|bytes| std::future::ready(Ok::<_, SocketError>(Message::Binary(bytes))))
        .sink_map_err(io::Error::other);
    Transport { source: Box::pin(source), sink: Box::pin(sink) }
}
