//! Outlier detection: endpoints that keep failing get no traffic for a while. What is known of an endpoint is shared by
//! all workers.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::Outlier;

use super::host::Host;
use super::pool::Pool;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first use.
fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A response with this status.
    Answer(u16),
    /// No connection could be opened.
    NoConnection,
    /// The connection or stream ended, or time was over, before a response.
    NoAnswer,
    /// A TCP connection was opened.
    Connected,
}

/// The failures of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct HostHealth {
    consecutive_5xx: AtomicU32,
    consecutive_gateway: AtomicU32,
    consecutive_local: AtomicU32,
    ejections: AtomicU32,
    /// In milliseconds since the start; 0 = never ejected.
    ejected_until: AtomicU64,
}

impl HostHealth {
    /// Whether it gets no traffic now.
    pub(crate) fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0 && now() < until
    }

    /// Ends an ejection: nobody looks for outliers any more.
    pub(super) fn forgive(&self) {
        self.ejected_until.store(0, Ordering::Relaxed);
    }

    /// Counts one way of failing; `true` = the limit is reached.
    fn count(counter: &AtomicU32, failed: bool, limit: Option<u32>) -> bool {
        if !failed {
            // Most requests succeed: a read is cheaper than a write.
            if counter.load(Ordering::Relaxed) != 0 {
                counter.store(0, Ordering::Relaxed);
            }
            return false;
        }
        let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
        limit.is_some_and(|limit| count >= limit)
    }

    /// Whether the endpoint is to be ejected.
    fn note(&self, rules: &Outlier, outcome: Outcome) -> bool {
        let local = matches!(outcome, Outcome::NoConnection | Outcome::NoAnswer);
        if rules.split_local && (local || outcome == Outcome::Connected) {
            return Self::count(&self.consecutive_local, local, rules.consecutive_local);
        }
        let status = match outcome {
            Outcome::Answer(status) => status,
            Outcome::NoConnection | Outcome::NoAnswer => 503,
            Outcome::Connected => 200,
        };
        let gateway =
            Self::count(&self.consecutive_gateway, (502..=504).contains(&status), rules.consecutive_gateway);
        Self::count(&self.consecutive_5xx, status >= 500, rules.consecutive_5xx) | gateway
    }

    /// Each ejection lasts longer than the one before; good conduct for as many intervals makes up for it.
    fn eject(&self, rules: &Outlier) {
        for counter in [&self.consecutive_5xx, &self.consecutive_gateway, &self.consecutive_local] {
            counter.store(0, Ordering::Relaxed);
        }
        let interval = millis(rules.interval).max(1);
        let last = self.ejected_until.load(Ordering::Relaxed);
        let healthy = now().saturating_sub(last) / interval;
        let before =
            self.ejections.load(Ordering::Relaxed).saturating_sub(u32::try_from(healthy).unwrap_or(u32::MAX));
        self.ejections.store(before + 1, Ordering::Relaxed);
        let length = rules.base_ejection.saturating_mul(before + 1).min(rules.max_ejection);
        // Ejections end at the next interval.
        let until = (now() + millis(length)).div_ceil(interval) * interval;
        self.ejected_until.store(until.max(1), Ordering::Relaxed);
    }
}

impl Pool {
    /// Notes what came of a request and ejects the endpoint if that is due.
    pub(crate) fn note(&self, host: &Host, outcome: Outcome) {
        let Some(rules) = &self.cluster.outlier else { return };
        if !host.health.note(rules, outcome) || host.health.is_ejected() {
            return;
        }
        let hosts = self.hosts();
        let ejected = hosts.iter().filter(|h| h.health.is_ejected()).count();
        let first = ejected == 0 && rules.always_one;
        if !first && (ejected + 1) * 100 > hosts.len() * rules.max_percent as usize {
            self.counters.outlier_detection_ejections_overflow.add(1);
            return;
        }
        host.health.eject(rules);
        self.counters.outlier_detection_ejections_enforced_total.add(1);
        tracing::debug!(cluster = %self.cluster.name, endpoint = %host.endpoint.address, "ejected as an outlier");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{HostHealth, Outcome};
    use crate::config::Outlier;

    fn rules() -> Outlier {
        Outlier {
            consecutive_5xx: Some(3),
            consecutive_gateway: Some(2),
            consecutive_local: Some(2),
            split_local: false,
            interval: Duration::from_millis(1),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_percent: 10,
            always_one: false,
        }
    }

    #[test]
    fn failures_count_only_in_a_row() {
        let (health, rules) = (HostHealth::default(), rules());
        let outcomes =
            [500, 500, 200, 500, 500, 500].map(|status| health.note(&rules, Outcome::Answer(status)));
        assert_eq!(outcomes, [false, false, false, false, false, true]);
        let gateway = HostHealth::default();
        assert!(!gateway.note(&rules, Outcome::NoConnection));
        assert!(gateway.note(&rules, Outcome::Answer(504)));
        let split = Outlier { split_local: true, ..rules };
        let local = HostHealth::default();
        assert!(!local.note(&split, Outcome::NoConnection));
        assert!(!local.note(&split, Outcome::Answer(200)), "an answer is not a local success");
        assert!(local.note(&split, Outcome::NoConnection));
        local.eject(&split);
        assert!(local.is_ejected());
        local.forgive();
        assert!(!local.is_ejected());
    }
}
