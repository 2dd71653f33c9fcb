//! Serving one HTTP/1 connection: request after request, in order.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Instant;

use super::alarm::Alarm;
use super::body::{Body, Framing, Sink};
use super::codec::{HeadError, HeadLimits, Request, take_request};
use super::exchange::{Exchange, Memory, Scene};
use super::reply::Replier;
use super::wire::Wire;

/// Serves until either side has had enough. `current` gives the scene for the next request (configuration may have
/// changed), or `None` when the connection must end at once.
pub(crate) async fn serve(wire: Wire, mut current: impl FnMut() -> Option<Scene>) {
    let wire = Rc::new(wire);
    let Some(mut scene) = current() else { return };
    let worker = scene.worker.clone();
    let direction = scene.connection.direction;
    let mut ending = pin!(worker.end_started());
    let opened = Instant::now();
    let mut memory = Memory::default();
    let mut served = 0_u32;
    loop {
        let ends = scene.manager.max_connection.map(|most| opened + most);
        let waiting = head(&wire, &mut memory, &scene, ends, ending.as_mut());
        let framing = match waiting.await {
            Ok(Some(framing)) => framing,
            Ok(None) => break,
            Err(error) => {
                refuse(&wire, memory, error, &scene).await;
                break;
            }
        };
        match current() {
            Some(now) => scene = now,
            None => break,
        }
        served += 1;
        let last = worker.draining(direction)
            || scene.leaving
            || ends.is_some_and(|ends| Instant::now() >= ends)
            || (scene.manager.max_requests > 0 && served >= scene.manager.max_requests);
        let request = &memory.request;
        let mut replier = Replier::H1 {
            wire: wire.clone(),
            to_head: request.method == b"HEAD",
            version: request.version,
            close: last,
        };
        let keep_alive = request.keep_alive;
        let body = Body::h1(wire.clone(), framing);
        memory = Exchange::new(scene.clone(), memory).run(body, &mut replier).await;
        if replier.closes() || !keep_alive {
            break;
        }
    }
    let _ = wire.flush().await;
    wire.shutdown().await;
}

/// Reads a head; `None` = the peer is done or idled too long, or the connection has lived long enough.
async fn head(
    wire: &Wire,
    memory: &mut Memory,
    scene: &Scene,
    ends: Option<Instant>,
    mut ending: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Framing>, HeadError> {
    let manager = &scene.manager;
    let limits = HeadLimits {
        bytes: manager.max_header_bytes,
        count: manager.max_header_count,
        reject_underscores: manager.reject_underscores,
        accept_http_10: manager.accept_http_10,
        custom_methods: manager.custom_methods,
        default_host: manager.default_host_10.as_deref(),
    };
    let mut started = !wire.input.borrow().is_empty();
    let begun = Instant::now();
    loop {
        if started {
            if let Some(framing) = take_request(&mut wire.input.borrow_mut(), &mut memory.request, limits)? {
                return Ok(Some(framing));
            }
            let silent = Instant::now();
            let whole = manager.headers_timeout.map(|limit| begun + limit);
            let idle = manager.stream_idle_timeout.map(|limit| silent + limit);
            let due = [whole, idle].into_iter().flatten().min();
            match memory.alarm.limit(|| due, wire.fill()).await {
                Some(Ok(count)) if count > 0 => {}
                None if due == whole => return Err(HeadError::Timeout),
                None => return Err(HeadError::Idle),
                _ => return Ok(None),
            }
            continue;
        }
        let idle = manager.idle_timeout.map(|limit| begun + limit);
        let due = [idle, ends].into_iter().flatten().min();
        let filled = tokio::select! {
            biased;
            filled = memory.alarm.limit(|| due, wire.fill()) => filled,
            // While it only drains, an idle connection ends with its next answer: closed now, it would cut off a request that is on its way.
            () = &mut ending => return Ok(None),
        };
        match filled {
            Some(Ok(count)) if count > 0 => started = true,
            _ => return Ok(None),
        }
    }
}

/// Answers a head that cannot be served; the connection ends with it.
async fn refuse(wire: &Rc<Wire>, mut memory: Memory, error: HeadError, scene: &Scene) {
    tracing::debug!(%error, "a request head was refused");
    if error != HeadError::NoHost {
        // What is there is the request before, or a part of this one that means nothing.
        memory.request = Request { version: 1, ..Request::default() };
    }
    let mut replier = Replier::H1 { wire: wire.clone(), to_head: false, version: 1, close: true };
    Exchange::new(scene.clone(), memory).refuse_head(error, &mut replier).await;
}

/// What became of a tunnel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Carried {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// The client was the first to end it.
    pub(crate) by_client: bool,
    /// Nothing moved for too long.
    pub(crate) idle: bool,
}

/// Carries bytes both ways after an upgrade until both directions ended, one failed, or nothing moved for as long as
/// `idle` allows.
pub(crate) async fn tunnel(
    down: &Rc<Wire>,
    up: &Rc<Wire>,
    alarm: &mut Alarm,
    idle: Option<std::time::Duration>,
) -> Carried {
    use std::cell::Cell;
    if down.flush().await.is_err() {
        return Carried { by_client: true, ..Carried::default() };
    }
    let first = Cell::new(None);
    let (received, sent, last) = (Cell::new(0), Cell::new(0), Cell::new(Instant::now()));
    let one_way = |from: Rc<Wire>, to: Rc<Wire>, count, upward: bool| {
        let (count, last, first): (&Cell<u64>, _, _) = (count, &last, &first);
        async move {
            let mut body = Body::h1(from, Framing::UntilClose);
            let mut sink = Sink::H1 { wire: to.clone(), chunked: false };
            let moved = super::body::pump(&mut body, &mut sink, |piece| {
                count.set(count.get() + piece.len() as u64);
                last.set(Instant::now());
            });
            moved.await?;
            first.set(first.get().or(Some(upward)));
            to.shutdown().await;
            Ok::<(), super::body::PumpError>(())
        }
    };
    let both = async {
        let upward = one_way(down.clone(), up.clone(), &received, true);
        let downward = one_way(up.clone(), down.clone(), &sent, false);
        let _ = tokio::try_join!(upward, downward);
    };
    let ended = alarm.limit(|| idle.map(|idle| last.get() + idle), both).await;
    let by_client = first.get() == Some(true);
    Carried { received: received.get(), sent: sent.get(), by_client, idle: ended.is_none() }
}
