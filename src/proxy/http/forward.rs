//! Forwarding: cluster, attempts with retries, and the response streamed back.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::config::{AttemptFailure, Forward, HashSource, HostRewrite, HttpFilter, HttpVersion, Route};
use crate::filter::peer_metadata::{ID_HEADER, METADATA_HEADER};
use crate::upstream::connect::Offer;
use crate::upstream::pool::Pool;

use super::attempt::{Answered, Failed, Outgoing, Replay, attempt, is_downstream, millis_since, release};
use super::body::{Body, PumpError, pump};
use super::codec::{Response, strip_hop_by_hop};
use super::exchange::Exchange;
use super::info::Flags;
use super::reply::Replier;

/// Sends the request where its route says and the response back.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    route: &Route,
    forward: &Forward,
    body: Body,
    replier: &mut Replier,
) {
    let Some((pool, host_rewrite)) = choose_cluster(exchange, forward) else {
        exchange.answer(replier).await;
        return;
    };
    exchange.info.cluster = Some(pool.cluster.name.clone());
    exchange.service = pool.cluster.service.clone();
    change_request(exchange, route, forward, &pool);
    if exchange.request.expect_continue && replier.send_continue().await.is_err() {
        return;
    }
    let original_path = exchange.request.path.clone();
    if let Some(path) = route.rewritten_path(forward, &original_path) {
        exchange.request.headers.set(b"x-envoy-original-path", &original_path);
        exchange.request.path = path;
    }
    let bodiless = body.is_done();
    let keep = forward.retry.is_some() || !forward.mirrors.is_empty();
    let replay = (keep && !bodiless).then(|| Rc::new(RefCell::new(Replay::default())));
    let body = Rc::new(Mutex::new(body));
    let plan = Plan { forward, pool: pool.clone(), host_rewrite, bodiless, replay: replay.clone(), body };
    let started = Instant::now();
    let limit = time_limit(exchange, forward);
    let answered = match limit {
        Some(limit) => tokio::time::timeout(limit, attempts(exchange, &plan)).await.unwrap_or_else(|_| {
            exchange.info.flags.set(Flags::UPSTREAM_TIMEOUT);
            exchange.info.details = "response_timeout".into();
            pool.counters.upstream_rq_timeout.add(1);
            exchange.own(504, b"upstream request timeout", Flags::default());
            None
        }),
        None => attempts(exchange, &plan).await,
    };
    exchange.request.path = original_path;
    let Some(answered) = answered else {
        exchange.request.keep_alive &= bodiless;
        pool.counters.upstream_rq_5xx.add(1);
        exchange.answer(replier).await;
        return;
    };
    exchange
        .response
        .headers
        .set(b"x-envoy-upstream-service-time", millis_since(started).to_string().as_bytes());
    let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
    respond(exchange, &plan, answered, replier, left).await;
    mirror(exchange, &plan);
}

struct Plan<'p> {
    forward: &'p Forward,
    pool: Rc<Pool>,
    host_rewrite: Option<Vec<u8>>,
    bodiless: bool,
    replay: Option<Rc<RefCell<Replay>>>,
    body: Rc<Mutex<Body>>,
}

fn choose_cluster(exchange: &mut Exchange, forward: &Forward) -> Option<(Rc<Pool>, Option<Vec<u8>>)> {
    let mut rewrite = None;
    let name = if let Some(header) = &forward.cluster_header {
        exchange.request.headers.get_text(header).map(str::to_owned)
    } else {
        let draw = exchange.scene.worker.random();
        forward.pick(draw).map(|chosen| {
            rewrite = chosen.host_rewrite.as_ref().map(|host| host.as_bytes().to_vec());
            exchange.mutate_request(&chosen.mutations.request);
            exchange.mutate_response(&chosen.mutations.response);
            chosen.name.to_string()
        })
    };
    let pool = name.as_deref().and_then(|name| exchange.scene.worker.pool(name));
    if pool.is_none() {
        exchange.info.cluster = name.as_deref().map(Into::into);
        exchange.info.details = "cluster_not_found".into();
        exchange.own(forward.not_found_status, b"", Flags::NO_CLUSTER);
    }
    pool.map(|pool| (pool, rewrite))
}

