//! Attempts: an endpoint, the request sent, the head of the answer, and once more when the retry policy says so.

use std::net::SocketAddr;

use crate::config::{AttemptFailure, HostRewrite, HttpVersion, RetryPolicy};
use crate::filter::peer_metadata::UNDELIVERED_HEADER;
use crate::http::attempt::{Answered, ClientFault, Failed, Outgoing, attempt};
use crate::http::codec::Request;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;
use crate::http::number::Decimal;
use crate::upstream::balance::PassedOver;
use crate::upstream::breaker::Permit;
use crate::upstream::host::Host;
use crate::upstream::original::Original;
use crate::upstream::outlier::Outcome;
use crate::upstream::pool::Pool;

use super::Plan;
use super::hashing::hash_of;

/// Tries until there is an answer to pass on; `None` = an answer of our own is ready.
pub(super) async fn attempts(exchange: &mut Exchange, plan: &Plan<'_>) -> Option<Answered> {
    let retry = plan.forward.retry.clone();
    let mut tried = smallvec::SmallVec::<[SocketAddr; 4]>::new();
    let mut levels = smallvec::SmallVec::<[u32; 4]>::new();
    let mut permit = None;
    loop {
        exchange.info.attempts += 1;
        let number = exchange.info.attempts;
        if number > 1 {
            if exchange.route.as_ref().is_some_and(|(vhost, _)| vhost.attempt_count) {
                exchange.request.headers.set(b"x-envoy-attempt-count", Decimal::of(number.into()).as_bytes());
            }
            super::tell_expected_time(exchange, plan.forward, plan.clock.started.elapsed());
        }
        let every = retry.as_deref().and_then(|policy| policy.leaves_levels_after);
        let left = every.map_or(0, |every| levels.len() / every * every);
        let passed_over = PassedOver { endpoints: &tried, levels: &levels[..left] };
        let outcome = one(exchange, plan, passed_over).await?;
        drop(permit.take());
        if let (Err(_), Some(fault)) = (&outcome, plan.source.as_ref().and_then(|s| s.fault.get())) {
            blame_client(exchange, fault);
            return None;
        }
        if let Ok(answered) = &outcome {
            tried.push(answered.host.endpoint.address);
        } else if let Some(address) = exchange.info.upstream_host {
            tried.push(address);
        }
        if let Some(host) = exchange.upstream.as_ref().filter(|_| every.is_some()) {
            levels.push(host.endpoint.priority);
        }
        let wanted = retry.as_deref().filter(|policy| wants_retry(policy, exchange, plan, &outcome));
        let again = wanted.filter(|policy| {
            permit = may_retry(policy, exchange, plan);
            permit.is_some()
        });
        let Some(policy) = again else {
            return match outcome {
                Ok(answered) => Some(answered),
                Err(failed) => {
                    give_up(exchange, &failed);
                    None
                }
            };
        };
        drop(outcome);
        plan.pool.counters.upstream_rq_retry.add(1);
        if !policy.avoid_previous_hosts {
            tried.clear();
        }
        tokio::time::sleep(policy.pause(number, exchange.scene.worker.random())).await;
    }
}

/// Whether the policy asks for another attempt, and the request can be sent once more.
fn wants_retry(
    policy: &RetryPolicy,
    exchange: &Exchange,
    plan: &Plan<'_>,
    outcome: &Result<Answered, Failed>,
) -> bool {
    if plan.source.as_ref().is_some_and(|source| source.is_spent()) {
        return false;
    }
    let response = &exchange.response;
    match outcome {
        Ok(_) => {
            let request = &exchange.request.headers;
            policy.retries_response(response.status, &response.headers, request)
                || (was_undelivered(exchange) && policy.retries_failure(AttemptFailure::Connect, request))
        }
        Err(failed) => policy.retries_failure(failed.kind, &exchange.request.headers),
    }
}

/// Whether the peer's proxy says that it could not reach its application: the same as if the endpoint had refused the connection.
fn was_undelivered(exchange: &Exchange) -> bool {
    let asks_peers = exchange.scene.manager.peer_metadata().is_some_and(|options| options.discover_upstream);
    asks_peers && exchange.response.status == 503 && exchange.response.headers.contains(UNDELIVERED_HEADER)
}

/// Leave for another attempt; without it the log says why there is none.
fn may_retry(policy: &RetryPolicy, exchange: &mut Exchange, plan: &Plan<'_>) -> Option<Permit> {
    if exchange.info.attempts > policy.retries {
        plan.pool.counters.upstream_rq_retry_limit_exceeded.add(1);
        exchange.info.flags.set(Flags::RETRY_LIMIT);
        return None;
    }
    let permit = plan.pool.retry_permit();
    if permit.is_none() {
        exchange.info.flags.set(Flags::UPSTREAM_OVERFLOW);
    }
    permit
}

