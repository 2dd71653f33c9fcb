//! One attempt to get a response: choose an endpoint, get a connection, send, wait for the head.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use tokio::sync::Mutex;

use crate::config::AttemptFailure;
use crate::listen::proxy_protocol::Addresses;
use crate::upstream::connect::{ConnectError, Offer, connect};
use crate::upstream::host::{ActiveRequest, H2Place, Host, Lease, Overflow, Place};
use crate::upstream::original::Origin;
use crate::upstream::pool::Pool;
use crate::worker::context::Worker;

use super::body::{Body, BodyError, PumpError, Sink, pump};
use super::codec::{Asked, HeadError, Request, Response, take_response, write_request};
use super::h2_map::to_map;
use super::info::StreamInfo;
use super::wire::Wire;

/// What was already sent of a body, in case it must be sent again.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pieces: Vec<Bytes>,
    size: usize,
    /// Most bytes kept.
    limit: usize,
    /// Too large to be sent again.
    overflow: bool,
}

impl Replay {
    fn keep(&mut self, piece: &[u8]) {
        self.size += piece.len();
        if self.size > self.limit {
            self.overflow = true;
            self.pieces.clear();
        } else if !self.overflow {
            self.pieces.push(Bytes::copy_from_slice(piece));
        }
    }

    pub(crate) fn joined(&self) -> Bytes {
        self.pieces.concat().into()
    }
}

/// The rest of the request body, still on its way.
pub(crate) type Upload = LocalBoxFuture<'static, Result<(), PumpError>>;

/// Why the client's side of a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// The framing of the body is broken.
    Framing,
    /// The client went away.
    Gone,
}

/// The body of a request, shared by the attempts to send it.
#[derive(Debug)]
pub(crate) struct Source {
    body: Mutex<Body>,
    replay: Option<RefCell<Replay>>,
    /// When the last piece came.
    pub(crate) moved: Cell<Instant>,
    /// When the end came.
    pub(crate) ended: Cell<Option<Instant>>,
    pub(crate) received: Cell<u64>,
    pub(crate) fault: Cell<Option<ClientFault>>,
}

impl Source {
    /// What was sent is kept to be sent again, unless it is more than `keep` bytes; `None` = nothing is kept.
    pub(crate) fn new(body: Body, keep: Option<usize>) -> Rc<Self> {
        Rc::new(Self {
            body: Mutex::new(body),
            replay: keep.map(|limit| RefCell::new(Replay { limit, ..Replay::default() })),
            moved: Cell::new(Instant::now()),
            ended: Cell::new(None),
            received: Cell::new(0),
            fault: Cell::new(None),
        })
    }

    /// Whether the body cannot be sent once more.
    pub(crate) fn is_spent(&self) -> bool {
        self.fault.get().is_some() || self.replay.as_ref().is_none_or(|replay| replay.borrow().overflow)
    }

    /// Everything, once it has ended; `None` when it was too much to keep.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        self.replay.as_ref().filter(|_| !self.is_spent()).map(|replay| replay.borrow().joined())
    }

    async fn send(self: Rc<Self>, mut sink: Sink) -> Result<(), PumpError> {
        let mut body = self.body.lock().await;
        let again: Vec<Bytes> = self.replay.iter().flat_map(|r| r.borrow().pieces.clone()).collect();
        for piece in again {
            sink.data(piece).await.map_err(PumpError::Sink)?;
        }
        let sent = pump(&mut body, &mut sink, |piece| {
            self.moved.set(Instant::now());
            self.received.set(self.received.get() + piece.len() as u64);
            if let Some(replay) = &self.replay {
                replay.borrow_mut().keep(piece);
            }
        })
        .await;
        match &sent {
            Ok(()) => self.ended.set(Some(Instant::now())),
            Err(error) => {
                if let PumpError::Source(error) = error {
                    let broken = matches!(error, BodyError::Framing);
                    self.fault.set(Some(if broken { ClientFault::Framing } else { ClientFault::Gone }));
                }
                sink.abort(h2::Reason::CANCEL);
            }
        }
        sent
    }
}

/// The request as every attempt sends it.
pub(crate) struct Outgoing<'r> {
    pub(crate) request: &'r Request,
    pub(crate) authority: &'r [u8],
    /// `None` = the request has no body.
    pub(crate) source: Option<&'r Rc<Source>>,
    pub(crate) http2: bool,
    pub(crate) offer: Offer,
    pub(crate) sni: Option<&'r str>,
    /// Source and destination of the client's connection.
    pub(crate) from: Addresses,
}

