//! Requests of the proxy's own to a cluster: questions of filters, reports of spans.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::attempt::{Outgoing, Source, attempt, release};
use super::body::Body;
use super::codec::{Request, Response};
use super::headers::HeaderList;
use super::info::StreamInfo;
use crate::config::{AttemptFailure, HttpVersion};
use crate::upstream::balance::PassedOver;
use crate::upstream::connect::Offer;
use crate::upstream::outlier::Outcome;
use crate::worker::context::Worker;

/// Where the proxy's own requests come from, for those who are told.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A request of the proxy's own.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    pub(crate) cluster: &'c str,
    pub(crate) request: Request,
    pub(crate) body: Bytes,
    /// Time for everything; `None` = none.
    pub(crate) timeout: Option<Duration>,
    /// Most bytes of an answer's body that are read; more are an error.
    pub(crate) longest: usize,
}

/// A whole answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderList,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderList>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("there is no cluster of this name")]
    NoCluster,
    #[error("no healthy upstream")]
    NoHost,
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Failed(&'static str),
    #[error("the answer is too long")]
    TooLong,
}

/// A `POST` of this content.
pub(crate) fn post(path: &str, authority: &str, content_type: &str) -> Request {
    let mut request = Request {
        method: b"POST".to_vec(),
        path: path.as_bytes().to_vec(),
        authority: authority.as_bytes().to_vec(),
        scheme: "http",
        version: 1,
        keep_alive: true,
        ..Request::default()
    };
    request.headers.set(b"content-type", content_type.as_bytes());
    request
}

/// A unary gRPC message as it goes over the wire: not compressed, then its length.
pub(crate) fn grpc_frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    frame.freeze()
}

impl Answer {
    /// The gRPC status, from the trailers or, without a message, from the head.
    pub(crate) fn grpc_status(&self) -> Option<u32> {
        let of = |list: &HeaderList| list.get_text(b"grpc-status")?.parse().ok();
        self.trailers.as_ref().and_then(of).or_else(|| of(&self.headers))
    }

    /// The message of a unary gRPC answer.
    pub(crate) fn grpc_message(&self) -> Option<&[u8]> {
        let (head, message) = self.body.split_at_checked(5)?;
        let length = u32::from_be_bytes(head.get(1..5)?.try_into().ok()?);
        (head[0] == 0).then_some(message)?.get(..usize::try_from(length).ok()?)
    }
}

/// Sends the request to some endpoint of the cluster and reads the whole answer.
pub(crate) async fn call(worker: &Rc<Worker>, call: Call<'_>) -> Result<Answer, CallError> {
    match call.timeout {
        None => exchange(worker, &call).await,
        Some(limit) => {
            tokio::time::timeout(limit, exchange(worker, &call)).await.unwrap_or(Err(CallError::Timeout))
        }
    }
}

async fn exchange(worker: &Rc<Worker>, call: &Call<'_>) -> Result<Answer, CallError> {
    let pool = worker.pool(call.cluster).ok_or(CallError::NoCluster)?;
    let host = pool
        .choose(worker.random(), None, PassedOver::default(), None, &worker.registry)
        .ok_or(CallError::NoHost)?;
    let active = host.begin(&pool).ok_or(CallError::Failed("overflow"))?;
    let http2 = match pool.cluster.http {
        HttpVersion::Http2 => true,
        HttpVersion::Downstream => call.request.version == 2,
        HttpVersion::Http1 | HttpVersion::Auto => false,
    };
    let offer = match (http2, pool.cluster.alpn_override) {
        (true, istio) => Offer::Http2(istio),
        (false, true) => Offer::Http1(true),
        (false, false) => Offer::AsConfigured,
    };
    let source = (!call.body.is_empty()).then(|| Source::new(Body::Full(call.body.clone()), None));
    let out = Outgoing {
        request: &call.request,
        authority: &call.request.authority,
        source: source.as_ref(),
        http2,
        offer,
        sni: None,
        from: (NOWHERE, NOWHERE),
    };
    let (mut response, mut info) = (Response::default(), StreamInfo::new(""));
    let answered = attempt(worker, &pool, host.clone(), active, &out, &mut response, &mut info).await;
    let mut answered = answered.map_err(|failed| {
        let connect = failed.kind == AttemptFailure::Connect;
        pool.note(&host, if connect { Outcome::NoConnection } else { Outcome::NoAnswer });
        CallError::Failed(failed.reason)
    })?;
    pool.note(&host, Outcome::Answer(response.status));
    pool.counters.count_status(response.status);
    let body = read(&mut answered.body, call.longest).await?;
    let trailers = answered.body.trailers();
    let reusable = response.keep_alive && answered.upload.is_none();
    release(&pool, &answered.host, answered.lease, offer, reusable);
    Ok(Answer { status: response.status, headers: response.headers, body, trailers })
}

async fn read(body: &mut Body, longest: usize) -> Result<Bytes, CallError> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.next().await.map_err(|_| CallError::Failed("connection termination"))? {
        if all.len() + piece.len() > longest {
            return Err(CallError::TooLong);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}
