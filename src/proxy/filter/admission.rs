//! Network filters that decide whether a connection is served at all, before anything is read of it.

mod connection_limit;
mod local_ratelimit;

use std::sync::Arc;
use std::time::Duration;

use crate::config::proto::{self, Any};
use crate::config::{FieldError, Within};
use crate::stats::Registry;

use connection_limit::{ConnectionLimit, Place};
use local_ratelimit::ConnectionRate;

/// A compiled filter.
#[derive(Debug)]
pub(crate) enum Admission {
    /// `envoy.filters.network.connection_limit`
    Limit(Arc<ConnectionLimit>),
    /// `envoy.filters.network.local_ratelimit`
    Rate(ConnectionRate),
}

/// A connection that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// How long the client waits until it hears of it.
    pub(crate) delay: Duration,
}

impl Admission {
    /// `None` = the message is of no such filter.
    pub(crate) fn compile(any: &Any) -> Option<Result<Self, FieldError>> {
        let compiled = match proto::short_type(&any.type_url) {
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit" => Self::limit(any),
            "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit" => Self::rate(any),
            _ => return None,
        };
        Some(compiled.within("typed_config"))
    }

    fn limit(any: &Any) -> Result<Self, FieldError> {
        Ok(Self::Limit(Arc::new(ConnectionLimit::compile(&proto::decode(any)?)?)))
    }

    fn rate(any: &Any) -> Result<Self, FieldError> {
        Ok(Self::Rate(ConnectionRate::compile(&proto::decode(any)?)?))
    }
}

/// Asks the filters in order. What comes back is held for as long as the connection lives.
pub(crate) fn admit(filters: &[Admission], registry: &Registry) -> Result<Vec<Place>, Refused> {
    let mut places = Vec::new();
    for filter in filters {
        match filter {
            Admission::Limit(limit) => places.extend(limit.take(registry)?),
            Admission::Rate(rate) => rate.take(registry)?,
        }
    }
    Ok(places)
}
