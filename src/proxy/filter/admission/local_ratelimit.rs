//! `envoy.filters.network.local_ratelimit`: so many new connections of a filter chain in a while.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Refused;
use crate::config::proto::{self, network::local_ratelimit::v3 as filter};
use crate::config::{FieldError, Within, refuse_fields, refuse_if};
use crate::filter::token_bucket::{BucketSettings, TokenBucket};
use crate::stats::{Counter, Registry};

/// A compiled `LocalRateLimit`.
#[derive(Debug)]
pub(crate) struct ConnectionRate {
    stat_prefix: Box<str>,
    bucket: TokenBucket,
    enabled: bool,
    limited: OnceLock<Arc<Counter>>,
}

impl ConnectionRate {
    pub(super) fn compile(from: &filter::LocalRateLimit) -> Result<Self, FieldError> {
        refuse_fields!(from, share_key);
        refuse_if(from.stat_prefix.is_empty(), "stat_prefix", "is missing")?;
        let bucket =
            from.token_bucket.as_ref().ok_or_else(|| FieldError::new("token_bucket", "is missing"))?;
        Ok(Self {
            stat_prefix: from.stat_prefix.as_str().into(),
            bucket: TokenBucket::new(BucketSettings::compile(bucket).within("token_bucket")?),
            enabled: proto::flag(from.runtime_enabled.as_ref()),
            limited: OnceLock::new(),
        })
    }

    /// Takes a token for a connection.
    pub(super) fn take(&self, registry: &Registry) -> Result<(), Refused> {
        let counter = || registry.counter(&format!("local_rate_limit.{}.rate_limited", self.stat_prefix));
        let limited = self.limited.get_or_init(counter);
        if !self.enabled || self.bucket.take() {
            return Ok(());
        }
        limited.add(1);
        Err(Refused { delay: Duration::ZERO })
    }
}
