//! Forwarding: cluster, attempts with retries, and the response streamed back.

mod attempts;
mod clock;
mod hashing;
mod mirror;
mod respond;

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::{Forward, HostRewrite, HttpFilter, Route};
use crate::filter::peer_metadata::{ID_HEADER, METADATA_HEADER};
use crate::upstream::connect::Offer;
use crate::upstream::pool::Pool;

use super::attempt::{ClientFault, Source};
use super::body::Body;
use super::exchange::Exchange;
use super::info::Flags;
use super::number::Decimal;
use super::reply::Replier;
use clock::Clock;

/// Bodies up to this size are mirrored.
const MIRRORED: usize = 1 << 20;

/// What stays the same for all attempts of a request.
struct Plan<'p> {
    forward: &'p Forward,
    pool: Rc<Pool>,
    /// The host was rewritten for the chosen cluster: the endpoint's name does not replace it.
    host_is_set: bool,
    source: Option<Rc<Source>>,
    clock: Clock,
}

impl Plan<'_> {
    /// The protocols offered to the endpoint.
    fn offer(&self, exchange: &Exchange, http2: bool) -> Offer {
        offer(exchange, &self.pool, http2)
    }
}

fn offer(exchange: &Exchange, pool: &Pool, http2: bool) -> Offer {
    let istio = pool.cluster.alpn_override
        && exchange.scene.manager.filters.iter().any(|f| matches!(f, HttpFilter::IstioAlpn));
    match (http2, istio) {
        (true, istio) => Offer::Http2(istio),
        (false, true) => Offer::Http1(true),
        (false, false) => Offer::AsConfigured,
    }
}

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
    exchange.service.clone_from(&pool.cluster.service);
    change_request(exchange, route, forward, &pool);
    let host_is_set = rewrite_host(exchange, forward, host_rewrite);
    if exchange.request.expect_continue && replier.send_continue().await.is_err() {
        return;
    }
    let original_path = rewrite_path(exchange, route, forward);
    let source = (!body.is_done()).then(|| Source::new(body, kept_bytes(exchange, forward)));
    let clock = Clock::new(exchange, forward, source.clone());
    let plan = Plan { forward, pool, host_is_set, source, clock };
    let mut alarm = std::mem::take(&mut exchange.alarm);
    let answered = tokio::select! {
        biased;
        answered = alarm.limit(|| plan.clock.due(), attempts::attempts(exchange, &plan)) => match answered {
            Some(answered) => answered,
            None => {
                plan.clock.give_up(exchange, &plan.pool);
                None
            }
        },
        () = gone(replier, plan.source.as_deref(), false) => {
            attempts::blame_client(exchange, ClientFault::Gone);
            None
        }
    };
    if let Some(source) = &plan.source {
        exchange.info.bytes_received = source.received.get();
    }
    match answered {
        None => {
            exchange.alarm = alarm;
            exchange.request.keep_alive &= plan.source.is_none();
            plan.pool.counters.count_status(exchange.response.status);
            exchange.answer(replier).await;
        }
        Some(answered) => {
            exchange.info.response_began = Some(exchange.info.start.elapsed());
            let millis = u64::try_from(plan.clock.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if !exchange.scene.manager.is_discreet() && exchange.response.status != 101 {
                let name = b"x-envoy-upstream-service-time";
                exchange.response.headers.set(name, Decimal::of(millis).as_bytes());
            }
            respond::respond(exchange, &plan, answered, replier, &mut alarm).await;
            exchange.alarm = alarm;
        }
    }
    if !forward.mirrors.is_empty() {
        mirror::mirror(exchange, &plan);
    }
    if let Some(path) = original_path {
        exchange.request.path = path;
    }
}

/// How much of a request's body is kept to be sent again: to another endpoint, or to a mirror.
fn kept_bytes(exchange: &Exchange, forward: &Forward) -> Option<usize> {
    let of_route = exchange.route.as_ref().and_then(|(_, route)| route.body_limit);
    let limit = of_route.unwrap_or(exchange.scene.connection.buffer_limit);
    let again = forward.retry.is_some().then_some(limit);
    let copies = (!forward.mirrors.is_empty()).then_some(limit.max(MIRRORED));
    copies.or(again)
}

