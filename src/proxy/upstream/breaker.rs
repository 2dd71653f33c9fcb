//! Circuit breakers: what a cluster may have at once of pending requests and retries. Connections and requests are
//! counted where they live.

use std::sync::Arc;

use crate::stats::{ClusterCounters, Counter};

use super::pool::Pool;

/// Leave to do something that is limited, while it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    counters: Arc<ClusterCounters>,
    gauge: fn(&ClusterCounters) -> &Counter,
}

impl Drop for Permit {
    fn drop(&mut self) {
        (self.gauge)(&self.counters).sub(1);
    }
}

impl Pool {
    fn permit(&self, most: u32, gauge: fn(&ClusterCounters) -> &Counter, full: &Counter) -> Option<Permit> {
        if gauge(&self.counters).get() >= u64::from(most) {
            full.add(1);
            return None;
        }
        gauge(&self.counters).add(1);
        Some(Permit { counters: self.counters.clone(), gauge })
    }

    /// For a request that has no connection yet.
    pub(super) fn pending_permit(&self) -> Option<Permit> {
        let most = self.cluster.thresholds.pending;
        self.counters.upstream_rq_pending_total.add(1);
        self.permit(most, |c| &c.upstream_rq_pending_active, &self.counters.upstream_rq_pending_overflow)
    }

    /// For another attempt.
    pub(crate) fn retry_permit(&self) -> Option<Permit> {
        let limits = &self.cluster.thresholds;
        let most = limits.retry_budget.map_or(limits.retries, |budget| {
            let counters = &self.counters;
            let requests = counters.upstream_rq_active.get() + counters.upstream_rq_pending_active.get();
            ((requests as f64 * budget.percent / 100.0) as u32).max(budget.minimum)
        });
        self.permit(most, |c| &c.upstream_rq_retry_active, &self.counters.upstream_rq_retry_overflow)
    }
}
