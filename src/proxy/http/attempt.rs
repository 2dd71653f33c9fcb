//! One attempt to get a response: choose an endpoint, get a connection, send, wait for the head.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use tokio::sync::Mutex;

use crate::config::AttemptFailure;
use crate::upstream::connect::{Offer, connect};
use crate::upstream::pool::{ActiveRequest, Host, Pool};
use crate::worker::context::Worker;

use super::body::{Body, BodyError, PumpError, Sink, pump};
use super::codec::{HeadError, Request, Response, take_response, write_request};
use super::h2_map::to_map;
use super::info::StreamInfo;
use super::wire::Wire;

/// Most body bytes kept for another attempt or a mirror.
const REPLAY_LIMIT: usize = 64 * 1024;

/// What was already sent of a body, in case it must be sent again.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pieces: Vec<Bytes>,
    size: usize,
    /// Too large to be sent again.
    pub(crate) overflow: bool,
}

impl Replay {
    fn keep(&mut self, piece: &Bytes) {
        self.size += piece.len();
        if self.size > REPLAY_LIMIT {
            self.overflow = true;
            self.pieces.clear();
        } else if !self.overflow {
            self.pieces.push(piece.clone());
        }
    }

    pub(crate) fn joined(&self) -> Bytes {
        self.pieces.concat().into()
    }
}

/// The rest of the request body, still on its way.
pub(crate) type Upload = LocalBoxFuture<'static, Result<u64, PumpError>>;

/// The request as every attempt sends it.
pub(crate) struct Outgoing<'r> {
    pub(crate) request: &'r Request,
    pub(crate) path: &'r [u8],
    pub(crate) authority: &'r [u8],
    pub(crate) body: Rc<Mutex<Body>>,
    /// Known to be empty without looking.
    pub(crate) bodiless: bool,
    pub(crate) replay: Option<Rc<RefCell<Replay>>>,
    pub(crate) http2: bool,
    pub(crate) offer: Offer,
    pub(crate) sni: Option<&'r str>,
}

/// An upstream that answered.
pub(crate) struct Answered {
    pub(crate) body: Body,
    pub(crate) upload: Option<Upload>,
    pub(crate) host: Rc<Host>,
    pub(crate) wire: Option<(Rc<Wire>, u32)>,
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
    fn new(kind: AttemptFailure, reason: &'static str) -> Self {
        Self { kind, reason, transport: String::new() }
    }
}