/// Returns once the client is gone; what it still owes of its request is waited for elsewhere.
async fn gone(replier: &mut Replier, source: Option<&Source>, answering: bool) {
    replier.gone(|| source.is_none_or(|source| source.ended.get().is_some()), answering).await;
}

fn choose_cluster(exchange: &mut Exchange, forward: &Forward) -> Option<(Rc<Pool>, Option<Box<[u8]>>)> {
    let (name, rewrite): (Option<std::sync::Arc<str>>, _) = match &forward.cluster_header {
        Some(header) => (exchange.request.headers.get_text(header).map(Into::into), None),
        None => {
            let chosen = forward.pick(exchange.random);
            if let Some(chosen) = chosen {
                exchange.mutate_request(&chosen.mutations.request);
            }
            let rewrite = chosen.and_then(|chosen| chosen.host_rewrite.as_ref());
            (chosen.map(|chosen| chosen.name.clone()), rewrite.map(|host| host.as_bytes().into()))
        }
    };
    let pool = name.as_deref().and_then(|name| exchange.scene.worker.pool(name));
    if pool.is_none() {
        exchange.info.cluster = None;
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
    let request = &mut exchange.request;
    if let Some(operation) = &route.decorator {
        if manager.direction != crate::config::Direction::Inbound {
            request.headers.set(b"x-envoy-decorator-operation", operation.as_bytes());
        } else {
            request.headers.remove(b"x-envoy-decorator-operation");
        }
    }
    exchange.propagate_span();
    tell_expected_time(exchange, forward, Duration::ZERO);
    if manager.peer_metadata().is_some_and(|options| options.propagate_upstream)
        && pool.cluster.service.is_some()
    {
        let own = &exchange.scene.worker.own;
        exchange.request.headers.set(METADATA_HEADER, own.encoded.as_bytes());
        exchange.request.headers.set(ID_HEADER, own.id.as_bytes());
    }
}

/// Tells the upstream how long an answer is waited for: the time of one try, and no more than is left of the whole.
fn tell_expected_time(exchange: &mut Exchange, forward: &Forward, elapsed: Duration) {
    if exchange.scene.manager.is_discreet() || forward.max_stream.is_some() {
        return;
    }
    let one = forward.retry.as_ref().and_then(|policy| policy.per_try_timeout);
    let left = forward.timeout.map(|limit| limit.saturating_sub(elapsed).max(Duration::from_millis(1)));
    let Some(limit) = [one, left].into_iter().flatten().min() else { return };
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    exchange.request.headers.set(b"x-envoy-expected-rq-timeout-ms", Decimal::of(millis).as_bytes());
}

/// The host that the route or the chosen cluster wants; whether the cluster wanted one.
fn rewrite_host(exchange: &mut Exchange, forward: &Forward, of_cluster: Option<Box<[u8]>>) -> bool {
    let discreet = exchange.scene.manager.is_discreet();
    let request = &mut exchange.request;
    let host_is_set = of_cluster.is_some();
    let host = of_cluster.or_else(|| match &forward.host_rewrite {
        HostRewrite::Literal(host) => Some(host.as_bytes().into()),
        HostRewrite::Header(name) => request.headers.get(name).map(Into::into),
        HostRewrite::Keep | HostRewrite::Auto => None,
    });
    if forward.append_forwarded_host && (host.is_some() || matches!(forward.host_rewrite, HostRewrite::Auto))
    {
        request.headers.append_to(b"x-forwarded-host", &request.authority);
    }
    let Some(host) = host else { return false };
    if !discreet {
        request.headers.set(b"x-envoy-original-host", &request.authority);
    }
    request.authority.clear();
    request.authority.extend_from_slice(&host);
    host_is_set
}

/// The path that the route wants; returns the one before, if that is another.
fn rewrite_path(exchange: &mut Exchange, route: &Route, forward: &Forward) -> Option<Vec<u8>> {
    let request = &mut exchange.request;
    let path = route.rewritten_path(forward, &request.path)?;
    if !exchange.scene.manager.is_discreet() {
        request.headers.set(b"x-envoy-original-path", &request.path);
    }
    Some(std::mem::replace(&mut request.path, path))
}

/// Milliseconds of a moment on, as far as the clock goes.
fn after(start: Instant, length: Option<Duration>) -> Option<Instant> {
    length.and_then(|length| start.checked_add(length))
}
