//! `envoy.filters.network.connection_limit`: so many connections of a filter chain at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Refused;
use crate::config::proto::{self, network::connection_limit::v3 as filter};
use crate::config::{FieldError, refuse_if};
use crate::stats::{Counter, Registry};

/// Longest time that a refused client waits.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// A compiled `ConnectionLimit`.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    stat_prefix: Box<str>,
    most: u64,
    delay: Duration,
    enabled: bool,
    open: AtomicU64,
    counters: OnceLock<Counters>,
}

#[derive(Debug)]
struct Counters {
    active: Arc<Counter>,
    limited: Arc<Counter>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limit: Arc<ConnectionLimit>,
    active: Arc<Counter>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limit.open.fetch_sub(1, Ordering::Relaxed);
        self.active.sub(1);
    }
}

impl ConnectionLimit {
    pub(super) fn compile(from: &filter::ConnectionLimit) -> Result<Self, FieldError> {
        refuse_if(from.stat_prefix.is_empty(), "stat_prefix", "is missing")?;
        let most = from.max_connections.as_ref().map_or(0, |most| most.value);
        refuse_if(most == 0, "max_connections", "is missing; give a number above 0")?;
        Ok(Self {
            stat_prefix: from.stat_prefix.as_str().into(),
            most,
            delay: from.delay.as_ref().map(proto::duration).unwrap_or_default().min(LONGEST_DELAY),
            enabled: proto::flag(from.runtime_enabled.as_ref()),
            open: AtomicU64::new(0),
            counters: OnceLock::new(),
        })
    }

    /// A place for one more; none is needed while the filter is off.
    pub(super) fn take(self: &Arc<Self>, registry: &Registry) -> Result<Option<Place>, Refused> {
        if !self.enabled {
            return Ok(None);
        }
        let counters = self.counters.get_or_init(|| Counters {
            active: registry.gauge(&format!("connection_limit.{}.active_connections", self.stat_prefix)),
            limited: registry.counter(&format!("connection_limit.{}.limited_connections", self.stat_prefix)),
        });
        let one_more = |open: u64| (open < self.most).then_some(open + 1);
        if self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            counters.limited.add(1);
            return Err(Refused { delay: self.delay });
        }
        counters.active.add(1);
        Ok(Some(Place { limit: self.clone(), active: counters.active.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_free_again_when_connections_end() {
        let registry = Registry::default();
        let from = filter::ConnectionLimit {
            stat_prefix: "edge".to_owned(),
            max_connections: Some(envoy_types::pb::google::protobuf::UInt64Value { value: 2 }),
            ..filter::ConnectionLimit::default()
        };
        let limit = Arc::new(ConnectionLimit::compile(&from).expect("compiled"));
        let first = limit.take(&registry).expect("a place");
        let second = limit.take(&registry).expect("a place");
        assert_eq!(limit.take(&registry).expect_err("full"), Refused { delay: Duration::ZERO });
        drop(first);
        let third = limit.take(&registry).expect("a place");
        let told = |name: &str| {
            registry.samples().into_iter().find(|each| each.name.ends_with(name)).map(|each| each.value)
        };
        assert_eq!(told("edge.limited_connections"), Some(crate::stats::SampleValue::Counter(1)));
        assert_eq!(told("edge.active_connections"), Some(crate::stats::SampleValue::Gauge(2)));
        drop((second, third));
        let empty = filter::ConnectionLimit { max_connections: None, ..from };
        assert_eq!(ConnectionLimit::compile(&empty).expect_err("refused").path, "max_connections");
    }
}
