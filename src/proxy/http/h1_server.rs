//! Serving one HTTP/1 connection: request after request, in order.

use std::rc::Rc;
use std::time::Duration;

use super::body::{Body, Framing, PumpError, Sink};
use super::codec::{HeadError, HeadLimits, Request, Response, take_request, write_response};
use super::exchange::{Exchange, Scene};
use super::reply::Replier;
use super::wire::Wire;

/// Serves until either side has had enough. `current` gives the scene for the next request (configuration may have
/// changed), or `None` when the connection must end.
pub(crate) async fn serve(wire: Wire, mut current: impl FnMut() -> Option<Scene>) {
    let wire = Rc::new(wire);
    let mut request = Request::default();
    let mut served = 0_u32;
    while let Some(scene) = current() {
        let framing = match head(&wire, &mut request, &scene).await {
            Ok(Some(framing)) => framing,
            Ok(None) => break,
            Err(error) => {
                refuse(&wire, error, &scene).await;
                break;
            }
        };
        served += 1;
        let last = scene.worker.draining()
            || (scene.manager.max_requests > 0 && served >= scene.manager.max_requests);
        let mut replier = Replier::H1 {
            wire: wire.clone(),
            to_head: request.method == b"HEAD",
            version: request.version,
            close: last,
        };
        let body = Body::h1(wire.clone(), framing);
        let keep_alive = request.keep_alive;
        let exchange = Exchange::new(scene, std::mem::take(&mut request));
        request = exchange.run(body, &mut replier).await;
        if replier.closes() || !keep_alive {
            break;
        }
        wire.rest();
    }
    let _ = wire.flush().await;
    wire.shutdown().await;
}

/// Reads a head; `None` = the peer is done or idled too long.
async fn head(wire: &Wire, request: &mut Request, scene: &Scene) -> Result<Option<Framing>, HeadError> {
    let manager = &scene.manager;
    let limits = HeadLimits {
        bytes: manager.max_header_bytes,
        count: manager.max_header_count,
        reject_underscores: manager.reject_underscores,
        accept_http_10: manager.accept_http_10,
    };
    let mut started = !wire.input.borrow().is_empty();
    loop {
        if started && let Some(framing) = take_request(&mut wire.input.borrow_mut(), request, limits)? {
            return Ok(Some(framing));
        }
        let limit = if started { manager.headers_timeout } else { manager.idle_timeout };
        let filled = tokio::select! {
            filled = within(limit, wire.fill()) => filled,
            () = scene.worker.drain_started(), if !started => return Ok(None),
        };
        match filled {
            Some(Ok(count)) if count > 0 => started = true,
            _ => return Ok(None),
        }
    }
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

async fn refuse(wire: &Rc<Wire>, error: HeadError, scene: &Scene) {
    scene.counters.downstream_rq_4xx.add(1);
    let mut response = Response { status: error.status(), ..Response::default() };
    let text: &[u8] = if error.status() == 400 { b"Bad Request" } else { b"" };
    response.headers.append(b"content-length", text.len().to_string().as_bytes());
    response.headers.append(b"content-type", b"text/plain");
    write_response(&mut wire.output.borrow_mut(), &response, false, true, None);
    wire.output.borrow_mut().extend_from_slice(text);
    tracing::debug!(%error, "a request head was refused");
}

/// Carries bytes both ways after an upgrade; returns received and sent bytes.
pub(crate) async fn tunnel(down: &Rc<Wire>, up: &Rc<Wire>) -> (u64, u64) {
    if down.flush().await.is_err() {
        return (0, 0);
    }
    let one_way = |from: Rc<Wire>, to: Rc<Wire>| async move {
        let mut body = Body::h1(from, Framing::UntilClose);
        let mut sink = Sink::H1 { wire: to.clone(), chunked: false };
        let mut count = 0;
        let moved: Result<u64, PumpError> =
            super::body::pump(&mut body, &mut sink, |piece| count += piece.len() as u64).await;
        let _ = moved;
        to.shutdown().await;
        count
    };
    tokio::join!(one_way(down.clone(), up.clone()), one_way(up.clone(), down.clone()))
}
