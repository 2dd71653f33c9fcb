//! Questions and answers: which limits hold, how much of them is used up, what that means for the request.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3 as proto;
use envoy_types::pb::google::protobuf::Duration;
use prost::Message;
use proto::rate_limit_response::{Code, DescriptorStatus, RateLimit};
use serde_json::{Value, json};

use super::counter::{CountError, Hit, now};
use super::limits::Limit;
use super::{Service, log};
use crate::samples::grpc::{INVALID_ARGUMENT, UNKNOWN, asked, failed, unary};

/// gRPC's code for a method that is not there.
const UNIMPLEMENTED: u32 = 12;
/// The share of a limit from which on it is nearly used up.
const NEAR: f64 = 0.8;
/// Most descriptors of one question.
const DESCRIPTORS: usize = 1_000;

/// A question that cannot be answered.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no rate limit configuration loaded")]
    NoLimits,
    #[error("rate limit domain must not be empty")]
    NoDomain,
    #[error("rate limit descriptor list must not be empty")]
    NoDescriptors,
    #[error("more than {DESCRIPTORS} descriptors")]
    TooMany,
    #[error("counting")]
    Redis(#[source] CountError),
}

/// `ShouldRateLimit`.
pub(super) async fn by_grpc(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    let Some(question) = asked::<proto::RateLimitRequest>(&body) else {
        return failed(INVALID_ARGUMENT, "the message is no RateLimitRequest");
    };
    match service.answer(&question).await {
        Ok(answer) => unary(&answer),
        Err(error) => failed(UNKNOWN, &chain(&error)),
    }
}

/// The same in JSON; the status says it, too.
pub(super) async fn by_json(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    let bad = |error: String| (StatusCode::BAD_REQUEST, error).into_response();
    let name = "envoy.service.ratelimit.v3.RateLimitRequest";
    let read = serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string());
    let read = read
        .and_then(|json| sagene_api::envoy::json::from_json(name, &json).map_err(|error| error.to_string()));
    let read = read.and_then(|bytes| {
        proto::RateLimitRequest::decode(bytes.as_slice()).map_err(|error| error.to_string())
    });
    let question = match read {
        Ok(question) => question,
        Err(problem) => return bad(problem),
    };
    match service.answer(&question).await {
        Err(error) => bad(chain(&error)),
        Ok(answer) => {
            let over = answer.overall_code() == Code::OverLimit;
            let status = if over { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
            (status, Json(shown(&answer))).into_response()
        }
    }
}

/// `grpc.health.v1.Health/Check`: serving.
pub(super) async fn health() -> Response {
    /// `HealthCheckResponse`, with the status SERVING.
    #[derive(Clone, PartialEq, Message)]
    struct Health {
        #[prost(int32, tag = "1")]
        status: i32,
    }
    unary(&Health { status: 1 })
}

/// Any other method.
pub(super) async fn unimplemented() -> Response {
    failed(UNIMPLEMENTED, "unknown method")
}

/// What the debug port has.
pub(super) async fn debug_index() -> &'static str {
    "/rlconfig: print out the currently loaded configuration for debugging\n/stats: print out stats\n"
}

/// The limits in force.
pub(super) async fn shown_limits(State(service): State<Arc<Service>>) -> String {
    service.limits().map(|limits| limits.shown()).unwrap_or_default()
}

/// All counters.
pub(super) async fn shown_statistics(State(service): State<Arc<Service>>) -> String {
    service.statistics.shown()
}

