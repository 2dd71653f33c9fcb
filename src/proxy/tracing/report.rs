//! Handing spans to collectors: in batches, beside the traffic, and never more than so many at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Collector, Tracer};
use super::export;
use super::span::Finished;
use crate::http::call::call;
use crate::worker::context::Worker;

/// Most spans that wait for one collector; more are dropped.
const WAITING: usize = 2048;
/// Spans in one report.
const BATCH: usize = 256;
/// How long the first span of a report waits for more.
const GATHERING: Duration = Duration::from_secs(1);

/// What waits for the collectors of one worker.
#[derive(Debug, Default)]
pub(crate) struct Reporter(RefCell<HashMap<Collector, Vec<Arc<Finished>>>>);

impl Reporter {
    /// Takes a span; the first one to wait starts the sending.
    pub(super) fn take(worker: &Rc<Worker>, tracer: &Arc<Tracer>, span: Arc<Finished>) {
        worker.shared.spans.keep(span.clone());
        let mut waiting = worker.spans.0.borrow_mut();
        if let Some(queue) = waiting.get_mut(&tracer.collector) {
            if queue.len() >= WAITING {
                count(worker, &tracer.collector, "spans_dropped", 1);
            } else {
                queue.push(span);
            }
            return;
        }
        waiting.insert(tracer.collector.clone(), vec![span]);
        let (worker, collector) = (worker.clone(), tracer.collector.clone());
        tokio::task::spawn_local(send(worker, collector));
    }

    /// The next report; `None` when nothing waits, and then nobody sends any more.
    fn next(&self, collector: &Collector) -> Option<Vec<Arc<Finished>>> {
        let mut waiting = self.0.borrow_mut();
        let queue = waiting.get_mut(collector)?;
        if queue.is_empty() {
            waiting.remove(collector);
            return None;
        }
        let rest = queue.split_off(queue.len().min(BATCH));
        Some(std::mem::replace(queue, rest))
    }
}

/// Sends until nothing waits. A report that does not arrive is not sent again: the next one is worth more.
async fn send(worker: Rc<Worker>, collector: Collector) {
    loop {
        tokio::time::sleep(GATHERING).await;
        let Some(spans) = worker.spans.next(&collector) else { return };
        count(&worker, &collector, "timer_flushed", 1);
        let answer = call(&worker, export::report(&collector, &spans, &worker.own)).await;
        let outcome = match answer {
            Ok(answer) if answer.status / 100 == 2 && answer.grpc_status().unwrap_or(0) == 0 => {
                "reports_sent"
            }
            Ok(_) => "reports_dropped",
            Err(crate::http::call::CallError::NoCluster) => "reports_skipped_no_cluster",
            Err(error) => {
                tracing::debug!(cluster = &*collector.cluster, %error, "spans were not handed over");
                "reports_failed"
            }
        };
        count(&worker, &collector, outcome, 1);
        if outcome == "reports_sent" {
            count(&worker, &collector, "spans_sent", spans.len() as u64);
        }
    }
}

fn count(worker: &Worker, collector: &Collector, what: &str, by: u64) {
    let tracer = match collector.format {
        super::config::Format::ZipkinJson => "zipkin",
        _ => "opentelemetry",
    };
    worker.registry.counter(&format!("tracing.{tracer}.{what}")).add(by);
}