/// Header changes of the router: mutations, forwarded host, what the mesh tells the next hop.
fn change_request(exchange: &mut Exchange, route: &Route, forward: &Forward, pool: &Pool) {
    let manager = exchange.scene.manager.clone();
    if let Some((vhost, _)) = exchange.route.clone() {
        exchange.mutate_request(&route.mutations.request);
        exchange.mutate_request(&vhost.mutations.request);
        if let Some(table) = exchange.scene.worker.routes(&manager) {
            exchange.mutate_request(&table.mutations.request);
        }
        if vhost.attempt_count {
            exchange.request.headers.set(b"x-envoy-attempt-count", b"1");
        }
    }
    if forward.append_forwarded_host && !matches!(forward.host_rewrite, HostRewrite::Keep) {
        let host = exchange.request.authority.clone();
        exchange.request.headers.append_to(b"x-forwarded-host", &host);
    }
    if let Some(operation) = &route.decorator {
        if manager.direction != crate::config::Direction::Inbound {
            exchange.request.headers.set(b"x-envoy-decorator-operation", operation.as_bytes());
        } else {
            exchange.request.headers.remove(b"x-envoy-decorator-operation");
        }
    }
    if let Some(limit) = forward.timeout {
        exchange
            .request
            .headers
            .set(b"x-envoy-expected-rq-timeout-ms", limit.as_millis().to_string().as_bytes());
    }
    if manager.peer_metadata().is_some_and(|options| options.propagate_upstream)
        && pool.cluster.service.is_some()
    {
        let worker = exchange.scene.worker.clone();
        exchange.request.headers.set(METADATA_HEADER, worker.own.encoded.as_bytes());
        exchange.request.headers.set(ID_HEADER, worker.own.id.as_bytes());
    }
}

/// The whole time for the response: the route's timeout, or what a gRPC caller allows.
fn time_limit(exchange: &Exchange, forward: &Forward) -> Option<Duration> {
    if let Some(most) = forward.grpc_timeout_max.filter(|_| exchange.grpc)
        && let Some(asked) = exchange.request.headers.get(b"grpc-timeout").and_then(grpc_timeout)
    {
        return Some(if most.is_zero() { asked } else { asked.min(most) });
    }
    forward.timeout.or(exchange.scene.manager.request_timeout).or(exchange.scene.manager.stream_idle_timeout)
}