/// Sends the request to `host` and waits for the head of the answer.
pub(crate) async fn attempt(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: Rc<Host>,
    out: &Outgoing<'_>,
    response: &mut Response,
    info: &mut StreamInfo,
) -> Result<Answered, Failed> {
    let active = host.begin();
    info.upstream_host = Some(host.endpoint.address);
    pool.counters.upstream_rq_total.add(1);
    if out.http2 {
        let (head, upload) = send_h2(worker, pool, &host, out, info).await?;
        let mut upload = upload;
        let answer = race(&mut upload, head).await.map_err(|error| match error {
            RaceError::Upload => Failed::new(AttemptFailure::Reset, "remote reset"),
            RaceError::Head(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                Failed::new(AttemptFailure::Refused, "remote refused stream reset")
            }
            RaceError::Head(error) if error.is_io() || error.is_go_away() => {
                Failed::new(AttemptFailure::Reset, "connection termination")
            }
            RaceError::Head(_) => Failed::new(AttemptFailure::Reset, "remote reset"),
        })?;
        let (parts, stream) = answer.into_parts();
        response.status = parts.status.as_u16();
        response.headers = super::h2_map::to_list(&parts.headers);
        response.keep_alive = true;
        return Ok(Answered { body: Body::h2(stream), upload, host, wire: None, _active: active });
    }
    let (wire, requests) = h1_connection(worker, pool, &host, out, info).await?;
    let chunked = !out.bodiless && !out.request.headers.contains(b"content-length");
    write_request(
        &mut wire.output.borrow_mut(),
        out.request,
        out.path,
        out.authority,
        chunked,
        out.request.upgrade.as_deref(),
    );
    let mut upload = if out.bodiless {
        wire.flush()
            .await
            .map_err(|_| Failed::new(AttemptFailure::ResetBeforeRequest, "connection termination"))?;
        None
    } else {
        Some(start_upload(out, Sink::H1 { wire: wire.clone(), chunked }))
    };
    let to_head = out.request.method == b"HEAD";
    let framing =
        race(&mut upload, read_head(&wire, response, to_head)).await.map_err(|error| match error {
            RaceError::Upload | RaceError::Head(HeadFailure::Closed) => {
                Failed::new(AttemptFailure::Reset, "connection termination")
            }
            RaceError::Head(HeadFailure::Malformed(_)) => {
                Failed::new(AttemptFailure::Reset, "protocol error")
            }
        })?;
    Ok(Answered {
        body: Body::h1(wire.clone(), framing),
        upload,
        host,
        wire: Some((wire, requests)),
        _active: active,
    })
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

fn start_upload(out: &Outgoing<'_>, mut sink: Sink) -> Upload {
    let (body, replay) = (out.body.clone(), out.replay.clone());
    Box::pin(async move {
        let mut body = body.lock().await;
        let again: Vec<Bytes> = replay.iter().flat_map(|r| r.borrow().pieces.clone()).collect();
        for piece in again {
            sink.data(piece).await.map_err(PumpError::Sink)?;
        }
        let sent = pump(&mut body, &mut sink, |piece| {
            if let Some(replay) = &replay {
                replay.borrow_mut().keep(piece);
            }
        })
        .await;
        if sent.is_err() {
            sink.abort(h2::Reason::CANCEL);
        }
        sent
    })
}

enum HeadFailure {
    Closed,
    Malformed(#[allow(dead_code, reason = "kept for debugging output")] HeadError),
}

async fn read_head(
    wire: &Wire,
    response: &mut Response,
    to_head: bool,
) -> Result<super::body::Framing, HeadFailure> {
    loop {
        let taken =
            take_response(&mut wire.input.borrow_mut(), response, to_head).map_err(HeadFailure::Malformed)?;
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
    info: &mut StreamInfo,
) -> Result<(Rc<Wire>, u32), Failed> {
    if let Some((wire, requests)) = host.take_idle(out.offer, pool.cluster.idle_timeout) {
        return Ok((wire, requests + 1));
    }
    let stream = open(worker, pool, host, out).await?;
    info.upstream_local = stream.socket().local_addr().ok();
    pool.counters.upstream_cx_http1_total.add(1);
    Ok((Rc::new(Wire::new(stream, bytes::BytesMut::new())), 1))
}

async fn open(
    worker: &Rc<Worker>,
    pool: &Pool,
    host: &Host,
    out: &Outgoing<'_>,
) -> Result<crate::listen::stream::Stream, Failed> {
    let address: SocketAddr = host.endpoint.address;
    match connect(&pool.cluster, address, host.tls.as_ref(), out.sni, out.offer, worker.mark).await {
        Ok(stream) => {
            pool.counters.upstream_cx_total.add(1);
            host.counters.cx_total.add(1);
            Ok(stream)
        }
        Err(error) => {
            pool.counters.upstream_cx_connect_fail.add(1);
            host.counters.cx_connect_fail.add(1);
            let reason = if matches!(error, crate::upstream::connect::ConnectError::Timeout) {
                "connection timeout"
            } else {
                "remote connection failure"
            };
            Err(Failed { kind: AttemptFailure::Connect, reason, transport: error.to_string() })
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
) -> Result<(H2Head, Option<Upload>), Failed> {
    let mut sender = None;
    if let Some(shared) = host.h2(out.offer) {
        sender = shared.ready().await.ok();
    }
    let mut sender = match sender {
        Some(sender) => sender,
        None => connect_h2(worker, pool, host, out, info).await?,
    };
    let head = h2_request(out).ok_or_else(|| Failed::new(AttemptFailure::Reset, "protocol error"))?;
    let sent = sender.send_request(head, out.bodiless);
    let (answer, stream) =
        sent.map_err(|_| Failed::new(AttemptFailure::ResetBeforeRequest, "connection termination"))?;
    let upload = (!out.bodiless).then(|| start_upload(out, Sink::H2(stream)));
    Ok((answer, upload))
}

async fn connect_h2(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    host: &Rc<Host>,
    out: &Outgoing<'_>,
    info: &mut StreamInfo,
) -> Result<h2::client::SendRequest<Bytes>, Failed> {
    let stream = open(worker, pool, host, out).await?;
    info.upstream_local = stream.socket().local_addr().ok();
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
    let (sender, connection) = handshake.map_err(failed)?;
    pool.counters.upstream_cx_http2_total.add(1);
    pool.counters.upstream_cx_active.add(1);
    host.counters.cx_active.add(1);
    let (counters, host_counters) = (pool.counters.clone(), host.counters.clone());
    tokio::task::spawn_local(async move {
        // The error of a closed connection reaches every stream on it.
        let _ = connection.await;
        counters.upstream_cx_active.sub(1);
        host_counters.cx_active.sub(1);
    });
    host.set_h2(Some(sender.clone()), out.offer);
    sender.ready().await.map_err(failed)
}

fn h2_request(out: &Outgoing<'_>) -> Option<http::Request<()>> {
    let authority = std::str::from_utf8(out.authority).ok()?;
    let path = std::str::from_utf8(out.path).ok()?;
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
pub(crate) fn release(pool: &Pool, host: &Host, wire: Option<(Rc<Wire>, u32)>, offer: Offer, reusable: bool) {
    let Some((wire, requests)) = wire else { return };
    let limit = pool.cluster.max_requests;
    if reusable && (limit == 0 || requests < limit) && wire.input.borrow().is_empty() {
        host.put_idle(wire, offer, requests);
    }
}

/// When an attempt began, for `x-envoy-upstream-service-time`.
pub(crate) fn millis_since(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

/// A failed body, seen from the side that it concerns.
pub(crate) fn is_downstream(error: &PumpError) -> bool {
    matches!(error, PumpError::Sink(BodyError::Io(_) | BodyError::H2(_) | BodyError::Truncated))
}
