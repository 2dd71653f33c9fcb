//! The time limits of one request: the whole response, silence, the whole request, the whole stream.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::Forward;
use crate::http::attempt::Source;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;
use crate::upstream::pool::Pool;

use super::after;

/// Starts when the request is routed.
pub(super) struct Clock {
    pub(super) started: Instant,
    /// From the end of the request to the end of the response.
    response: Option<Duration>,
    /// Without a byte moving either way.
    idle: Option<Duration>,
    /// For the request to come in.
    request: Option<Duration>,
    /// For everything.
    stream: Option<Duration>,
    source: Option<Rc<Source>>,
    /// When the last piece of the response moved.
    pub(super) moved: Cell<Instant>,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Response,
    Idle,
    Request,
    Stream,
}

impl Clock {
    pub(super) fn new(exchange: &Exchange, forward: &Forward, source: Option<Rc<Source>>) -> Self {
        let manager = &exchange.scene.manager;
        let started = Instant::now();
        let asked = forward.grpc_timeout_max.filter(|_| exchange.grpc).and_then(|most| {
            let asked = exchange.request.headers.get(b"grpc-timeout").and_then(grpc_timeout)?;
            Some(if most.is_zero() { asked } else { asked.min(most) })
        });
        Self {
            started,
            response: asked.or(forward.timeout),
            idle: forward.idle_timeout.unwrap_or(manager.stream_idle_timeout),
            request: manager.request_timeout,
            stream: forward.max_stream.unwrap_or(manager.max_stream),
            source,
            moved: Cell::new(started),
        }
    }

    /// The moments of the limits that apply now.
    fn limits(&self) -> [(Expired, Option<Instant>); 4] {
        let (ended, moved) = match &self.source {
            None => (Some(self.started), self.moved.get()),
            Some(source) => (source.ended.get(), source.moved.get().max(self.moved.get())),
        };
        [
            (Expired::Response, ended.and_then(|ended| after(ended, self.response))),
            (Expired::Idle, after(moved, self.idle)),
            (Expired::Request, after(self.started, self.request.filter(|_| ended.is_none()))),
            (Expired::Stream, after(self.started, self.stream)),
        ]
    }

    /// When the request must be given up, as things stand.
    pub(super) fn due(&self) -> Option<Instant> {
        self.limits().into_iter().filter_map(|(_, due)| due).min()
    }

    pub(super) fn expired(&self) -> Expired {
        let first = self.limits().into_iter().filter_map(|(what, due)| Some((due?, what)));
        first.min_by_key(|(due, _)| *due).map_or(Expired::Response, |(_, what)| what)
    }

    /// The answer when the time is over before there is another.
    pub(super) fn give_up(&self, exchange: &mut Exchange, pool: &Pool) {
        // Envoy blames the side that owes bytes.
        let whole = self.source.as_ref().is_none_or(|source| source.ended.get().is_some());
        let code = if whole { 504 } else { 408 };
        match self.expired() {
            Expired::Response => {
                pool.counters.upstream_rq_timeout.add(1);
                exchange.info.details = "response_timeout".into();
                exchange.own(504, b"upstream request timeout", Flags::UPSTREAM_TIMEOUT);
            }
            Expired::Idle => {
                exchange.info.details = "stream_idle_timeout".into();
                exchange.own(code, b"stream timeout", Flags::STREAM_IDLE_TIMEOUT);
            }
            Expired::Request => {
                exchange.info.details = "request_overall_timeout".into();
                exchange.own(408, b"request timeout", Flags::default());
            }
            Expired::Stream => {
                exchange.info.details = "max_duration_timeout".into();
                exchange.own(code, b"downstream duration timeout", Flags::default());
            }
        }
    }

    /// Notes that the time was over while the response was on its way.
    pub(super) fn cut_short(&self, exchange: &mut Exchange) {
        let (flag, details) = match self.expired() {
            Expired::Response => (Flags::UPSTREAM_TIMEOUT, "response_timeout"),
            Expired::Idle => (Flags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
            Expired::Request => (Flags::default(), "request_overall_timeout"),
            Expired::Stream => (Flags::default(), "max_duration_timeout"),
        };
        exchange.info.flags.set(flag);
        exchange.info.details = details.into();
    }
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