impl Outgoing<'_> {
    /// Sending it twice does what sending it once does (RFC 9110, 9.2.1), and there is all of it to send.
    fn is_repeatable(&self) -> bool {
        let safe = matches!(self.request.method.as_slice(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
        safe && self.source.is_none() && self.request.upgrade.is_none()
    }
}

/// An upstream that answered.
pub(crate) struct Answered {
    pub(crate) body: Body,
    pub(crate) upload: Option<Upload>,
    pub(crate) host: Rc<Host>,
    /// The HTTP/1 connection; `None` on HTTP/2.
    pub(crate) lease: Option<Lease>,
    /// The place on a shared HTTP/2 connection.
    pub(crate) _stream: Option<Rc<()>>,
    pub(crate) _active: ActiveRequest,
}

/// A failed attempt, with Envoy's words for it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) kind: AttemptFailure,
    pub(crate) reason: &'static str,
    pub(crate) transport: String,
}

impl Failed {
    pub(crate) fn new(kind: AttemptFailure, reason: &'static str) -> Self {
        Self { kind, reason, transport: String::new() }
    }

    fn terminated(kind: AttemptFailure) -> Self {
        Self::new(kind, "connection termination")
    }

    /// A circuit breaker is open.
    fn overflow() -> Self {
        Self::new(AttemptFailure::Overflow, "overflow")
    }
}

/// Why there is no answer on an HTTP/1 connection.
enum Broken {
    /// The server closed it.
    Closed(AttemptFailure),
    /// What came is no answer.
    Malformed,
}

impl Broken {
    /// The server closed a connection that carried others before, and said nothing.
    fn is_stale(&self, lease: &Lease) -> bool {
        matches!(self, Self::Closed(_)) && lease.requests > 1 && lease.wire.input.borrow().is_empty()
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Closed(kind) => Self::terminated(kind),
            Broken::Malformed => Self::new(AttemptFailure::Reset, "protocol error"),
        }
    }
}

/// Sends the request to `host` and waits for the head of the answer.
pub(crate) async fn attempt(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: Rc<Host>,
    active: ActiveRequest,
    out: &Outgoing<'_>,
    response: &mut Response,
    info: &mut StreamInfo,
) -> Result<Answered, Failed> {
    info.upstream_host = Some(host.endpoint.address);
    if out.http2 {
        let (head, upload, place) = send_h2(worker, pool, &host, out, info).await?;
        let mut upload = upload;
        let answer = race(&mut upload, head).await.map_err(|error| match error {
            RaceError::Upload => Failed::new(AttemptFailure::Reset, "remote reset"),
            RaceError::Head(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                Failed::new(AttemptFailure::Refused, "remote refused stream reset")
            }
            RaceError::Head(error) if error.is_io() || error.is_go_away() => {
                Failed::terminated(AttemptFailure::Reset)
            }
            RaceError::Head(_) => Failed::new(AttemptFailure::Reset, "remote reset"),
        })?;
        let (parts, stream) = answer.into_parts();
        response.status = parts.status.as_u16();
        response.headers = super::h2_map::to_list(&parts.headers);
        response.keep_alive = true;
        return Ok(Answered {
            body: Body::h2(stream),
            upload,
            host,
            lease: None,
            _stream: Some(place),
            _active: active,
        });
    }
    let (lease, upload, framing) = send_h1(worker, pool, &host, out, response, info).await?;
    Ok(Answered {
        body: Body::h1(lease.wire.clone(), framing),
        upload,
        host,
        lease: Some(lease),
        _stream: None,
        _active: active,
    })
}

/// An HTTP/1 connection, the upload that goes on, and what follows the head.
type AnsweredH1 = (Lease, Option<Upload>, super::body::Framing);

/// Sends the request on an HTTP/1 connection. A connection that carried others before may be closed by the server at the moment the request
/// goes out, for its time is over or the server ends; a request that may be repeated is then sent on another one (RFC 9112, 9.3.1), instead
/// of being lost.
async fn send_h1(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: &Rc<Host>,
    out: &Outgoing<'_>,
    response: &mut Response,
    info: &mut StreamInfo,
) -> Result<AnsweredH1, Failed> {
    loop {
        let lease = h1_connection(worker, pool, host, out).await.inspect_err(|failed| {
            if failed.kind == AttemptFailure::Overflow {
                // It waited for a connection in vain: no endpoint has seen it.
                info.upstream_host = None;
            }
        })?;
        info.upstream_local = lease.local;
        match exchange_h1(&lease.wire, pool, out, response).await {
            Ok((upload, framing)) => return Ok((lease, upload, framing)),
            // Each turn takes a connection from those that wait, so there is an end.
            Err(broken) if broken.is_stale(&lease) && out.is_repeatable() => {}
            Err(broken) => return Err(broken.into()),
        }
    }
}

