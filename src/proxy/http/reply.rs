//! Answering downstream: real responses and the proxy's own.

use std::rc::Rc;

use bytes::Bytes;

use super::body::{Body, BodyError, Sink};
use super::codec::{Ending, Response, write_response};
use super::h2_map::to_map;
use super::wire::Wire;

/// Where the response goes.
#[derive(Debug)]
pub(crate) enum Replier {
    H1 { wire: Rc<Wire>, to_head: bool, version: u8, close: bool },
    H2(h2::server::SendResponse<Bytes>),
}

impl Replier {
    /// Whether the downstream connection ends after this response.
    pub(crate) fn closes(&self) -> bool {
        matches!(self, Self::H1 { close: true, .. })
    }

    pub(crate) fn set_close(&mut self) {
        if let Self::H1 { close, .. } = self {
            *close = true;
        }
    }

    /// Sends (H2) or buffers (H1) the head; the sink takes the body.
    pub(crate) fn start(
        &mut self,
        response: &Response,
        body: &Body,
        upgrade: Option<&str>,
    ) -> Result<Sink, BodyError> {
        match self {
            Self::H1 { wire, to_head, version, close } => {
                let bodiless = *to_head || response.status < 200 || matches!(response.status, 204 | 304);
                let mut response = std::borrow::Cow::Borrowed(response);
                // Only a chunked body has room for the trailers that a gRPC answer ends in.
                let is_grpc = |kind: &[u8]| kind.starts_with(b"application/grpc");
                let grpc = response.headers.get(b"content-type").is_some_and(is_grpc);
                if grpc && *version == 1 && matches!(body, Body::H2 { .. }) {
                    response.to_mut().headers.remove(b"content-length");
                }
                let sized = response.headers.contains(b"content-length");
                let empty = body.is_done();
                let chunked = !bodiless && !sized && !empty && *version == 1;
                *close |= !bodiless && !sized && !empty && *version == 0;
                let mut out = wire.output();
                if empty && !sized && !bodiless {
                    response.to_mut().headers.set(b"content-length", b"0");
                }
                write_response(
                    &mut out,
                    &response,
                    chunked,
                    Ending { version: *version, close: *close },
                    upgrade,
                );
                drop(out);
                // Even without a body the head still waits in the buffer for the flush that `finish` brings.
                Ok(if bodiless {
                    Sink::H1 { wire: wire.clone(), chunked: false }
                } else {
                    Sink::H1 { wire: wire.clone(), chunked }
                })
            }
            Self::H2(sender) => {
                let status =
                    http::StatusCode::from_u16(response.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
                let mut head = http::Response::new(());
                *head.status_mut() = status;
                *head.headers_mut() = to_map(&response.headers);
                let end = body.is_done() && matches!(body, Body::Empty | Body::Full(_));
                let stream = sender.send_response(head, end)?;
                Ok(if end { Sink::Closed } else { Sink::H2(stream) })
            }
        }
    }

    /// Returns once the client has closed its connection or reset its stream. `waiting` = it owes nothing of its request.
    /// `answering` = the response is on its way; then the sink of an HTTP/2 response tells of resets.
    pub(crate) async fn gone(&mut self, waiting: impl Fn() -> bool, answering: bool) {
        match self {
            Self::H1 { wire, .. } => wire.closed(waiting).await,
            Self::H2(_) if answering => std::future::pending().await,
            Self::H2(sender) => {
                let reset = std::future::poll_fn(|cx| sender.poll_reset(cx)).await;
                drop(reset);
            }
        }
    }

    /// Cuts the response short: the peer must see that it is not complete.
    pub(crate) fn abort(&mut self) {
        match self {
            Self::H1 { close, .. } => *close = true,
            Self::H2(sender) => sender.send_reset(h2::Reason::INTERNAL_ERROR),
        }
    }

    /// `100 Continue`.
    pub(crate) async fn send_continue(&mut self) -> Result<(), BodyError> {
        match self {
            Self::H1 { wire, .. } => {
                wire.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                Ok(wire.flush().await?)
            }
            Self::H2(sender) => {
                let mut head = http::Response::new(());
                *head.status_mut() = http::StatusCode::CONTINUE;
                Ok(sender.send_informational(head)?)
            }
        }
    }
}

/// Fills a response of the proxy's own. gRPC callers get it as a gRPC status.
pub(crate) fn local(response: &mut Response, status: u16, text: &[u8], grpc: bool) -> Body {
    response.status = if grpc { 200 } else { status };
    response.keep_alive = true;
    if grpc {
        let code = match status {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => 14,
            _ => 2,
        };
        response.headers.set(b"content-type", b"application/grpc");
        response.headers.set(b"grpc-status", i32::to_string(&code).as_bytes());
        if !text.is_empty() {
            response.headers.set(b"grpc-message", &percent(text));
        }
        return Body::Empty;
    }
    if text.is_empty() {
        return Body::Empty;
    }
    response.headers.set(b"content-length", text.len().to_string().as_bytes());
    if !response.headers.contains(b"content-type") {
        response.headers.set(b"content-type", b"text/plain");
    }
    Body::Full(Bytes::copy_from_slice(text))
}

fn percent(text: &[u8]) -> Vec<u8> {
    text.iter()
        .flat_map(|b| {
            if (0x20..0x7f).contains(b) && *b != b'%' { vec![*b] } else { format!("%{b:02X}").into_bytes() }
        })
        .collect()
}
