//! What clients are told of their limits: `x-ratelimit-*` (draft version 3) and `retry-after`.

use envoy_types::pb::envoy::service::ratelimit::v3 as service;
use service::rate_limit_response::{Code, DescriptorStatus, rate_limit::Unit};

/// The three headers: the tightest limit with all windows behind it, what is left of it, seconds until it is whole again.
pub(super) fn x_ratelimit(statuses: &[DescriptorStatus]) -> Option<[(&'static str, String); 3]> {
    let limited = statuses.iter().filter_map(|status| Some((status, status.current_limit.as_ref()?)));
    let (tightest, limit) = limited.clone().min_by_key(|(status, _)| status.limit_remaining)?;
    let mut policy = limit.requests_per_unit.to_string();
    for (_, limit) in limited {
        policy.push_str(&format!(", {}", limit.requests_per_unit));
        if let Some(seconds) = seconds(limit.unit()) {
            policy.push_str(&format!(";w={seconds}"));
        }
        if !limit.name.is_empty() {
            policy.push_str(&format!(";name=\"{}\"", limit.name));
        }
    }
    Some([
        ("x-ratelimit-limit", policy),
        ("x-ratelimit-remaining", tightest.limit_remaining.to_string()),
        ("x-ratelimit-reset", until_reset(tightest).to_string()),
    ])
}

/// Seconds until the last of the limits that are used up is whole again, at least one.
pub(super) fn retry_after(statuses: &[DescriptorStatus]) -> Option<u64> {
    let over = statuses.iter().filter(|status| status.code() == Code::OverLimit);
    over.map(until_reset).max().map(|seconds| seconds.max(1))
}

fn until_reset(status: &DescriptorStatus) -> u64 {
    status.duration_until_reset.as_ref().and_then(|time| u64::try_from(time.seconds).ok()).unwrap_or(0)
}

/// Length of a window.
fn seconds(unit: Unit) -> Option<u32> {
    const DAY: u32 = 24 * 60 * 60;
    match unit {
        Unit::Unknown => None,
        Unit::Second => Some(1),
        Unit::Minute => Some(60),
        Unit::Hour => Some(60 * 60),
        Unit::Day => Some(DAY),
        Unit::Week => Some(7 * DAY),
        Unit::Month => Some(30 * DAY),
        Unit::Year => Some(365 * DAY),
    }
}
