//! Retry policies: on what, how often, how long between.

use std::time::Duration;

use super::field::{FieldError, Within, refuse_if};
use super::header_matcher::HeaderMatch;
use super::proto::{self, route};
use crate::http::headers::HeaderList;

/// A compiled `RetryPolicy`.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetryPolicy {
    pub(crate) retries: u32,
    pub(crate) per_try_timeout: Option<Duration>,
    pub(crate) base_interval: Duration,
    pub(crate) max_interval: Duration,
    pub(crate) avoid_previous_hosts: bool,
    /// After so many attempts, and again after as many, priorities that were tried are passed over.
    pub(crate) leaves_levels_after: Option<usize>,
    status_codes: Vec<u16>,
    server_error: bool,
    gateway_error: bool,
    reset: bool,
    reset_before_request: bool,
    connect_failure: bool,
    refused_stream: bool,
    retriable_4xx: bool,
    envoy_ratelimited: bool,
    grpc_codes: Vec<u32>,
    by_header: bool,
    response_headers: Vec<HeaderMatch>,
    /// Only requests that match one of these are sent again; empty = all.
    request_headers: Vec<HeaderMatch>,
}

/// After how many attempts other priorities are tried: the one way of choosing among them that is known.
fn leaves_levels_after(from: &route::retry_policy::RetryPriority) -> Result<usize, FieldError> {
    use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
    use route::retry_policy::retry_priority::ConfigType;
    let path = "retry_priority.typed_config";
    let Some(ConfigType::TypedConfig(any)) = &from.config_type else {
        return Err(FieldError::new(path, "is missing"));
    };
    let known = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";
    if proto::short_type(&any.type_url) != known {
        return Err(FieldError::new(path, format!("{} is not supported; known: {known}", any.type_url)));
    }
    let config: PreviousPrioritiesConfig = proto::decode(any).within(path)?;
    usize::try_from(config.update_frequency)
        .ok()
        .filter(|every| *every > 0)
        .ok_or_else(|| FieldError::new(format!("{path}.update_frequency"), "must be above 0"))
}

/// How an attempt failed without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptFailure {
    /// No connection.
    Connect,
    /// The connection ended before the whole request was sent.
    ResetBeforeRequest,
    /// The connection or stream ended before a response.
    Reset,
    /// HTTP/2 REFUSED_STREAM.
    Refused,
    /// The per-try timeout.
    PerTryTimeout,
    /// A circuit breaker was open: nothing was sent, and more attempts would not help.
    Overflow,
}