fn chain(error: &AskError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl Service {
    async fn answer(&self, question: &proto::RateLimitRequest) -> Result<proto::RateLimitResponse, AskError> {
        let answer = self.judge(question).await;
        if let Err(error) = &answer {
            let kind = if matches!(error, AskError::Redis(_)) { "redis_error" } else { "service_error" };
            self.statistics.add(format!("ratelimit.service.call.should_rate_limit.{kind}"), 1);
            log::debug(|| format!("caught error during call: {}", chain(error)));
        }
        answer
    }

    async fn judge(&self, question: &proto::RateLimitRequest) -> Result<proto::RateLimitResponse, AskError> {
        let domain = question.domain.as_str();
        let descriptors = question.descriptors.as_slice();
        match descriptors.len() {
            _ if domain.is_empty() => return Err(AskError::NoDomain),
            0 => return Err(AskError::NoDescriptors),
            count if count > DESCRIPTORS => return Err(AskError::TooMany),
            _ => {}
        }
        let limits = self.limits().ok_or(AskError::NoLimits)?;
        let found = |descriptor| {
            log::debug(|| format!("got descriptor: {}", written(descriptor)));
            limits.of(domain, descriptor)
        };
        let mut held: Vec<Option<Limit>> = descriptors.iter().map(found).collect();
        drop_replaced(&mut held);
        let now = now();
        let counted = held.iter().zip(descriptors).filter_map(|(limit, descriptor)| {
            let limit = limit.as_ref().filter(|limit| !limit.unlimited)?;
            let key = self.counter.key(domain, descriptor, limit, now);
            Some(Hit { key, by: hits(question, descriptor), seconds: limit.seconds() })
        });
        let counted: Vec<Hit> = counted.collect();
        let numbers = self.counter.count(&counted).await.map_err(AskError::Redis)?;
        for (hit, number) in counted.iter().zip(&numbers) {
            log::debug(|| format!("cache key: {} current: {number}", hit.key));
        }
        let mut numbers = counted.iter().zip(numbers);
        let statuses: Vec<DescriptorStatus> = held
            .iter()
            .map(|limit| match limit {
                None => DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() },
                Some(limit) if limit.unlimited => self.status(limit, 1, 0, now),
                Some(limit) => {
                    let (by, number) = numbers.next().map_or((0, 0), |(hit, number)| (hit.by, number));
                    self.status(limit, by, number, now)
                }
            })
            .collect();
        let over = statuses.iter().any(|status| status.code() == Code::OverLimit);
        let overall = if over && !self.settings.shadow_mode { Code::OverLimit } else { Code::Ok };
        Ok(proto::RateLimitResponse { overall_code: overall.into(), statuses, ..Default::default() })
    }

    /// What a limit says, at this number after these hits.
    fn status(&self, limit: &Limit, by: i64, number: i64, now: u64) -> DescriptorStatus {
        let count = |what: &str, by: i64| {
            let by = u64::try_from(by).unwrap_or(0);
            self.statistics.add(format!("ratelimit.service.rate_limit.{}.{what}", limit.full_key), by);
        };
        count("total_hits", by);
        if limit.unlimited {
            count("within_limit", by);
            return DescriptorStatus {
                code: Code::Ok.into(),
                limit_remaining: u32::MAX,
                ..DescriptorStatus::default()
            };
        }
        let most = i64::from(limit.requests_per_unit);
        let over = number > most;
        if over {
            count("over_limit", (number - most).min(by));
        } else {
            count("within_limit", by);
            if number as f64 > (most as f64 * NEAR).floor() {
                count("near_limit", by);
            }
        }
        if over && limit.shadow_mode {
            count("shadow_mode", by);
        }
        let left = limit.seconds() - now % limit.seconds();
        DescriptorStatus {
            code: if over && !limit.shadow_mode { Code::OverLimit } else { Code::Ok }.into(),
            current_limit: Some(RateLimit {
                name: limit.name.clone(),
                requests_per_unit: limit.requests_per_unit,
                unit: limit.unit.into(),
            }),
            limit_remaining: u32::try_from((most - number).max(0)).unwrap_or(u32::MAX),
            duration_until_reset: Some(Duration { seconds: i64::try_from(left).unwrap_or(0), nanos: 0 }),
            quota: None,
        }
    }
}

/// Limits whose names another one of the same question replaces do not count.
fn drop_replaced(held: &mut [Option<Limit>]) {
    let replaced: Vec<String> = held.iter().flatten().flat_map(|limit| limit.replaces.clone()).collect();
    for limit in held {
        limit.take_if(|limit| replaced.contains(&limit.name));
    }
}

/// How often the request counts: as the descriptor says, else as the question says, else once.
fn hits(question: &proto::RateLimitRequest, descriptor: &RateLimitDescriptor) -> i64 {
    let given = descriptor.hits_addend.as_ref().map(|wrapped| wrapped.value);
    let number = given.unwrap_or_else(|| u64::from(question.hits_addend.max(1)));
    let number = i64::try_from(number.min(u64::from(u32::MAX))).unwrap_or(1);
    if descriptor.is_negative_hits { -number } else { number }
}

fn written(descriptor: &RateLimitDescriptor) -> String {
    let entries = descriptor.entries.iter().map(|entry| format!("({}={})", entry.key, entry.value));
    entries.collect::<Vec<_>>().join(",")
}

/// An answer as JSON.
fn shown(answer: &proto::RateLimitResponse) -> Value {
    let status = |status: &DescriptorStatus| {
        let mut shown = json!({"code": status.code().as_str_name()});
        if let Some(limit) = &status.current_limit {
            let limit = json!({"name": limit.name, "requestsPerUnit": limit.requests_per_unit,
                "unit": limit.unit().as_str_name()});
            shown["currentLimit"] = without_empty(limit);
        }
        shown["limitRemaining"] = status.limit_remaining.into();
        if let Some(left) = &status.duration_until_reset {
            shown["durationUntilReset"] = format!("{}s", left.seconds).into();
        }
        without_empty(shown)
    };
    let statuses: Vec<Value> = answer.statuses.iter().map(status).collect();
    json!({"overallCode": answer.overall_code().as_str_name(), "statuses": statuses})
}

/// Zero and the empty text are left out, as JSON of protobuf has it.
fn without_empty(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| *value != json!("") && *value != json!(0));
    }
    value
}
