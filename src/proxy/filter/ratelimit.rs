//! `envoy.filters.http.ratelimit`: a rate limit service, asked by gRPC, says whether a request may pass.

mod exchange;
mod headers;

use std::sync::Arc;
use std::time::Duration;

use super::grpc_service::GrpcService;
use super::rate_limit_descriptors::HostRules;
use crate::config::proto::{self, http::ratelimit::v3 as proto_limit, types};
use crate::config::{
    FieldError, Fraction, Mutation, RateLimitRule, RulePlace, Within, compile_added, refuse_if,
};

/// Time the service has where nothing is said.
const TIMEOUT: Duration = Duration::from_millis(20);
/// Envoy's number for the second version of its protocol; what is not said is the third.
const V2: i32 = 1;

/// A compiled `RateLimit`.
#[derive(Debug)]
pub(crate) struct RateLimit {
    domain: Arc<str>,
    stage: u32,
    applies_to: Applies,
    service: GrpcService,
    deny_on_failure: Fraction,
    resource_exhausted: bool,
    x_ratelimit_headers: bool,
    marks: bool,
    retry_after: bool,
    status: u16,
    status_on_error: u16,
    response_headers: Vec<Mutation>,
    stat_prefix: String,
    enabled: Fraction,
    enforced: Fraction,
    /// Rules of the filter itself; where there are none, those of the route count.
    rules: Vec<RateLimitRule>,
    /// Where what the service notes about a request is kept.
    metadata_namespace: String,
}

/// Requests that the filter asks about (`request_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applies {
    Internal,
    External,
    Both,
}

/// What routes and virtual hosts say about the filter (`RateLimitPerRoute`).
#[derive(Debug)]
pub(crate) struct RateLimitOverride {
    host: HostRules,
    rules: Vec<RateLimitRule>,
    domain: Option<Arc<str>>,
}

impl RateLimit {
    pub(crate) fn compile(from: &proto_limit::RateLimit) -> Result<Self, FieldError> {
        refuse_if(from.domain.is_empty(), "domain", "is missing")?;
        refuse_if(from.stage > 10, "stage", "is above 10")?;
        refuse_if(from.response_headers_to_add.len() > 10, "response_headers_to_add", "has more than 10")?;
        let share = |from: Option<&_>| from.map_or(Fraction::ALL, Fraction::of_runtime);
        let none = || Fraction::compile(&types::FractionalPercent::default());
        let deny = match &from.failure_mode_deny_percent {
            Some(percent) => Fraction::of_runtime(percent),
            None if from.failure_mode_deny => Fraction::ALL,
            None => none(),
        };
        let namespace = from.metadata_namespace.as_str();
        Ok(Self {
            domain: from.domain.as_str().into(),
            stage: from.stage,
            applies_to: Applies::compile(&from.request_type)?,
            service: compile_service(from)?,
            deny_on_failure: deny,
            resource_exhausted: from.rate_limited_as_resource_exhausted,
            x_ratelimit_headers: from.enable_x_ratelimit_headers != 0,
            marks: !from.disable_x_envoy_ratelimited_header,
            retry_after: from.enable_retry_after_header,
            status: status(from.rate_limited_status.as_ref(), 429),
            status_on_error: status(from.status_on_error.as_ref(), 500),
            response_headers: compile_added(&from.response_headers_to_add, "response_headers_to_add")?,
            stat_prefix: if from.stat_prefix.is_empty() {
                String::new()
            } else {
                format!("{}.", from.stat_prefix)
            },
            enabled: share(from.filter_enabled.as_ref()),
            enforced: share(from.filter_enforced.as_ref()),
            rules: RateLimitRule::compile_all(&from.rate_limits, RulePlace::Filter)?,
            metadata_namespace: if namespace.is_empty() { "envoy.filters.http.ratelimit" } else { namespace }
                .to_owned(),
        })
    }
}

impl RateLimitOverride {
    pub(crate) fn compile(from: &proto_limit::RateLimitPerRoute) -> Result<Self, FieldError> {
        refuse_if(
            from.override_option != 0,
            "override_option",
            "is not supported, nor is it by Envoy; use vh_rate_limits",
        )?;
        Ok(Self {
            host: HostRules::compile(from.vh_rate_limits)?,
            rules: RateLimitRule::compile_all(&from.rate_limits, RulePlace::Filter)?,
            domain: (!from.domain.is_empty()).then(|| from.domain.as_str().into()),
        })
    }
}

impl Applies {
    fn compile(from: &str) -> Result<Self, FieldError> {
        match from {
            "internal" => Ok(Self::Internal),
            "external" => Ok(Self::External),
            "both" | "" => Ok(Self::Both),
            other => Err(FieldError::new(
                "request_type",
                format!("{other:?} is none of internal, external and both"),
            )),
        }
    }
}

fn compile_service(from: &proto_limit::RateLimit) -> Result<GrpcService, FieldError> {
    let service = from.rate_limit_service.as_ref();
    let service = service.ok_or_else(|| FieldError::new("rate_limit_service", "is missing"))?;
    refuse_if(
        service.transport_api_version == V2,
        "rate_limit_service.transport_api_version",
        "only V3 is supported",
    )?;
    let grpc = service.grpc_service.as_ref();
    let grpc = grpc.ok_or_else(|| FieldError::new("rate_limit_service.grpc_service", "is missing"))?;
    let timeout = proto::timeout(from.timeout.as_ref(), Some(TIMEOUT));
    GrpcService::compile(grpc, timeout).within("rate_limit_service.grpc_service")
}

/// A status for refusals; what is none of an error is not taken.
fn status(from: Option<&types::HttpStatus>, default: u16) -> u16 {
    from.and_then(|status| u16::try_from(status.code).ok())
        .filter(|code| (400..600).contains(code))
        .unwrap_or(default)
}