/// The request out, the head of the answer in.
async fn exchange_h1(
    wire: &Rc<Wire>,
    pool: &Pool,
    out: &Outgoing<'_>,
    response: &mut Response,
) -> Result<(Option<Upload>, super::body::Framing), Broken> {
    let chunked = out.source.is_some() && !out.request.headers.contains(b"content-length");
    write_request(
        &mut wire.output(),
        out.request,
        &out.request.path,
        out.authority,
        chunked,
        out.request.upgrade.as_deref(),
    );
    let mut upload: Option<Upload> = match out.source {
        None => {
            wire.flush().await.map_err(|_| Broken::Closed(AttemptFailure::ResetBeforeRequest))?;
            None
        }
        Some(source) => Some(Box::pin(source.clone().send(Sink::H1 { wire: wire.clone(), chunked }))),
    };
    let asked = Asked::of(&out.request.method);
    let framing = race(&mut upload, read_head(wire, response, asked, pool.cluster.response_head))
        .await
        .map_err(|error| match error {
            RaceError::Upload | RaceError::Head(HeadFailure::Closed) => Broken::Closed(AttemptFailure::Reset),
            RaceError::Head(HeadFailure::Malformed(_)) => Broken::Malformed,
        })?;
    Ok((upload, framing))
}

enum RaceError<E> {
    Upload,
    Head(E),
}

/// Waits for the head while the body is on its way. A finished upload clears the option; a failed one does not hide
/// an answer that is already there.
async fn race<T, E>(
    upload: &mut Option<Upload>,
    head: impl Future<Output = Result<T, E>>,
) -> Result<T, RaceError<E>> {
    tokio::pin!(head);
    if let Some(sending) = upload.as_mut() {
        tokio::select! {
            biased;
            answer = &mut head => return answer.map_err(RaceError::Head),
            sent = sending => {
                *upload = None;
                if sent.is_err() {
                    let grace = tokio::time::timeout(std::time::Duration::from_millis(50), &mut head).await;
                    return match grace {
                        Ok(Ok(answer)) => Ok(answer),
                        _ => Err(RaceError::Upload),
                    };
                }
            }
        }
    }
    head.await.map_err(RaceError::Head)
}

