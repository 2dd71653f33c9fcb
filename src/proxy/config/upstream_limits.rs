//! Limits of a cluster: circuit breakers, outlier detection, keepalive of HTTP/2 connections.

use std::time::Duration;

use super::field::{FieldError, refuse_fields, refuse_if};
use super::proto::{self, cluster, core};

/// Circuit breaker thresholds; `u32::MAX` = none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    pub(crate) connections: u32,
    pub(crate) pending: u32,
    pub(crate) requests: u32,
    /// Retries at once, where there is no budget.
    pub(crate) retries: u32,
    pub(crate) retry_budget: Option<RetryBudget>,
}

/// Retries at once as a share of the requests at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryBudget {
    pub(crate) percent: f64,
    /// So many are always allowed.
    pub(crate) minimum: u32,
}

/// Outlier detection.
#[derive(Debug, Clone)]
pub(crate) struct Outlier {
    pub(crate) consecutive_5xx: Option<u32>,
    pub(crate) consecutive_gateway: Option<u32>,
    /// Failures of this side (no connection, reset), when they are told apart from bad answers.
    pub(crate) consecutive_local: Option<u32>,
    pub(crate) split_local: bool,
    pub(crate) interval: Duration,
    pub(crate) base_ejection: Duration,
    pub(crate) max_ejection: Duration,
    pub(crate) max_percent: u32,
    /// One endpoint may be ejected whatever the percentage.
    pub(crate) always_one: bool,
}

/// Whether an HTTP/2 connection still lives is asked by a ping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepalive {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

impl Keepalive {
    pub(crate) fn compile(from: Option<&core::KeepaliveSettings>) -> Option<Self> {
        let interval = proto::timeout(from?.interval.as_ref(), None)?;
        let timeout = proto::timeout(from?.timeout.as_ref(), None).unwrap_or(interval);
        Some(Self { interval, timeout })
    }
}

impl Thresholds {
    pub(crate) fn compile(from: &cluster::Cluster) -> Result<Self, FieldError> {
        let all = from.circuit_breakers.as_ref();
        let default = all.and_then(|c| c.thresholds.iter().find(|t| t.priority == 0));
        if let Some(all) = all {
            refuse_fields!(all, per_host_thresholds);
        }
        if let Some(default) = default {
            refuse_fields!(default, max_connection_pools);
        }
        let or = |value: Option<&proto::UInt32Value>, default: u32| proto::uint(value, default);
        let budget = default.and_then(|t| t.retry_budget.as_ref());
        Ok(Self {
            connections: or(default.and_then(|t| t.max_connections.as_ref()), 1024),
            pending: or(default.and_then(|t| t.max_pending_requests.as_ref()), 1024),
            requests: or(default.and_then(|t| t.max_requests.as_ref()), 1024),
            retries: or(default.and_then(|t| t.max_retries.as_ref()), 3),
            retry_budget: budget.map(|budget| RetryBudget {
                percent: budget.budget_percent.as_ref().map_or(20.0, |p| p.value),
                minimum: or(budget.min_retry_concurrency.as_ref(), 3),
            }),
        })
    }
}

impl Outlier {
    pub(crate) fn compile(from: &cluster::OutlierDetection) -> Result<Self, FieldError> {
        let statistical = [
            ("enforcing_success_rate", &from.enforcing_success_rate),
            ("enforcing_local_origin_success_rate", &from.enforcing_local_origin_success_rate),
            ("enforcing_failure_percentage", &from.enforcing_failure_percentage),
            ("enforcing_failure_percentage_local_origin", &from.enforcing_failure_percentage_local_origin),
        ];
        for (name, value) in statistical {
            let asked = value.as_ref().is_some_and(|value| value.value > 0);
            refuse_if(asked, name, "is not supported; endpoints are ejected for failures in a row")?;
        }
        refuse_fields!(from, max_ejection_time_jitter, monitors);
        let enforced = |value: Option<&proto::UInt32Value>, default| proto::uint(value, default) > 0;
        let base = proto::timeout(from.base_ejection_time.as_ref(), None).unwrap_or(Duration::from_secs(30));
        Ok(Self {
            consecutive_5xx: enforced(from.enforcing_consecutive_5xx.as_ref(), 100)
                .then(|| proto::uint(from.consecutive_5xx.as_ref(), 5))
                .filter(|n| *n > 0),
            consecutive_gateway: enforced(from.enforcing_consecutive_gateway_failure.as_ref(), 0)
                .then(|| proto::uint(from.consecutive_gateway_failure.as_ref(), 5))
                .filter(|n| *n > 0),
            consecutive_local: enforced(from.enforcing_consecutive_local_origin_failure.as_ref(), 100)
                .then(|| proto::uint(from.consecutive_local_origin_failure.as_ref(), 5))
                .filter(|n| *n > 0),
            split_local: from.split_external_local_origin_errors,
            interval: proto::timeout(from.interval.as_ref(), None).unwrap_or(Duration::from_secs(10)),
            base_ejection: base,
            max_ejection: proto::timeout(from.max_ejection_time.as_ref(), None)
                .unwrap_or(Duration::from_secs(300))
                .max(base),
            max_percent: proto::uint(from.max_ejection_percent.as_ref(), 10),
            always_one: from.always_eject_one_host.as_ref().is_some_and(|b| b.value),
        })
    }
}
