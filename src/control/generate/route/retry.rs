//! When and how often a request is tried again.

use sagene_api::istio::networking::virtual_service::HttpRetry;

use super::super::proto::{any, duration, route, uint};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use route::retry_policy::{RetryBackOff, RetryHostPredicate, RetryPriority};

/// Istio's conditions where a route names none.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
/// Istio's number of further tries where a route names none.
const DEFAULT_ATTEMPTS: u32 = 2;

/// The policy of a route; `None` where nothing is tried again. `hashed` routes keep their host.
pub(super) fn retry_policy(retry: Option<&HttpRetry>, hashed: bool) -> Option<route::RetryPolicy> {
    let mut made = route::RetryPolicy {
        retry_on: DEFAULT_RETRY_ON.to_owned(),
        num_retries: uint(DEFAULT_ATTEMPTS),
        host_selection_retry_max_attempts: 5,
        ..route::RetryPolicy::default()
    };
    let avoid_previous = retry.and_then(|retry| retry.retry_ignore_previous_hosts).unwrap_or(!hashed);
    if avoid_previous {
        made.retry_host_predicate = vec![RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
            config_type: Some(route::retry_policy::retry_host_predicate::ConfigType::TypedConfig(any(
                &PreviousHostsPredicate {},
            ))),
        }];
    }
    let Some(retry) = retry else { return Some(made) };
    let attempts = u32::try_from(retry.attempts).ok().filter(|attempts| *attempts > 0)?;
    made.num_retries = uint(attempts);
    if !retry.retry_on.is_empty() {
        (made.retry_on, made.retriable_status_codes) = conditions(&retry.retry_on);
    }
    made.per_try_timeout = retry.per_try_timeout.map(duration);
    made.retry_back_off = retry
        .backoff
        .map(|interval| RetryBackOff { base_interval: Some(duration(interval)), max_interval: None });
    if retry.retry_remote_localities == Some(true) {
        let config = PreviousPrioritiesConfig { update_frequency: 2 };
        made.retry_priority = Some(RetryPriority {
            name: "envoy.retry_priorities.previous_priorities".to_owned(),
            config_type: Some(route::retry_policy::retry_priority::ConfigType::TypedConfig(any(&config))),
        });
    }
    Some(made)
}

/// Status codes in the list become a list of their own.
fn conditions(list: &str) -> (String, Vec<u32>) {
    let mut names = Vec::new();
    let mut codes = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse::<u32>() {
            Ok(code) => codes.push(code),
            Err(_) => names.push(part),
        }
    }
    if !codes.is_empty() && !names.contains(&"retriable-status-codes") {
        names.push("retriable-status-codes");
    }
    (names.join(","), codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_turns_off_and_numbers_become_status_codes() {
        assert!(retry_policy(Some(&HttpRetry::default()), false).is_none());
        let retry = HttpRetry { attempts: 3, retry_on: "5xx, 409".to_owned(), ..HttpRetry::default() };
        let made = retry_policy(Some(&retry), true).expect("a policy");
        assert_eq!(
            (made.retry_on.as_str(), made.retriable_status_codes),
            ("5xx,retriable-status-codes", vec![409])
        );
        assert!(made.retry_host_predicate.is_empty());
        assert_eq!(retry_policy(None, false).and_then(|made| made.num_retries), uint(2));
    }
}
