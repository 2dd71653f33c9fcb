//! A span while its request is under way, and what is left of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::config::{Propagation, Tracer};
use super::context::{Parent, Told, extract, inject};
use crate::http::headers::HeaderList;

/// The span of a request under way.
#[derive(Debug)]
pub(crate) struct Span {
    pub(super) tracer: Arc<Tracer>,
    pub(super) trace: u128,
    pub(super) wide: bool,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) sampled: bool,
    pub(super) shared: bool,
    state: String,
    /// What the request is for.
    pub(super) operation: String,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    pub(crate) trace: u128,
    pub(crate) wide: bool,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    /// The proxy stood behind the client, not in front of the server.
    pub(crate) client: bool,
    pub(crate) shared: bool,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) start: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) error: bool,
}

impl Span {
    /// Starts a span for a request; `decided` counts where nobody before has decided. `client` is the side the proxy stands on.
    pub(super) fn start(
        tracer: &Arc<Tracer>,
        headers: &HeaderList,
        decided: bool,
        client: bool,
        random: impl Fn() -> u64,
    ) -> Self {
        let Parent { span, sampled, state } = extract(headers, tracer.propagation);
        let own = || random().max(1);
        let mut made = Self {
            tracer: tracer.clone(),
            trace: 0,
            wide: tracer.wide_ids,
            id: own(),
            parent: None,
            sampled: sampled.unwrap_or(decided),
            shared: false,
            state,
            operation: String::new(),
        };
        match span {
            Some(before) if tracer.shared_spans && !client => {
                (made.id, made.parent, made.shared) = (before.id, before.parent, true);
                (made.trace, made.wide) = (before.trace, before.wide);
            }
            Some(before) => {
                made.parent = Some(before.id);
                (made.trace, made.wide) = (before.trace, before.wide);
            }
            None if tracer.wide_ids => made.trace = u128::from(own()) << 64 | u128::from(random()),
            // As in Zipkin, the first span of a trace has the trace's id.
            None => made.trace = u128::from(made.id),
        }
        if tracer.propagation == Propagation::W3c {
            made.wide = true;
        }
        made
    }

    /// Tells the next one.
    pub(super) fn inject(&self, headers: &mut HeaderList) {
        let told = Told {
            trace: self.trace,
            wide: self.wide,
            id: self.id,
            parent: self.parent,
            sampled: self.sampled,
            state: &self.state,
        };
        inject(headers, &told, self.tracer.propagation);
    }

    pub(super) fn finish(
        self,
        client: bool,
        start: SystemTime,
        duration: Duration,
        tags: Vec<(String, String)>,
        error: bool,
    ) -> Finished {
        Finished {
            trace: self.trace,
            wide: self.wide,
            id: self.id,
            parent: self.parent,
            client,
            shared: self.shared,
            name: self.operation,
            state: self.state,
            start,
            duration,
            tags,
            error,
        }
    }
}
