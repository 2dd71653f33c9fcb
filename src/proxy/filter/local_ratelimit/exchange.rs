//! The filter at work on a request and its response.

use super::LocalRateLimit;
use crate::config::Descriptor;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;

/// gRPC's code for a quota that is used up.
const RESOURCE_EXHAUSTED: &[u8] = b"8";

impl Exchange {
    /// Counts the request. `false` = an answer of our own is ready.
    pub(crate) fn limit_rate(&mut self, limit: &LocalRateLimit) -> bool {
        let worker = self.scene.worker.clone();
        if !limit.enabled.takes(worker.random()) {
            return true;
        }
        let counters = limit.counters(&worker.registry);
        counters.enabled.add(1);
        let (allowed, bucket) = limit.decide(&self.counted_by(limit));
        if limit.x_ratelimit_headers {
            self.rate_limit_state = bucket;
        }
        if allowed {
            counters.ok.add(1);
            return true;
        }
        counters.rate_limited.add(1);
        if !limit.enforced.takes(worker.random()) {
            self.mutate_request(&limit.not_enforced_headers);
            return true;
        }
        counters.enforced.add(1);
        self.info.details = "local_rate_limited".into();
        self.own(limit.status, b"local_rate_limited", Flags::RATE_LIMITED);
        if self.grpc && limit.resource_exhausted {
            self.response.headers.set(b"grpc-status", RESOURCE_EXHAUSTED);
        }
        if let (true, Some((_, _, seconds))) = (limit.retry_after, bucket) {
            self.response.headers.set(b"retry-after", seconds.to_string().as_bytes());
        }
        self.mutate_response(&limit.response_headers);
        false
    }

    /// What the request is counted by.
    fn counted_by(&self, limit: &LocalRateLimit) -> Vec<Descriptor> {
        if limit.rules.is_empty() {
            self.route_descriptors(limit.stage, limit.host)
        } else {
            self.descriptors(limit.rules.iter())
        }
    }

    /// Tells the client what its bucket holds, where the filter is to.
    pub(crate) fn tell_rate_limit(&mut self) {
        if let Some((most, left, seconds)) = self.rate_limit_state {
            for (name, value) in [
                ("x-ratelimit-limit", u64::from(most)),
                ("x-ratelimit-remaining", u64::from(left)),
                ("x-ratelimit-reset", seconds),
            ] {
                self.response.headers.set(name.as_bytes(), value.to_string().as_bytes());
            }
        }
    }
}