/// One attempt. `None` = an answer of our own is ready and nothing more is tried.
async fn one(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    passed_over: PassedOver<'_>,
) -> Option<Result<Answered, Failed>> {
    let worker = exchange.scene.worker.clone();
    let (pool, forward) = (&plan.pool, plan.forward);
    let original = original_destination(exchange, pool);
    let hash = hash_of(exchange, forward);
    let Some(host) = pool.choose(worker.random(), hash, passed_over, original, &worker.registry) else {
        pool.counters.upstream_cx_none_healthy.add(1);
        exchange.info.details = "no_healthy_upstream".into();
        exchange.own(503, b"no healthy upstream", Flags::NO_HEALTHY_UPSTREAM);
        return None;
    };
    exchange.info.upstream_host = Some(host.endpoint.address);
    let Some(active) = host.begin(pool) else {
        return Some(Err(Failed::new(AttemptFailure::Overflow, "overflow")));
    };
    let http2 = match pool.cluster.http {
        HttpVersion::Http2 => true,
        HttpVersion::Downstream => exchange.request.version == 2,
        HttpVersion::Http1 | HttpVersion::Auto => false,
    };
    exchange.upstream_peer = host.endpoint.workload.as_deref().and_then(|text| worker.endpoint_peer(text));
    exchange.upstream = Some(host.clone());
    let offer = plan.offer(exchange, http2);
    let Exchange { request, response, info, scene, .. } = &mut *exchange;
    response.headers.clear();
    let authority = authority(request, plan, &host.endpoint.hostname);
    let sni = pool.cluster.auto_sni.then(|| String::from_utf8_lossy(host_only(authority)));
    let out = Outgoing {
        request,
        authority,
        source: plan.source.as_ref(),
        http2,
        offer,
        sni: sni.as_deref(),
        from: (scene.connection.remote, scene.connection.local),
    };
    let sending = attempt(&worker, pool, host.clone(), active, &out, response, info);
    let per_try = forward.retry.as_ref().and_then(|policy| policy.per_try_timeout);
    let outcome = match per_try {
        None => sending.await,
        Some(limit) => tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
            pool.counters.upstream_rq_per_try_timeout.add(1);
            Err(Failed::new(AttemptFailure::PerTryTimeout, "per try timeout"))
        }),
    };
    let innocent = plan.source.as_ref().is_some_and(|source| source.fault.get().is_some());
    if !innocent {
        note(plan, &host, &outcome, exchange.response.status);
    }
    Some(outcome)
}

/// Tells the endpoint's statistics and outlier detection what came of the attempt.
fn note(plan: &Plan<'_>, host: &Host, outcome: &Result<Answered, Failed>, status: u16) {
    let seen = match outcome {
        Ok(_) => Outcome::Answer(status),
        Err(failed) if failed.kind == AttemptFailure::Overflow => return,
        Err(failed) if failed.kind == AttemptFailure::Connect => Outcome::NoConnection,
        Err(_) => Outcome::NoAnswer,
    };
    plan.pool.note(host, seen);
    if outcome.is_err() || status >= 500 {
        host.counters.rq_error.add(1)
    } else {
        host.counters.rq_success.add(1)
    }
}

/// The host that the upstream is asked for.
fn authority<'r>(request: &'r Request, plan: &'r Plan<'_>, endpoint: &'r str) -> &'r [u8] {
    match &plan.forward.host_rewrite {
        HostRewrite::Auto if !endpoint.is_empty() && !plan.host_is_set => endpoint.as_bytes(),
        _ => &request.authority,
    }
}

/// A host without its port.
fn host_only(authority: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(authority).unwrap_or_default();
    crate::config::without_port(text).as_bytes()
}

/// Where an ORIGINAL_DST cluster goes: the header if the cluster reads one, else where the connection was going.
fn original_destination(exchange: &Exchange, pool: &Pool) -> Option<Original> {
    let connection = &exchange.scene.connection;
    let header = pool.cluster.original_dst_header.as_ref();
    header
        .and_then(|name| exchange.request.headers.get_text(name)?.parse().ok())
        .or(Some(connection.local))
        .map(|address| Original::of(connection, address))
}

fn give_up(exchange: &mut Exchange, failed: &Failed) {
    exchange.response.headers.clear();
    if failed.kind == AttemptFailure::PerTryTimeout {
        exchange.info.details = "upstream_per_try_timeout".into();
        exchange.own(504, b"upstream request timeout", Flags::UPSTREAM_TIMEOUT);
        return;
    }
    let (flag, status) = match (failed.kind, failed.reason) {
        (AttemptFailure::Connect, _) => (Flags::UPSTREAM_CONNECTION_FAILURE, 503),
        (AttemptFailure::Overflow, _) => (Flags::UPSTREAM_OVERFLOW, 503),
        (_, "protocol error") => (Flags::UPSTREAM_PROTOCOL_ERROR, 502),
        (AttemptFailure::Refused, _) | (_, "remote reset") => (Flags::UPSTREAM_RESET, 503),
        _ => (Flags::UPSTREAM_TERMINATION, 503),
    };
    if failed.kind == AttemptFailure::Overflow && !exchange.scene.manager.is_discreet() {
        exchange.response.headers.set(b"x-envoy-overloaded", b"true");
    }
    // Neither has room for spaces in a log line.
    let transport = failed.transport.replace(' ', "_");
    let bar = if transport.is_empty() { "" } else { "|" };
    let reason = failed.reason.replace(' ', "_");
    exchange.info.details =
        format!("upstream_reset_before_response_started{{{reason}{bar}{transport}}}").into();
    exchange.info.transport_failure = transport.into();
    let retried =
        if exchange.info.attempts > 1 { "retried and the latest reset reason" } else { "reset reason" };
    let start = "upstream connect error or disconnect/reset before headers.";
    let text = format!("{start} {retried}: {}", failed.reason);
    exchange.own(status, text.as_bytes(), flag);
}

/// The client's side failed: no upstream is to blame, and nothing is sent again.
pub(super) fn blame_client(exchange: &mut Exchange, fault: ClientFault) {
    match fault {
        ClientFault::Framing => {
            exchange.info.details = "http1.codec_error".into();
            exchange.own(400, b"Bad Request", Flags::DOWNSTREAM_PROTOCOL_ERROR);
        }
        ClientFault::Gone => {
            exchange.info.details = "downstream_remote_disconnect".into();
            exchange.own(400, b"", Flags::DOWNSTREAM_TERMINATION);
            exchange.gone = true;
        }
    }
}
