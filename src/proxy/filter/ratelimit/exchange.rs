//! The filter at work on a request: descriptors made, service asked, its word carried out.

use envoy_types::pb::envoy::service::ratelimit::v3 as service;
use service::rate_limit_response::Code;

use super::{Applies, RateLimit, RateLimitOverride, headers};
use crate::config::Descriptor;
use crate::config::proto::rate_limit as common;
use crate::filter::grpc_service::{answered, header_pair, struct_json};
use crate::filter::rate_limit_descriptors::HostRules;
use crate::http::call::call;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;

/// What is called.
const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// gRPC's code for a quota that is used up.
const RESOURCE_EXHAUSTED: &[u8] = b"8";

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

impl Exchange {
    /// Asks the service. `false` = an answer of our own is ready.
    pub(crate) async fn limit_rate_globally(
        &mut self,
        limit: &RateLimit,
        special: Option<&RateLimitOverride>,
    ) -> bool {
        let worker = self.scene.worker.clone();
        if !limit.enabled.takes(worker.random()) || !self.is_meant(limit.applies_to) {
            return true;
        }
        let Some(cluster) = self.routed_cluster().filter(|name| worker.pool(name).is_some()) else {
            return true;
        };
        let descriptors = self.limited_by(limit, special);
        if descriptors.is_empty() {
            return true;
        }
        let domain = special.and_then(|special| special.domain.as_ref()).unwrap_or(&limit.domain);
        let message = service::RateLimitRequest {
            domain: domain.as_ref().to_owned(),
            descriptors: descriptors.into_iter().map(wire).collect(),
            hits_addend: 0,
        };
        let answer = call(&worker, limit.service.question(SHOULD_RATE_LIMIT, &message)).await;
        let said = match &answer {
            Ok(answer) => answered::<service::RateLimitResponse>(answer),
            Err(error) => {
                tracing::debug!(%error, "the rate limit service gave no answer");
                None
            }
        };
        let count = |name: &str| {
            worker
                .registry
                .counter(&format!("cluster.{cluster}.ratelimit.{}{name}", limit.stat_prefix))
                .add(1);
        };
        match said {
            Some(said) => self.follow(limit, said, count),
            None => self.without_answer(limit, count),
        }
    }

    /// Whether the filter asks about requests like this one.
    fn is_meant(&self, applies: Applies) -> bool {
        let internal = self.request.headers.get(b"x-envoy-internal") == Some(b"true");
        match applies {
            Applies::Both => true,
            Applies::Internal => internal,
            Applies::External => !internal,
        }
    }

    /// Rules of `typed_per_filter_config` win over those of the filter, and these over the route's.
    fn limited_by(&self, limit: &RateLimit, special: Option<&RateLimitOverride>) -> Vec<Descriptor> {
        match special {
            Some(special) if !special.rules.is_empty() => self.descriptors(special.rules.iter()),
            _ if !limit.rules.is_empty() => self.descriptors(limit.rules.iter()),
            _ => {
                let host = special.map_or(HostRules::default(), |special| special.host);
                self.route_descriptors(limit.stage, host)
            }
        }
    }

    fn follow(&mut self, limit: &RateLimit, said: service::RateLimitResponse, count: impl Fn(&str)) -> bool {
        let over = said.overall_code() == Code::OverLimit;
        count(if over { "over_limit" } else { "ok" });
        if let Some(serde_json::Value::Object(fields)) = said.dynamic_metadata.map(struct_json) {
            for (key, value) in fields {
                self.info.metadata.get_or_insert_default().set(&limit.metadata_namespace, &key, value);
            }
        }
        let mut told: Pairs = said.response_headers_to_add.into_iter().map(header_pair).collect();
        if over && limit.marks {
            told.push((b"x-envoy-ratelimited".to_vec(), b"true".to_vec()));
        }
        if limit.x_ratelimit_headers {
            let headers = headers::x_ratelimit(&said.statuses).into_iter().flatten();
            told.extend(headers.map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes())));
        }
        if !over || !limit.enforced.takes(self.scene.worker.random()) {
            self.rate_limit_headers.extend(told);
            for (name, value) in said.request_headers_to_add.into_iter().map(header_pair) {
                self.request.headers.append(&name, &value);
            }
            return true;
        }
        let asks_for_retry = limit.retry_after && limit.status == 429;
        if asks_for_retry
            && !told.iter().any(|(name, _)| name == b"retry-after")
            && let Some(seconds) = headers::retry_after(&said.statuses)
        {
            told.push((b"retry-after".to_vec(), seconds.to_string().into_bytes()));
        }
        self.refuse_over_limit(limit, &told, &said.raw_body);
        false
    }

    fn refuse_over_limit(&mut self, limit: &RateLimit, told: &Pairs, body: &[u8]) {
        for (name, value) in told {
            if name != b"content-length" {
                self.response.headers.append(name, value);
            }
        }
        self.info.details = "request_rate_limited".into();
        self.own(limit.status, body, Flags::RATE_LIMITED);
        if self.grpc && limit.resource_exhausted {
            self.response.headers.set(b"grpc-status", RESOURCE_EXHAUSTED);
        }
        self.mutate_response(&limit.response_headers);
    }

    fn without_answer(&mut self, limit: &RateLimit, count: impl Fn(&str)) -> bool {
        count("error");
        if !limit.deny_on_failure.takes(self.scene.worker.random()) {
            count("failure_mode_allowed");
            return true;
        }
        self.info.details = "rate_limiter_error".into();
        self.own(limit.status_on_error, b"", Flags::RATE_LIMIT_SERVICE_ERROR);
        false
    }

    /// Tells the client what the service wants it to know.
    pub(crate) fn tell_global_rate_limit(&mut self) {
        for (name, value) in std::mem::take(&mut self.rate_limit_headers) {
            self.response.headers.append(&name, &value);
        }
    }
}

/// A descriptor as it goes to the service.
fn wire(from: Descriptor) -> common::RateLimitDescriptor {
    let entries = from.entries.into_iter();
    let hits = from.hits;
    common::RateLimitDescriptor {
        entries: entries.map(|(key, value)| common::rate_limit_descriptor::Entry { key, value }).collect(),
        limit: from.limit.map(|limit| common::rate_limit_descriptor::RateLimitOverride {
            requests_per_unit: limit.requests_per_unit,
            unit: limit.unit,
        }),
        hits_addend: hits.map(|hits| envoy_types::pb::google::protobuf::UInt64Value { value: hits.number }),
        is_negative_hits: hits.is_some_and(|hits| hits.negative),
    }
}
