//! A small HTTP/1 server for the ports that are not traffic: admin, readiness, metrics, probes.
//!
//! Bounded in every direction: connections, time for a request's head, head and body size. A flood on one of these
//! ports costs its own port at most.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Open connections for each port; the next ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// How long a client may take for the head of a request; also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// Largest body taken, in bytes.
const BODY_BYTES: usize = 64 * 1024;

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Decoded `name=value` pairs of the query in their order; a name alone has an empty value.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: SocketAddr,
}

impl Request {
    /// First value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the request comes from this machine (this pod).
    pub(crate) fn is_local(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback()
    }
}

/// What a handler returns.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Answers requests; called concurrently.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer to one request; `HEAD` arrives as `GET` and loses its body on the way out.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=UTF-8", body)
}

/// An answer of any type.
pub(crate) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// Serves until dropped.
pub(crate) async fn serve<H: Handler>(listener: TcpListener, handler: Arc<H>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve_connection(stream, peer, Arc::clone(&handler)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a request handler failed");
                }
            }
        }
    }
}

async fn serve_connection<H: Handler>(stream: TcpStream, peer: SocketAddr, handler: Arc<H>) {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, std::convert::Infallible>(answer(request, peer, handler.as_ref()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = pin!(connection).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn answer<H: Handler>(request: http::Request<Incoming>, peer: SocketAddr, handler: &H) -> Reply {
    let (head, body) = request.into_parts();
    // No handler needs a body; it is read so that the connection can go on, and refused when it is not small.
    if Limited::new(body, BODY_BYTES).collect().await.is_err() {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large\n");
    }
    let method = if head.method == Method::HEAD { Method::GET } else { head.method };
    handler
        .handle(Request {
            method,
            path: head.uri.path().to_owned(),
            query: parse_query(head.uri.query().unwrap_or_default()),
            headers: head.headers,
            peer,
        })
        .await
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (percent_decode(name), percent_decode(value))
        })
        .collect()
}

/// Undoes `%41` and `+`; anything malformed stays as it is.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = match (byte, text.get(at + 1..at + 3)) {
            (b'%', Some(digits)) => u8::from_str_radix(digits, 16).ok(),
            _ => None,
        };
        at += if escaped.is_some() { 3 } else { 1 };
        decoded.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = parse_query("mask=a,b&include_eds&filter=%5Ehttp+x%zz");
        assert_eq!(query[0], ("mask".into(), "a,b".into()));
        assert_eq!(query[1], ("include_eds".into(), String::new()));
        assert_eq!(query[2], ("filter".into(), "^http x%zz".into()));
    }
}
