//! A token bucket that all workers share: fills continuously, gives whole tokens.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::proto::{self, types};
use crate::config::{FieldError, refuse_if};

/// A bucket. It is full at first.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    most: f64,
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

/// The settings of a bucket, of which more than one may be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BucketSettings {
    pub(crate) most: u32,
    pub(crate) per_fill: u32,
    pub(crate) interval: Duration,
}

impl BucketSettings {
    pub(crate) fn compile(from: &types::TokenBucket) -> Result<Self, FieldError> {
        refuse_if(from.max_tokens == 0, "max_tokens", "must be above 0")?;
        let interval = from.fill_interval.as_ref().map(proto::duration).unwrap_or_default();
        refuse_if(interval < Duration::from_millis(50), "fill_interval", "must be 0.05s or more")?;
        let per_fill = proto::uint(from.tokens_per_fill.as_ref(), 1);
        refuse_if(per_fill == 0, "tokens_per_fill", "must be above 0")?;
        Ok(Self { most: from.max_tokens, per_fill, interval })
    }

    /// Tokens in a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.per_fill) / self.interval.as_secs_f64()
    }
}

impl TokenBucket {
    pub(crate) fn new(settings: BucketSettings) -> Self {
        let most = f64::from(settings.most);
        Self { most, per_second: settings.rate(), state: Mutex::new((most, Instant::now())) }
    }

    /// Takes one token, if there is a whole one.
    pub(crate) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.filled(*state, now);
        let enough = tokens >= 1.0;
        *state = (if enough { tokens - 1.0 } else { tokens }, now.max(state.1));
        enough
    }

    fn filled(&self, (tokens, at): (f64, Instant), now: Instant) -> f64 {
        (tokens + now.saturating_duration_since(at).as_secs_f64() * self.per_second).min(self.most)
    }

    /// Most tokens, whole tokens left, and seconds until there is one, as Envoy tells them.
    pub(crate) fn left(&self) -> (u32, u32, u64) {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.filled(state, Instant::now());
        let missing = (1.0 - tokens).max(0.0);
        // Counts are small and not negative.
        (self.most as u32, tokens as u32, (missing / self.per_second).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_is_in_it_and_what_flows_in() {
        let settings = BucketSettings { most: 4, per_fill: 4, interval: Duration::from_secs(60) };
        let bucket = TokenBucket::new(settings);
        let start = Instant::now();
        let taken = |from: u64, to: u64| {
            (from..to).filter(|second| bucket.take_at(start + Duration::from_secs(*second))).count()
        };
        assert_eq!((0..10).filter(|_| bucket.take_at(start)).count(), 4);
        assert_eq!(taken(1, 15), 0);
        assert_eq!(taken(15, 76), 4);
        assert_eq!((0..10).filter(|_| bucket.take_at(start + Duration::from_secs(900))).count(), 4);
    }
}
