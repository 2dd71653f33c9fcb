//! Copies of requests for the mirrors of a route; their answers are thrown away.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::HttpVersion;
use crate::http::attempt::{Outgoing, Source, attempt, release};
use crate::http::body::{Body, Sink, pump};
use crate::http::codec::{Request, Response};
use crate::http::exchange::Exchange;
use crate::http::info::StreamInfo;
use crate::upstream::balance::PassedOver;
use crate::upstream::connect::Offer;
use crate::upstream::original::Original;
use crate::upstream::pool::Pool;
use crate::worker::context::Worker;

use super::Plan;

/// Longest wait for a mirror's answer, and for its end.
const LIMIT: Duration = Duration::from_secs(15);

/// One copy.
struct Copy {
    worker: Rc<Worker>,
    pool: Rc<Pool>,
    request: Request,
    body: Bytes,
    offer: Offer,
    http2: bool,
    client: std::net::SocketAddr,
    original: std::net::SocketAddr,
}

/// Sends the copies that are due. A body that was too large to keep is not mirrored.
pub(super) fn mirror(exchange: &Exchange, plan: &Plan<'_>) {
    for mirror in &plan.forward.mirrors {
        let worker = exchange.scene.worker.clone();
        let due = mirror.fraction.takes(worker.random());
        let body = match &plan.source {
            None => Some(Bytes::new()),
            Some(source) => source.whole(),
        };
        let (true, Some(body), Some(pool)) = (due, body, worker.pool(&mirror.cluster)) else { continue };
        let mut request = exchange.request.clone();
        request.upgrade = None;
        request.headers.set(b"x-envoy-internal", b"true");
        // Of a captured connection the local address is where the client meant to go.
        let own = worker.own.address.unwrap_or_else(|| exchange.scene.connection.local.ip()).to_string();
        request.headers.append_to(b"x-forwarded-for", own.as_bytes());
        if mirror.shadow_suffix {
            let host = &mut request.authority;
            let port = host.iter().rposition(|b| *b == b':').unwrap_or(host.len());
            host.splice(port..port, *b"-shadow");
        }
        let http2 = match pool.cluster.http {
            HttpVersion::Http2 => true,
            HttpVersion::Downstream => request.version == 2,
            HttpVersion::Http1 | HttpVersion::Auto => false,
        };
        let offer = super::offer(exchange, &pool, http2);
        let (client, original) = (exchange.scene.connection.remote, exchange.scene.connection.local);
        let copy = Copy { worker, pool, request, body, offer, http2, client, original };
        tokio::task::spawn_local(copy.send());
    }
}

impl Copy {
    async fn send(self) {
        let Self { worker, pool, .. } = &self;
        let original = Some(Original { address: self.original, caller: None });
        let Some(host) =
            pool.choose(worker.random(), None, PassedOver::default(), original, &worker.registry)
        else {
            return;
        };
        let Some(active) = host.begin(pool) else { return };
        let source = (!self.body.is_empty()).then(|| Source::new(Body::Full(self.body.clone()), None));
        let out = Outgoing {
            request: &self.request,
            authority: &self.request.authority,
            source: source.as_ref(),
            http2: self.http2,
            offer: self.offer,
            sni: None,
            from: (self.client, self.original),
        };
        let (mut response, mut info) = (Response::default(), StreamInfo::new(""));
        let sending = attempt(worker, pool, host, active, &out, &mut response, &mut info);
        if let Ok(Ok(mut answered)) = tokio::time::timeout(LIMIT, sending).await {
            let mut nowhere = Sink::Closed;
            let reading = pump(&mut answered.body, &mut nowhere, |_| {});
            let whole = matches!(tokio::time::timeout(LIMIT, reading).await, Ok(Ok(())));
            let reusable = whole && response.keep_alive && answered.upload.is_none();
            release(pool, &answered.host, answered.lease, self.offer, reusable);
        }
    }
}
