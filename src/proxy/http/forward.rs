//! Forwarding: cluster, attempts with retries, and the response streamed back.

mod attempts;
mod clock;
mod hashing;
mod mirror;
mod respond;

use std::rc::Rc;
use std::time::Instant;

use crate::config::{Forward, HostRewrite, HttpFilter, Route};
use crate::filter::peer_metadata::{ID_HEADER, METADATA_HEADER};
use crate::upstream::connect::Offer;
use crate::upstream::pool::Pool;

use super::attempt::Source;
use super::body::Body;
use super::exchange::Exchange;
use super::info::Flags;
use super::number::Decimal;
use super::reply::Replier;
use clock::Clock;

/// What stays the same for all attempts of a request.
struct Plan<'p> {
    forward: &'p Forward,
    pool: Rc<Pool>,
    host_rewrite: Option<Box<[u8]>>,
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
    if exchange.request.expect_continue && replier.send_continue().await.is_err() {
        return;
    }
    let original_path = rewrite_path(exchange, route, forward);
    let keep = forward.retry.is_some() || !forward.mirrors.is_empty();
    let source = (!body.is_done()).then(|| Source::new(body, keep));
    let clock = Clock::new(exchange, forward, source.clone());
    let plan = Plan { forward, pool, host_rewrite, source, clock };
    let mut alarm = std::mem::take(&mut exchange.alarm);
    let answered = alarm.limit(|| plan.clock.due(), attempts::attempts(exchange, &plan)).await;
    let answered = answered.unwrap_or_else(|| {
        plan.clock.give_up(exchange, &plan.pool);
        None
    });
    if let Some(path) = original_path {
        exchange.request.path = path;
    }
    if let Some(source) = &plan.source {
        exchange.info.bytes_received = source.received.get();
    }
    match answered {
        None => {
            exchange.alarm = alarm;
            exchange.request.keep_alive &= plan.source.is_none();
            respond::count_status(&plan, exchange.response.status);
            exchange.answer(replier).await;
        }
        Some(answered) => {
            let millis = u64::try_from(plan.clock.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if !exchange.scene.manager.is_discreet() {
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
}

fn choose_cluster(exchange: &mut Exchange, forward: &Forward) -> Option<(Rc<Pool>, Option<Box<[u8]>>)> {
    let (name, rewrite): (Option<std::sync::Arc<str>>, _) = match &forward.cluster_header {
        Some(header) => (exchange.request.headers.get_text(header).map(Into::into), None),
        None => {
            let chosen = forward.pick(exchange.scene.worker.random());
            if let Some(chosen) = chosen {
                exchange.mutate_request(&chosen.mutations.request);
                exchange.mutate_response(&chosen.mutations.response);
            }
            let rewrite = chosen.and_then(|chosen| chosen.host_rewrite.as_ref());
            (chosen.map(|chosen| chosen.name.clone()), rewrite.map(|host| host.as_bytes().into()))
        }
    };
    let pool = name.as_deref().and_then(|name| exchange.scene.worker.pool(name));
    if pool.is_none() {
        exchange.info.cluster = name;
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
    if forward.append_forwarded_host && !matches!(forward.host_rewrite, HostRewrite::Keep) {
        request.headers.append_to(b"x-forwarded-host", &request.authority);
    }
    if let Some(operation) = &route.decorator {
        if manager.direction != crate::config::Direction::Inbound {
            request.headers.set(b"x-envoy-decorator-operation", operation.as_bytes());
        } else {
            request.headers.remove(b"x-envoy-decorator-operation");
        }
    }
    exchange.propagate_span();
    let request = &mut exchange.request;
    if let Some(limit) = forward.timeout.filter(|_| !manager.is_discreet()) {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        request.headers.set(b"x-envoy-expected-rq-timeout-ms", Decimal::of(millis).as_bytes());
    }
    if manager.peer_metadata().is_some_and(|options| options.propagate_upstream)
        && pool.cluster.service.is_some()
    {
        let own = &exchange.scene.worker.own;
        request.headers.set(METADATA_HEADER, own.encoded.as_bytes());
        request.headers.set(ID_HEADER, own.id.as_bytes());
    }
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
fn after(start: Instant, length: Option<std::time::Duration>) -> Option<Instant> {
    length.and_then(|length| start.checked_add(length))
}
