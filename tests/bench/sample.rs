//! Figures of one measurement, and their middle over the rounds.

use std::time::Duration;

use crate::process::{Cpu, Memory};

/// One subject in one round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) length: Duration,
    /// Of all its processes, during the measurement.
    pub(crate) cpu: Cpu,
    /// Half, and 99 of 100, of the answers came within.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Of one process.
    pub(crate) start: Duration,
    pub(crate) memory: Memory,
}

impl Sample {
    /// CPU microseconds for each request.
    pub(crate) fn cost(&self) -> f64 {
        per_request(self.cpu.user + self.cpu.system, self.requests)
    }

    pub(crate) fn user_cost(&self) -> f64 {
        per_request(self.cpu.user, self.requests)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.length.as_secs_f64()
    }

    /// Processors that the proxies of one request together keep busy.
    pub(crate) fn busy(&self) -> f64 {
        (self.cpu.user + self.cpu.system) / self.length.as_secs_f64()
    }
}

fn per_request(seconds: f64, requests: u64) -> f64 {
    seconds * 1e6 / requests.max(1) as f64
}

/// Middle, lowest and highest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), low: at(0), high: at(values.len().saturating_sub(1)) }
    }
}
