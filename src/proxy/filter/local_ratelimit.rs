//! `envoy.filters.http.local_ratelimit`: requests beyond what token buckets allow are answered with 429.

mod exchange;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::rate_limit_descriptors::HostRules;
use super::token_bucket::{BucketSettings, TokenBucket};
use crate::config::proto::{self, http::local_ratelimit::v3 as proto_limit};
use crate::config::{
    Descriptor, Entries, FieldError, Fraction, Mutation, RateLimitRule, RulePlace, Within, compile_added,
    refuse_if,
};
use crate::stats::{Counter, Registry};

/// Values that a descriptor without a value of its own keeps buckets for, where nothing else is said.
const DYNAMIC_DESCRIPTORS: u32 = 20;

/// A compiled `LocalRateLimit`.
#[derive(Debug)]
pub(crate) struct LocalRateLimit {
    stat_prefix: String,
    status: u16,
    bucket: Option<TokenBucket>,
    enabled: Fraction,
    enforced: Fraction,
    not_enforced_headers: Vec<Mutation>,
    response_headers: Vec<Mutation>,
    descriptors: Vec<Limited>,
    /// Rules of the filter itself; where there are none, those of the route count.
    rules: Vec<RateLimitRule>,
    stage: u32,
    host: HostRules,
    x_ratelimit_headers: bool,
    retry_after: bool,
    always_default: bool,
    resource_exhausted: bool,
    counters: OnceLock<Counters>,
}

/// A descriptor with its bucket, or with one for each value where an entry leaves its value open.
#[derive(Debug)]
struct Limited {
    entries: Entries,
    settings: BucketSettings,
    bucket: Arc<TokenBucket>,
    by_value: Option<Mutex<HashMap<Vec<String>, Arc<TokenBucket>>>>,
    most_values: usize,
    shadow: bool,
}

#[derive(Debug)]
struct Counters {
    enabled: Arc<Counter>,
    ok: Arc<Counter>,
    rate_limited: Arc<Counter>,
    enforced: Arc<Counter>,
}

/// A decision: whether the request may go on, and what its bucket holds (most, left, seconds until there is one).
type Decision = (bool, Option<(u32, u32, u64)>);

impl LocalRateLimit {
    pub(crate) fn compile(from: &proto_limit::LocalRateLimit) -> Result<Self, FieldError> {
        refuse_if(
            from.local_rate_limit_per_downstream_connection,
            "local_rate_limit_per_downstream_connection",
            "buckets of single connections are not supported yet",
        )?;
        refuse_if(from.local_cluster_rate_limit.is_some(), "local_cluster_rate_limit", "is not supported")?;
        let bucket =
            from.token_bucket.as_ref().map(BucketSettings::compile).transpose().within("token_bucket")?;
        let most_values = proto::uint(from.max_dynamic_descriptors.as_ref(), DYNAMIC_DESCRIPTORS);
        let mut descriptors = Vec::with_capacity(from.descriptors.len());
        for (index, descriptor) in from.descriptors.iter().enumerate() {
            descriptors.push(Limited::compile(descriptor, most_values).within_item("descriptors", index)?);
        }
        // The scarcest first: it decides.
        descriptors.sort_by(|left, right| left.settings.rate().total_cmp(&right.settings.rate()));
        let none = || Fraction::compile(&Default::default());
        let status = from.status.as_ref().and_then(|status| u16::try_from(status.code).ok());
        Ok(Self {
            stat_prefix: from.stat_prefix.clone(),
            status: status.filter(|code| (400..600).contains(code)).unwrap_or(429),
            bucket: bucket.map(TokenBucket::new),
            enabled: from.filter_enabled.as_ref().map_or_else(none, Fraction::of_runtime),
            enforced: from.filter_enforced.as_ref().map_or_else(none, Fraction::of_runtime),
            not_enforced_headers: compile_added(
                &from.request_headers_to_add_when_not_enforced,
                "request_headers_to_add_when_not_enforced",
            )?,
            response_headers: compile_added(&from.response_headers_to_add, "response_headers_to_add")?,
            descriptors,
            rules: RateLimitRule::compile_all(&from.rate_limits, RulePlace::Filter)?,
            stage: from.stage,
            host: HostRules::compile(from.vh_rate_limits)?,
            x_ratelimit_headers: from.enable_x_ratelimit_headers != 0,
            retry_after: from.enable_retry_after_header,
            always_default: from.always_consume_default_token_bucket.as_ref().is_none_or(|b| b.value),
            resource_exhausted: from.rate_limited_as_resource_exhausted,
            counters: OnceLock::new(),
        })
    }

    fn counters(&self, registry: &Registry) -> &Counters {
        let of = |name: &str| registry.counter(&format!("{}.http_local_rate_limit.{name}", self.stat_prefix));
        self.counters.get_or_init(|| Counters {
            enabled: of("enabled"),
            ok: of("ok"),
            rate_limited: of("rate_limited"),
            enforced: of("enforced"),
        })
    }

    fn decide(&self, asked: &[Descriptor]) -> Decision {
        let mut matched = None;
        for limited in &self.descriptors {
            let Some(bucket) = asked.iter().find_map(|descriptor| limited.bucket_of(descriptor)) else {
                continue;
            };
            if !bucket.take() && !limited.shadow {
                return (false, Some(bucket.left()));
            }
            matched = matched.or(Some(bucket));
        }
        if matched.is_none() || self.always_default {
            match &self.bucket {
                Some(bucket) if !bucket.take() => return (false, Some(bucket.left())),
                Some(bucket) if matched.is_none() => return (true, Some(bucket.left())),
                _ => {}
            }
        }
        (true, matched.map(|bucket| bucket.left()))
    }
}

impl Limited {
    fn compile(
        from: &crate::config::proto::rate_limit::LocalRateLimitDescriptor,
        most_values: u32,
    ) -> Result<Self, FieldError> {
        let bucket =
            from.token_bucket.as_ref().ok_or_else(|| FieldError::new("token_bucket", "is missing"))?;
        let settings = BucketSettings::compile(bucket).within("token_bucket")?;
        let entries: Entries =
            from.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        refuse_if(entries.is_empty(), "entries", "is empty")?;
        let open = entries.iter().any(|(_, value)| value.is_empty());
        Ok(Self {
            entries,
            settings,
            bucket: Arc::new(TokenBucket::new(settings)),
            by_value: open.then(Mutex::default),
            most_values: most_values as usize,
            shadow: from.shadow_mode,
        })
    }

    /// The bucket that a request's descriptor counts in.
    fn bucket_of(&self, asked: &Descriptor) -> Option<Arc<TokenBucket>> {
        let asked = &asked.entries;
        let same = self.entries.len() == asked.len()
            && self.entries.iter().zip(asked).all(|((key, value), (asked_key, asked_value))| {
                key == asked_key && (value.is_empty() || value == asked_value)
            });
        if !same {
            return None;
        }
        let Some(by_value) = &self.by_value else { return Some(self.bucket.clone()) };
        let values: Vec<String> = asked.iter().map(|(_, value)| value.clone()).collect();
        let mut known = by_value.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&values) && known.len() >= self.most_values.max(1) {
            // The one that was idle longest is full again and loses nothing.
            let fullest = known.iter().max_by_key(|(_, bucket)| bucket.left().1).map(|(key, _)| key.clone());
            fullest.map(|key| known.remove(&key));
        }
        Some(known.entry(values).or_insert_with(|| Arc::new(TokenBucket::new(self.settings))).clone())
    }
}