/// `10S`, `250m` …: at most eight digits and a unit.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Tries until there is an answer to pass on; `None` = an answer of our own is ready.
async fn attempts(exchange: &mut Exchange, plan: &Plan<'_>) -> Option<Answered> {
    let retry = plan.forward.retry.clone();
    let mut tried: Vec<SocketAddr> = Vec::new();
    loop {
        exchange.info.attempts += 1;
        let number = exchange.info.attempts;
        if number > 1 && exchange.request.headers.contains(b"x-envoy-attempt-count") {
            exchange.request.headers.set(b"x-envoy-attempt-count", number.to_string().as_bytes());
        }
        let outcome = one(exchange, plan, &tried).await?;
        if let Ok(answered) = &outcome {
            tried.push(answered.host.endpoint.address);
        } else if let Some(address) = exchange.info.upstream_host {
            tried.push(address);
        }
        let more = retry.as_ref().filter(|policy| {
            number <= policy.retries && !plan.replay.as_ref().is_some_and(|r| r.borrow().overflow)
        });
        let again = more.filter(|policy| match &outcome {
            Ok(_) => {
                let grpc =
                    exchange.response.headers.get_text(b"grpc-status").and_then(|code| code.parse().ok());
                policy.retries_response(
                    exchange.response.status,
                    grpc,
                    exchange.response.headers.contains(b"x-envoy-ratelimited"),
                )
            }
            Err(failed) => policy.retries_failure(failed.kind),
        });
        let Some(policy) = again else {
            return match outcome {
                Ok(answered) => Some(answered),
                Err(failed) => {
                    give_up(
                        exchange,
                        &failed,
                        retry.is_some_and(|policy| policy.retries > 0 && number > policy.retries),
                    );
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

/// One attempt. `None` = an answer of our own is ready and nothing more is tried.
async fn one(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    tried: &[SocketAddr],
) -> Option<Result<Answered, Failed>> {
    let worker = exchange.scene.worker.clone();
    let (pool, forward) = (&plan.pool, plan.forward);
    let original = original_destination(exchange, pool);
    let hash = hash_of(exchange, forward);
    let Some(host) = pool.choose(worker.random(), hash, tried, original, &worker.registry) else {
        pool.counters.upstream_cx_none_healthy.add(1);
        exchange.info.details = "no_healthy_upstream".into();
        exchange.own(503, b"no healthy upstream", Flags::NO_HEALTHY_UPSTREAM);
        return None;
    };
    let limit = pool.cluster.thresholds.requests;
    if limit < 1_000_000 && pool.counters.upstream_rq_active.get() >= u64::from(limit) {
        pool.counters.upstream_rq_pending_overflow.add(1);
        exchange.info.details = "overflow".into();
        exchange.response.headers.set(b"x-envoy-overloaded", b"true");
        exchange.own(
            503,
            b"upstream connect error or disconnect/reset before headers. reset reason: overflow",
            Flags::UPSTREAM_OVERFLOW,
        );
        return None;
    }
    let http2 = match pool.cluster.http {
        HttpVersion::Http2 => true,
        HttpVersion::Downstream => exchange.request.version == 2,
        HttpVersion::Http1 | HttpVersion::Auto => false,
    };
    let istio = pool.cluster.alpn_override
        && exchange.scene.manager.filters.iter().any(|f| matches!(f, HttpFilter::IstioAlpn));
    let offer = if http2 {
        Offer::Http2(istio)
    } else if istio {
        Offer::Http1(true)
    } else {
        Offer::AsConfigured
    };
    let authority = match (&plan.host_rewrite, &forward.host_rewrite) {
        (Some(host), _) => host.clone(),
        (None, HostRewrite::Literal(host)) => host.as_bytes().to_vec(),
        (None, HostRewrite::Auto) if !host.endpoint.hostname.is_empty() => {
            host.endpoint.hostname.as_bytes().to_vec()
        }
        (None, HostRewrite::Header(name)) => exchange
            .request
            .headers
            .get(name)
            .map_or_else(|| exchange.request.authority.clone(), <[u8]>::to_vec),
        _ => exchange.request.authority.clone(),
    };
    let host_name = String::from_utf8_lossy(&authority).into_owned();
    let sni = pool
        .cluster
        .auto_sni
        .then(|| host_name.rsplit_once(':').map_or(host_name.as_str(), |(name, _)| name));
    exchange.upstream_peer = host.endpoint.workload.as_deref().and_then(|text| worker.endpoint_peer(text));
    let request = std::mem::take(&mut exchange.request);
    let path = request.path.clone();
    let out = Outgoing {
        request: &request,
        path: &path,
        authority: &authority,
        body: plan.body.clone(),
        bodiless: plan.bodiless,
        replay: plan.replay.clone(),
        http2,
        offer,
        sni,
    };
    let mut response = Response::default();
    std::mem::swap(&mut response.headers, &mut exchange.response.headers);
    response.headers.clear();
    pool.counters.upstream_rq_active.add(1);
    let sending = attempt(&worker, pool, host.clone(), &out, &mut response, &mut exchange.info);
    let per_try = forward.retry.as_ref().and_then(|policy| policy.per_try_timeout);
    let outcome = match per_try {
        None => sending.await,
        Some(limit) => tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
            pool.counters.upstream_rq_per_try_timeout.add(1);
            Err(Failed {
                kind: AttemptFailure::PerTryTimeout,
                reason: "per try timeout",
                transport: String::new(),
            })
        }),
    };
    pool.counters.upstream_rq_active.sub(1);
    exchange.request = request;
    exchange.response = response;
    pool.note(&host, outcome.as_ref().ok().map(|_| exchange.response.status));
    let failed = outcome.is_err() || exchange.response.status >= 500;
    if failed {
        host.counters.rq_error.add(1)
    } else {
        host.counters.rq_success.add(1)
    }
    Some(outcome)
}

/// Where an ORIGINAL_DST cluster goes: the header if the cluster reads one, else where the connection was going.
fn original_destination(exchange: &Exchange, pool: &Pool) -> Option<SocketAddr> {
    let header = pool.cluster.original_dst_header.as_ref();
    header
        .and_then(|name| exchange.request.headers.get_text(name)?.parse().ok())
        .or(Some(exchange.scene.connection.local))
}

fn hash_of(exchange: &mut Exchange, forward: &Forward) -> Option<u64> {
    let mut combined: Option<u64> = None;
    for rule in &forward.hash {
        let value = match &rule.source {
            HashSource::Header(name) => exchange.request.headers.get(name).map(<[u8]>::to_vec),
            HashSource::SourceIp => Some(exchange.remote.to_string().into_bytes()),
            HashSource::Query(name) => {
                let (_, query) = crate::config::split_query(&exchange.request.path);
                query
                    .split(|b| *b == b'&')
                    .find_map(|pair| pair.strip_prefix(&**name)?.strip_prefix(b"=").map(<[u8]>::to_vec))
            }
            HashSource::Cookie { name, ttl, path } => cookie(exchange, name, *ttl, path),
        };
        if let Some(value) = value {
            combined = Some(ahash::RandomState::with_seeds(5, 6, 7, 8).hash_one(&(combined, value)));
            if rule.terminal {
                break;
            }
        }
    }
    combined
}

/// The cookie's value; with a lifetime, a missing cookie is made and set in the response.
fn cookie(exchange: &mut Exchange, name: &str, ttl: Option<Duration>, path: &str) -> Option<Vec<u8>> {
    let found =
        exchange.request.headers.get_all(b"cookie").flat_map(|value| value.split(|b| *b == b';')).find_map(
            |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec),
        );
    let ttl = match (found, ttl) {
        (Some(found), _) => return Some(found),
        (None, ttl) => ttl?,
    };
    let value = format!("{:016x}", exchange.random);
    let age = if ttl.is_zero() { String::new() } else { format!("; Max-Age={}", ttl.as_secs()) };
    let path = if path.is_empty() { String::new() } else { format!("; Path={path}") };
    exchange
        .response
        .headers
        .append(b"set-cookie", format!("{name}=\"{value}\"{age}{path}; HttpOnly").as_bytes());
    Some(value.into_bytes())
}

fn give_up(exchange: &mut Exchange, failed: &Failed, exhausted: bool) {
    let (flag, details, status) = match failed.kind {
        AttemptFailure::Connect => (
            Flags::UPSTREAM_CONNECTION_FAILURE,
            "upstream_reset_before_response_started{remote_connection_failure}",
            503,
        ),
        AttemptFailure::PerTryTimeout => (Flags::UPSTREAM_TIMEOUT, "upstream_per_try_timeout", 504),
        AttemptFailure::Refused => (
            Flags::UPSTREAM_RESET,
            "upstream_reset_before_response_started{remote_refused_stream_reset}",
            503,
        ),
        _ if failed.reason == "protocol error" => {
            (Flags::UPSTREAM_PROTOCOL_ERROR, "upstream_reset_before_response_started{protocol_error}", 502)
        }
        _ if failed.reason == "remote reset" => {
            (Flags::UPSTREAM_RESET, "upstream_reset_before_response_started{remote_reset}", 503)
        }
        _ => (
            Flags::UPSTREAM_TERMINATION,
            "upstream_reset_before_response_started{connection_termination}",
            503,
        ),
    };
    if exhausted {
        exchange.info.flags.set(Flags::RETRY_LIMIT);
    }
    exchange.info.details = details.into();
    exchange.info.transport_failure = failed.transport.clone().into();
    let mut text =
        format!("upstream connect error or disconnect/reset before headers. reset reason: {}", failed.reason);
    if !failed.transport.is_empty() {
        text.push_str(&format!(", transport failure reason: {}", failed.transport));
    }
    exchange.own(status, text.as_bytes(), flag);
}

/// Streams the answer back, the rest of the request body beside it.
async fn respond(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    mut answered: Answered,
    replier: &mut Replier,
    left: Option<Duration>,
) {
    let manager = exchange.scene.manager.clone();
    count_status(plan, exchange.response.status);
    let status = exchange.response.status;
    let upgraded = status == 101 && exchange.request.upgrade.is_some();
    let upgrade = upgraded.then(|| exchange.request.upgrade.clone().unwrap_or_default());
    let reusable = exchange.response.keep_alive && !upgraded;
    if manager.peer_metadata().is_some_and(|options| options.discover_upstream) {
        if let Some(peer) = exchange.scene.worker.peer(&exchange.response.headers) {
            exchange.upstream_peer = Some(peer);
        }
        exchange.response.headers.remove(METADATA_HEADER);
        exchange.response.headers.remove(ID_HEADER);
    }
    strip_hop_by_hop(&mut exchange.response.headers);
    exchange.info.details = "via_upstream".into();
    exchange.info.grpc_status =
        exchange.response.headers.get_text(b"grpc-status").and_then(|code| code.parse().ok());
    exchange.leave();
    exchange.info.response_code = status;
    if !exchange.request.keep_alive {
        replier.set_close();
    }
    let mut body = std::mem::replace(&mut answered.body, Body::Empty);
    let Ok(mut sink) = replier.start(&exchange.response, &body, upgrade.as_deref()) else {
        exchange.info.flags.set(Flags::DOWNSTREAM_TERMINATION);
        return;
    };
    if let (true, Some((wire, _)), Replier::H1 { wire: down, .. }) = (upgraded, &answered.wire, &*replier) {
        let (down, wire) = (down.clone(), wire.clone());
        let (received, sent) = super::h1_server::tunnel(&down, &wire).await;
        exchange.info.bytes_received += received;
        exchange.info.bytes_sent += sent;
        replier.set_close();
        return;
    }
    let mut sent_bytes = 0;
    let download = async {
        pump_with_status(&mut body, &mut sink, &mut exchange.info.grpc_status, &mut sent_bytes).await
    };
    let both = side_by_side(download, answered.upload.take());
    let outcome = match left {
        Some(left) => tokio::time::timeout(left, both).await.ok(),
        None => Some(both.await),
    };
    exchange.info.bytes_sent = sent_bytes;
    finish(exchange, plan, answered, replier, outcome, reusable);
}

/// Both directions until the download is done; says whether the upload was done by then.
async fn side_by_side(
    download: impl Future<Output = Result<u64, PumpError>>,
    mut upload: Option<super::attempt::Upload>,
) -> (Result<u64, PumpError>, bool) {
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

async fn pump_with_status(
    body: &mut Body,
    sink: &mut super::body::Sink,
    status: &mut Option<u32>,
    count: &mut u64,
) -> Result<u64, PumpError> {
    use futures::FutureExt;
    loop {
        let piece = match body.next().now_or_never() {
            Some(piece) => piece,
            None => {
                sink.flush().await.map_err(PumpError::Sink)?;
                body.next().await
            }
        };
        let Some(piece) = piece.map_err(PumpError::Source)? else { break };
        *count += piece.len() as u64;
        sink.data(piece).await.map_err(PumpError::Sink)?;
    }
    let trailers = body.trailers();
    if let Some(code) =
        trailers.as_ref().and_then(|list| list.get_text(b"grpc-status")).and_then(|code| code.parse().ok())
    {
        *status = Some(code);
    }
    sink.finish(trailers).await.map_err(PumpError::Sink)?;
    Ok(*count)
}

type Outcome = Option<(Result<u64, PumpError>, bool)>;

fn finish(
    exchange: &mut Exchange,
    plan: &Plan<'_>,
    answered: Answered,
    replier: &mut Replier,
    outcome: Outcome,
    reusable: bool,
) {
    let http2 = answered.wire.is_none();
    let complete = match &outcome {
        Some((Ok(_), uploaded)) => *uploaded,
        Some((Err(error), _)) if is_downstream(error) => {
            exchange.info.flags.set(Flags::DOWNSTREAM_TERMINATION);
            exchange.info.details = "downstream_remote_disconnect".into();
            false
        }
        Some((Err(_), _)) => {
            exchange.info.flags.set(if http2 { Flags::UPSTREAM_RESET } else { Flags::UPSTREAM_TERMINATION });
            exchange.info.details = "upstream_reset_after_response_started{connection_termination}".into();
            replier.abort();
            false
        }
        None => {
            exchange.info.flags.set(Flags::UPSTREAM_TIMEOUT);
            exchange.info.details = "response_timeout".into();
            replier.abort();
            false
        }
    };
    if !complete {
        // The rest of an unread request body cannot be told from the next request.
        replier.set_close();
    }
    let offer = offer_of(exchange, plan);
    release(&plan.pool, &answered.host, answered.wire, offer, complete && reusable);
}

fn offer_of(exchange: &Exchange, plan: &Plan<'_>) -> Offer {
    let istio = plan.pool.cluster.alpn_override
        && exchange.scene.manager.filters.iter().any(|f| matches!(f, HttpFilter::IstioAlpn));
    if istio { Offer::Http1(true) } else { Offer::AsConfigured }
}

fn count_status(plan: &Plan<'_>, status: u16) {
    let counters = &plan.pool.counters;
    match status {
        200..300 => counters.upstream_rq_2xx.add(1),
        300..400 => counters.upstream_rq_3xx.add(1),
        400..500 => counters.upstream_rq_4xx.add(1),
        500..600 => counters.upstream_rq_5xx.add(1),
        _ => {}
    }
}

/// Sends copies to the mirrors; their answers are thrown away.
fn mirror(exchange: &Exchange, plan: &Plan<'_>) {
    for mirror in &plan.forward.mirrors {
        let worker = exchange.scene.worker.clone();
        let overflow = plan.replay.as_ref().is_some_and(|replay| replay.borrow().overflow);
        let Some(pool) =
            worker.pool(&mirror.cluster).filter(|_| !overflow && mirror.fraction.takes(worker.random()))
        else {
            continue;
        };
        let mut request = exchange.request.clone();
        request.upgrade = None;
        let bytes = plan.replay.as_ref().map(|replay| replay.borrow().joined()).unwrap_or_default();
        let mut authority = request.authority.clone();
        if mirror.shadow_suffix {
            let port = authority.iter().rposition(|b| *b == b':').unwrap_or(authority.len());
            authority.splice(port..port, *b"-shadow");
        }
        let http2 = pool.cluster.http == HttpVersion::Http2;
        let istio = pool.cluster.alpn_override
            && exchange.scene.manager.filters.iter().any(|f| matches!(f, HttpFilter::IstioAlpn));
        let offer = if http2 {
            Offer::Http2(istio)
        } else if istio {
            Offer::Http1(true)
        } else {
            Offer::AsConfigured
        };
        let original = Some(exchange.scene.connection.local);
        tokio::task::spawn_local(async move {
            let Some(host) = pool.choose(worker.random(), None, &[], original, &worker.registry) else {
                return;
            };
            let bodiless = bytes.is_empty();
            let path = request.path.clone();
            let body = Rc::new(Mutex::new(Body::Full(bytes)));
            let out = Outgoing {
                request: &request,
                path: &path,
                authority: &authority,
                body,
                bodiless,
                replay: None,
                http2,
                offer,
                sni: None,
            };
            let (mut response, mut info) = (Response::default(), super::info::StreamInfo::new(""));
            let limit = Duration::from_secs(15);
            if let Ok(Ok(mut answered)) =
                tokio::time::timeout(limit, attempt(&worker, &pool, host, &out, &mut response, &mut info))
                    .await
            {
                let whole = tokio::time::timeout(
                    limit,
                    pump(&mut answered.body, &mut super::body::Sink::Closed, |_| {}),
                )
                .await;
                release(
                    &pool,
                    &answered.host,
                    answered.wire,
                    offer,
                    response.keep_alive && matches!(whole, Ok(Ok(_))),
                );
            }
        });
    }
}