enum HeadFailure {
    Closed,
    Malformed(#[allow(dead_code, reason = "kept for debugging output")] HeadError),
}

async fn read_head(
    wire: &Wire,
    response: &mut Response,
    asked: Asked,
    limits: (usize, usize),
) -> Result<super::body::Framing, HeadFailure> {
    loop {
        let taken = take_response(&mut wire.input.borrow_mut(), response, asked, limits)
            .map_err(HeadFailure::Malformed)?;
        match taken {
            // Informational answers other than the switch are not passed on.
            Some(_) if response.status < 200 && response.status != 101 => continue,
            Some(framing) => return Ok(framing),
            None => {}
        }
        match wire.fill().await {
            Ok(count) if count > 0 => {}
            _ => return Err(HeadFailure::Closed),
        }
    }
}

async fn h1_connection(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: &Rc<Host>,
    out: &Outgoing<'_>,
) -> Result<Lease, Failed> {
    let place = host.connection(pool, out.offer).await.map_err(|Overflow| Failed::overflow())?;
    let (slot, _pending) = match place {
        Place::Idle(lease) => return Ok(lease),
        Place::Open(slot, pending) => (slot, pending),
    };
    let stream = open(worker, pool, host, out).await?;
    let local = stream.socket().local_addr().ok();
    pool.counters.upstream_cx_http1_total.add(1);
    Ok(Lease { local, wire: Rc::new(Wire::new(stream, bytes::BytesMut::new())), requests: 1, slot })
}

async fn open(
    worker: &Rc<Worker>,
    pool: &Pool,
    host: &Host,
    out: &Outgoing<'_>,
) -> Result<crate::listen::stream::Stream, Failed> {
    pool.counters.upstream_cx_total.add(1);
    host.counters.cx_total.add(1);
    let origin = Origin { mark: worker.mark, caller: host.caller };
    let endpoint = &host.endpoint;
    match connect(&pool.cluster, endpoint, &host.transport, out.from, out.sni, out.offer, origin).await {
        Ok(stream) => {
            host.note_principals(&stream);
            Ok(stream)
        }
        Err(error) => {
            pool.counters.upstream_cx_connect_fail.add(1);
            host.counters.cx_connect_fail.add(1);
            let timeout = matches!(error, ConnectError::Timeout);
            if timeout {
                pool.counters.upstream_cx_connect_timeout.add(1);
            }
            let reason = if timeout { "connection timeout" } else { "remote connection failure" };
            let transport = if timeout { String::new() } else { error.to_string() };
            Err(Failed { kind: AttemptFailure::Connect, reason, transport })
        }
    }
}

type H2Head = h2::client::ResponseFuture;

async fn send_h2(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: &Rc<Host>,
    out: &Outgoing<'_>,
    info: &mut StreamInfo,
) -> Result<(H2Head, Option<Upload>, Rc<()>), Failed> {
    let mut shared = shared_h2(pool, host, out).await;
    if shared.is_none() {
        // Requests that come together share the connection that the first of them opens.
        let _one = host.opening.lock().await;
        shared = shared_h2(pool, host, out).await;
        if shared.is_none() {
            shared = Some(connect_h2(worker, pool, host, out).await?);
        }
    }
    let terminated = || Failed::terminated(AttemptFailure::ResetBeforeRequest);
    let H2Place { mut sender, local, stream: place } = shared.ok_or_else(terminated)?;
    info.upstream_local = local;
    let head = h2_request(out).ok_or_else(|| Failed::new(AttemptFailure::Reset, "protocol error"))?;
    let sent = sender.send_request(head, out.source.is_none());
    let (answer, stream) = sent.map_err(|_| terminated())?;
    let upload = out.source.map(|source| Box::pin(source.clone().send(Sink::H2(stream))) as Upload);
    Ok((answer, upload, place))
}

async fn shared_h2(pool: &Pool, host: &Host, out: &Outgoing<'_>) -> Option<H2Place> {
    let place = host.h2(out.offer, pool.cluster.max_requests, pool.cluster.h2_streams)?;
    Some(H2Place { sender: place.sender.ready().await.ok()?, ..place })
}

async fn connect_h2(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: &Rc<Host>,
    out: &Outgoing<'_>,
) -> Result<H2Place, Failed> {
    let slot = host.h2_slot(pool).map_err(|Overflow| Failed::overflow())?;
    let stream = open(worker, pool, host, out).await?;
    let local = stream.socket().local_addr().ok();
    let handshake = h2::client::Builder::new()
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1 << 20)
        .max_header_list_size(64 * 1024)
        .enable_push(false)
        .handshake(stream)
        .await;
    let failed = |error: h2::Error| Failed {
        kind: AttemptFailure::Connect,
        reason: "protocol error",
        transport: error.to_string(),
    };
    let (sender, mut connection) = handshake.map_err(failed)?;
    let alive = super::h2_keepalive::watch(connection.ping_pong(), pool.cluster.h2_keepalive);
    pool.counters.upstream_cx_http2_total.add(1);
    tokio::task::spawn_local(async move {
        let _slot = slot;
        // The error of a closed connection reaches every stream on it.
        tokio::select! {
            _ = connection => {}
            () = alive => {}
        }
    });
    let place = H2Place { sender, local, stream: Rc::new(()) };
    host.set_h2(&place, out.offer);
    Ok(H2Place { sender: place.sender.ready().await.map_err(failed)?, ..place })
}

fn h2_request(out: &Outgoing<'_>) -> Option<http::Request<()>> {
    let authority = std::str::from_utf8(out.authority).ok()?;
    let path = std::str::from_utf8(&out.request.path).ok()?;
    let uri = http::Uri::builder()
        .scheme(out.request.scheme)
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()?;
    let mut head = http::Request::new(());
    *head.method_mut() = http::Method::from_bytes(&out.request.method).ok()?;
    *head.uri_mut() = uri;
    *head.version_mut() = http::Version::HTTP_2;
    *head.headers_mut() = to_map(&out.request.headers);
    Some(head)
}

/// After the whole exchange: the connection goes back to the pool, unless anything about it is doubtful.
pub(crate) fn release(pool: &Pool, host: &Host, lease: Option<Lease>, offer: Offer, reusable: bool) {
    let Some(lease) = lease else { return };
    let limit = pool.cluster.max_requests;
    if reusable && (limit == 0 || lease.requests < limit) && lease.wire.input.borrow().is_empty() {
        host.put_idle(lease, offer);
    }
}

/// A failed body, seen from the side that it concerns.
pub(crate) fn is_downstream(error: &PumpError) -> bool {
    matches!(error, PumpError::Sink(BodyError::Io(_) | BodyError::H2(_) | BodyError::Truncated))
}