impl RetryPolicy {
    pub(crate) fn compile(from: &route::RetryPolicy) -> Result<Self, FieldError> {
        refuse_if(!from.retry_options_predicates.is_empty(), "retry_options_predicates", "is not supported")?;
        refuse_if(
            from.rate_limited_retry_back_off.is_some(),
            "rate_limited_retry_back_off",
            "is not supported",
        )?;
        refuse_if(from.per_try_idle_timeout.is_some(), "per_try_idle_timeout", "is not supported")?;
        let headers = |field: &str, list: &[route::HeaderMatcher]| {
            let each = list.iter().enumerate();
            each.map(|(i, h)| HeaderMatch::compile(h).within_item(field, i)).collect::<Result<Vec<_>, _>>()
        };
        let back_off = from.retry_back_off.as_ref();
        let base = back_off
            .and_then(|b| b.base_interval.as_ref())
            .map_or(Duration::from_millis(25), proto::duration);
        let mut policy = Self {
            retries: proto::uint(from.num_retries.as_ref(), 1),
            per_try_timeout: proto::timeout(from.per_try_timeout.as_ref(), None),
            base_interval: base,
            max_interval: back_off.and_then(|b| b.max_interval.as_ref()).map_or(base * 10, proto::duration),
            avoid_previous_hosts: !from.retry_host_predicate.is_empty(),
            leaves_levels_after: from.retry_priority.as_ref().map(leaves_levels_after).transpose()?,
            response_headers: headers("retriable_headers", &from.retriable_headers)?,
            request_headers: headers("retriable_request_headers", &from.retriable_request_headers)?,
            ..Self::default()
        };
        let codes = from
            .retriable_status_codes
            .iter()
            .filter_map(|code| u16::try_from(*code).ok())
            .collect::<Vec<_>>();
        for word in from.retry_on.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            policy.add(word, &codes)?;
        }
        Ok(policy)
    }

    fn add(&mut self, word: &str, codes: &[u16]) -> Result<(), FieldError> {
        match word {
            "5xx" => self.server_error = true,
            "gateway-error" => self.gateway_error = true,
            "reset" => self.reset = true,
            "reset-before-request" => self.reset_before_request = true,
            "connect-failure" => self.connect_failure = true,
            "refused-stream" => self.refused_stream = true,
            "retriable-4xx" => self.retriable_4xx = true,
            "envoy-ratelimited" => self.envoy_ratelimited = true,
            "retriable-status-codes" => self.status_codes.extend_from_slice(codes),
            "cancelled" => self.grpc_codes.push(1),
            "deadline-exceeded" => self.grpc_codes.push(4),
            "resource-exhausted" => self.grpc_codes.push(8),
            "internal" => self.grpc_codes.push(13),
            "unavailable" => self.grpc_codes.push(14),
            "retriable-headers" => self.by_header = true,
            // No endpoint is called over HTTP/3: that never happens.
            "http3-post-connect-failure" => {}
            other => {
                return match other.parse::<u16>() {
                    Ok(code) => {
                        self.status_codes.push(code);
                        Ok(())
                    }
                    Err(_) => Err(FieldError::new("retry_on", format!("{other:?} is not a retry condition"))),
                };
            }
        }
        Ok(())
    }

    /// Whether a response asks for another attempt.
    pub(crate) fn retries_response(&self, status: u16, response: &HeaderList, request: &HeaderList) -> bool {
        if !self.concerns(request) {
            return false;
        }
        let ratelimited = self.envoy_ratelimited && response.contains(b"x-envoy-ratelimited");
        let grpc_status = (!self.grpc_codes.is_empty())
            .then(|| response.get_text(b"grpc-status")?.parse::<u32>().ok())
            .flatten();
        (self.server_error && (500..600).contains(&status))
            || (self.gateway_error && (502..=504).contains(&status))
            || (self.retriable_4xx && status == 409)
            || ratelimited
            || self.status_codes.contains(&status)
            || grpc_status.is_some_and(|code| self.grpc_codes.contains(&code))
            || (self.by_header && self.response_headers.iter().any(|rule| rule.matches(response, |_| None)))
    }

    /// Whether requests like this one are sent again at all.
    fn concerns(&self, request: &HeaderList) -> bool {
        self.request_headers.is_empty()
            || self.request_headers.iter().any(|rule| rule.matches(request, |_| None))
    }

    /// Whether a failure asks for another attempt.
    pub(crate) fn retries_failure(&self, failure: AttemptFailure, request: &HeaderList) -> bool {
        if !self.concerns(request) {
            return false;
        }
        let any_reset = self.reset || self.server_error || self.gateway_error;
        match failure {
            AttemptFailure::Connect => any_reset || self.connect_failure,
            AttemptFailure::ResetBeforeRequest => any_reset || self.reset_before_request,
            AttemptFailure::Reset => any_reset,
            AttemptFailure::Refused => any_reset || self.refused_stream,
            AttemptFailure::PerTryTimeout => any_reset,
            AttemptFailure::Overflow => false,
        }
    }

    /// The pause before attempt `number` (1 = first retry): exponential with full jitter.
    pub(crate) fn pause(&self, number: u32, random: u64) -> Duration {
        let ceiling = self.base_interval.saturating_mul(1 << number.min(10)).min(self.max_interval);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(random % nanos)
    }
}
