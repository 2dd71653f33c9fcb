//! Exponential backoff with jitter, for every loop that retries something over a network.
//!
//! Jitter keeps a fleet from reconnecting in step: each delay is drawn evenly from half the nominal delay up to the whole of it.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackoffPolicy {
    /// Nominal delay before the first retry.
    pub initial: Duration,
    /// Upper bound of the nominal delay.
    pub max: Duration,
    /// Growth from one retry to the next; values below 1 count as 1.
    pub factor: f64,
}

impl Default for BackoffPolicy {
    /// 100 ms doubling up to 30 s.
    fn default() -> Self {
        Self { initial: Duration::from_millis(100), max: Duration::from_secs(30), factor: 2.0 }
    }
}

/// The state of one retry loop.
#[derive(Debug, Clone)]
pub struct Backoff {
    policy: BackoffPolicy,
    nominal: Duration,
}

impl Backoff {
    /// A loop that has not failed yet.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { policy, nominal: policy.initial }
    }

    /// The delay before the next attempt; later ones are longer.
    pub fn next_delay(&mut self) -> Duration {
        let nominal = self.nominal.min(self.policy.max);
        let grown = nominal.as_secs_f64() * self.policy.factor.max(1.0);
        self.nominal = Duration::try_from_secs_f64(grown).unwrap_or(self.policy.max).min(self.policy.max);
        nominal.mul_f64(0.5 + 0.5 * random_fraction())
    }

    /// Call after a success: the next failure waits the initial delay again.
    pub fn reset(&mut self) {
        self.nominal = self.policy.initial;
    }

    /// Sleeps for [`Backoff::next_delay`].
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }
}

/// A number from 0 up to 1, good enough to spread load (not for secrets).
pub fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_start_over_after_a_success() {
        let policy =
            BackoffPolicy { initial: Duration::from_millis(100), max: Duration::from_secs(1), factor: 2.0 };
        let mut backoff = Backoff::new(policy);
        for nominal in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.next_delay();
            let nominal = Duration::from_millis(nominal);
            assert!(delay >= nominal / 2 && delay <= nominal, "{delay:?} for {nominal:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }
}
