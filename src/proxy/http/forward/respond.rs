//! Streaming the answer back, the rest of the request body beside it, and what becomes of the connections afterwards.

use std::time::Instant;

use crate::filter::peer_metadata::{ID_HEADER, METADATA_HEADER, UNDELIVERED_HEADER};
use crate::http::alarm::Alarm;
use crate::http::attempt::{Answered, Upload, is_downstream, release};
use crate::http::body::{Body, BodyError, PumpError, Sink, pieces};
use crate::http::codec::strip_hop_by_hop;
use crate::http::exchange::Exchange;
use crate::http::headers::HeaderList;
use crate::http::info::Flags;
use crate::http::reply::Replier;

use super::Plan;

/// How the transfer ended.
enum Transfer {
    /// The download, and whether the upload was done by then.
    Done(Result<(), PumpError>, bool),
    OutOfTime,
    ClientGone,
}

pub(super) async fn respond(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    mut answered: Answered,
    replier: &mut Replier,
    alarm: &mut Alarm,
) {
    plan.pool.counters.count_status(exchange.response.status);
    let status = exchange.response.status;
    let asked = exchange.request.upgrade.is_some() || exchange.request.method == b"CONNECT";
    let upgraded = asked && (status == 101 || exchange.request.method == b"CONNECT" && status / 100 == 2);
    let upgrade = if status == 101 && upgraded { exchange.request.upgrade.clone() } else { None };
    // What was sent after a refused upgrade may have reached the upstream: that connection serves nobody else.
    let reusable = exchange.response.keep_alive && !asked;
    take_peer(exchange);
    strip_hop_by_hop(&mut exchange.response.headers);
    exchange.info.details = "via_upstream".into();
    if exchange.grpc {
        let code = exchange.response.headers.get_text(b"grpc-status");
        exchange.info.grpc_status = code.and_then(|code| code.parse().ok());
    }
    exchange.info.response_code = status;
    let mut body = std::mem::replace(&mut answered.body, Body::Empty);
    exchange.leave(&mut body);
    if !exchange.request.keep_alive {
        replier.set_close();
    }
    let Ok(mut sink) = replier.start(&exchange.response, &body, upgrade.as_deref()) else {
        exchange.info.flags.set(Flags::DOWNSTREAM_TERMINATION);
        return;
    };
    if let (true, Some(lease), Replier::H1 { wire: down, .. }) = (upgraded, &answered.lease, &*replier) {
        let (down, up) = (down.clone(), lease.wire.clone());
        let idle = exchange.scene.manager.stream_idle_timeout;
        let carried = crate::http::h1_server::tunnel(&down, &up, alarm, idle).await;
        exchange.info.bytes_received += carried.received;
        exchange.info.bytes_sent += carried.sent;
        if carried.idle {
            exchange.info.flags.set(Flags::STREAM_IDLE_TIMEOUT);
            exchange.info.details = "stream_idle_timeout".into();
        } else if carried.by_client {
            client_is_gone(exchange);
        }
        replier.set_close();
        return;
    }
    let transfer = {
        let (sent, code) = (&mut exchange.info.bytes_sent, (exchange.grpc, &mut exchange.info.grpc_status));
        let download = download(&mut body, &mut sink, plan, sent, code);
        let both = alarm.limit(|| plan.clock.due(), side_by_side(download, answered.upload.take()));
        tokio::select! {
            biased;
            done = both => done.map_or(Transfer::OutOfTime, |(download, uploaded)| Transfer::Done(download, uploaded)),
            () = super::gone(replier, plan.source.as_deref(), true) => Transfer::ClientGone,
        }
    };
    if let Some(source) = &plan.source {
        exchange.info.bytes_received = source.received.get();
    }
    finish(exchange, plan, answered, replier, transfer, reusable);
}

/// Who answered, by the headers that the peer's proxy added.
fn take_peer(exchange: &mut Exchange) {
    if exchange.scene.manager.peer_metadata().is_some_and(|options| options.discover_upstream) {
        if let Some(peer) = exchange.scene.worker.peer(&exchange.response.headers) {
            exchange.upstream_peer = Some(peer);
        }
        exchange.response.headers.remove(METADATA_HEADER);
        exchange.response.headers.remove(ID_HEADER);
        exchange.response.headers.remove(UNDELIVERED_HEADER);
    }
}

/// Both directions until the download is done; says whether the upload was done by then.
async fn side_by_side(
    download: impl Future<Output = Result<(), PumpError>>,
    mut upload: Option<Upload>,
) -> (Result<(), PumpError>, bool) {
    tokio::pin!(download);
    while let Some(sending) = upload.as_mut() {
        tokio::select! {
            biased;
            done = &mut download => return (done, false),
            _ = sending => upload = None,
        }
    }
    (download.await, true)
}

async fn download(
    body: &mut Body,
    sink: &mut Sink,
    plan: &Plan<'_>,
    sent: &mut u64,
    (grpc, grpc_status): (bool, &mut Option<u32>),
) -> Result<(), PumpError> {
    pieces(body, sink, |piece| {
        plan.clock.moved.set(Instant::now());
        *sent += piece.len() as u64;
    })
    .await?;
    let trailers = body.trailers();
    let code = trailers.as_ref().and_then(|list: &HeaderList| list.get_text(b"grpc-status")?.parse().ok());
    if code.is_some() && grpc {
        *grpc_status = code;
    }
    sink.finish(trailers).await.map_err(PumpError::Sink)
}

fn finish(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    answered: Answered,
    replier: &mut Replier,
    transfer: Transfer,
    reusable: bool,
) {
    let http2 = answered.lease.is_none();
    let complete = match &transfer {
        Transfer::Done(Ok(()), uploaded) => *uploaded,
        Transfer::Done(Err(error), _) if is_downstream(error) => {
            client_is_gone(exchange);
            false
        }
        Transfer::ClientGone => {
            client_is_gone(exchange);
            replier.abort();
            false
        }
        Transfer::Done(Err(error), _) => {
            let (flag, reason) = blame(error, http2);
            exchange.info.flags.set(flag);
            exchange.info.details = format!("upstream_reset_after_response_started{{{reason}}}").into();
            replier.abort();
            false
        }
        Transfer::OutOfTime => {
            plan.clock.cut_short(exchange);
            replier.abort();
            false
        }
    };
    if !complete {
        // The rest of an unread request body cannot be told from the next request.
        replier.set_close();
    }
    let offer = plan.offer(exchange, http2);
    release(&plan.pool, &answered.host, answered.lease, offer, complete && reusable);
}

fn client_is_gone(exchange: &mut Exchange) {
    exchange.info.flags.set(Flags::DOWNSTREAM_TERMINATION);
    exchange.info.details = "downstream_remote_disconnect".into();
}

/// What is wrong with an upstream that did not complete its answer, in Envoy's words.
fn blame(error: &PumpError, http2: bool) -> (Flags, &'static str) {
    match error {
        PumpError::Source(BodyError::Truncated | BodyError::Framing) if !http2 => {
            (Flags::UPSTREAM_PROTOCOL_ERROR, "protocol_error")
        }
        _ if http2 => (Flags::UPSTREAM_RESET, "remote_reset"),
        _ => (Flags::UPSTREAM_TERMINATION, "connection_termination"),
    }
}
