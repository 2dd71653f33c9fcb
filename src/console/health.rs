//! Health of a node or an edge from its error rates: the thresholds that Kiali's users know.
//!
//! First matching rule wins: 5xx, gRPC failures and missing responses fail at 10 %; 4xx degrade at 10 % and fail at 20 %.

use serde::Serialize;

use crate::telemetry::EdgeDelta;

/// How well something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Health {
    /// No traffic to judge by.
    #[serde(rename = "Idle")]
    Idle,
    /// Errors below every threshold.
    #[serde(rename = "Healthy")]
    Healthy,
    /// Some clients err.
    #[serde(rename = "Degraded")]
    Degraded,
    /// Failing.
    #[serde(rename = "Failure")]
    Failure,
}

/// Requests by kind of outcome, in any unit (counts or rates).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcomes {
    /// All requests.
    pub total: f64,
    /// 3xx.
    pub redirects: f64,
    /// 4xx.
    pub client_errors: f64,
    /// 5xx.
    pub server_errors: f64,
    /// No response at all.
    pub no_response: f64,
    /// gRPC status other than 0.
    pub grpc_errors: f64,
}

impl Outcomes {
    /// Sorts the requests of `delta`.
    pub fn of(delta: &EdgeDelta) -> Self {
        let mut outcomes = Self::default();
        for (outcome, count) in &delta.requests {
            outcomes.total += count;
            match outcome.code.as_bytes().first() {
                Some(b'3') => outcomes.redirects += count,
                Some(b'4') => outcomes.client_errors += count,
                Some(b'5') => outcomes.server_errors += count,
                Some(b'0' | b'-') => outcomes.no_response += count,
                _ => {}
            }
            if !matches!(outcome.grpc.as_str(), "" | "0") {
                outcomes.grpc_errors += count;
            }
        }
        outcomes
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.redirects += other.redirects;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.no_response += other.no_response;
        self.grpc_errors += other.grpc_errors;
    }

    /// Everything that counts as an error.
    pub fn errors(&self) -> f64 {
        (self.client_errors + self.server_errors + self.no_response).max(self.grpc_errors)
    }

    /// The verdict.
    pub fn health(&self) -> Health {
        if self.total <= 0.0 {
            return Health::Idle;
        }
        let share = |part: f64| part / self.total;
        let failing = share(self.server_errors) >= 0.1
            || share(self.grpc_errors) >= 0.1
            || share(self.no_response) >= 0.1
            || share(self.client_errors) >= 0.2;
        if failing {
            Health::Failure
        } else if share(self.client_errors) >= 0.1 {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_hold_at_their_edges() {
        let of = |client_errors, server_errors| {
            Outcomes { total: 100.0, client_errors, server_errors, ..Outcomes::default() }.health()
        };
        assert_eq!(of(9.9, 0.0), Health::Healthy);
        assert_eq!(of(10.0, 0.0), Health::Degraded);
        assert_eq!(of(20.0, 0.0), Health::Failure);
        assert_eq!(of(0.0, 9.9), Health::Healthy);
        assert_eq!(of(0.0, 10.0), Health::Failure);
        assert_eq!(Outcomes::default().health(), Health::Idle);
    }
}
