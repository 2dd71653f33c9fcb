//! The statistics of all workers, by Envoy's stat names.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::istio::IstioShard;
use crate::config::Thresholds;
use crate::upstream::outlier::HostHealth;

/// A number that workers count in.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($counter:ident),* } gauges { $($gauge:ident),* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name { $(pub(crate) $counter: Counter,)* $(pub(crate) $gauge: Counter,)* }

        impl $name {
            /// Every counter, then every gauge, by name.
            #[allow(dead_code, reason = "one of the sets is read by field")]
            pub(crate) fn all(&self) -> Vec<(&'static str, u64, bool)> {
                vec![$((stringify!($counter), self.$counter.get(), false),)* $((stringify!($gauge), self.$gauge.get(), true),)*]
            }

            /// Sets the counters to zero.
            fn reset(&self) {
                $(self.$counter.0.store(0, Ordering::Relaxed);)*
            }
        }
    };
}

counters!(
    /// Statistics of a cluster.
    ClusterCounters {
        upstream_cx_total, upstream_cx_http1_total, upstream_cx_http2_total, upstream_cx_connect_fail, upstream_rq_total,
        upstream_rq_2xx, upstream_rq_3xx, upstream_rq_4xx, upstream_rq_5xx, upstream_rq_timeout, upstream_rq_retry,
        upstream_rq_per_try_timeout, upstream_rq_pending_overflow, upstream_cx_overflow, upstream_cx_none_healthy,
        upstream_cx_connect_timeout, upstream_rq_retry_overflow, upstream_rq_retry_limit_exceeded, upstream_rq_pending_total, upstream_rq_pending_failure_eject,
        outlier_detection_ejections_enforced_total, outlier_detection_ejections_overflow
    } gauges { upstream_cx_active, upstream_rq_active, upstream_rq_pending_active, upstream_rq_retry_active }
);

impl ClusterCounters {
    /// Counts a response by its hundred.
    pub(crate) fn count_status(&self, status: u16) {
        match status {
            200..300 => self.upstream_rq_2xx.add(1),
            300..400 => self.upstream_rq_3xx.add(1),
            400..500 => self.upstream_rq_4xx.add(1),
            500..600 => self.upstream_rq_5xx.add(1),
            _ => {}
        }
    }
}

counters!(
    /// Statistics of an endpoint.
    HostCounters { cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout } gauges { cx_active, rq_active }
);
counters!(
    /// Statistics of an HTTP connection manager, or of a listener.
    HttpCounters {
        downstream_cx_total, downstream_rq_total, downstream_rq_2xx, downstream_rq_3xx, downstream_rq_4xx, downstream_rq_5xx,
        rbac_allowed, rbac_denied, rbac_shadow_allowed, rbac_shadow_denied, ssl_handshake, ssl_connection_error, no_filter_chain_match, jwt_authn_allowed, jwt_authn_denied
    } gauges { downstream_cx_active, downstream_rq_active }
);

/// One statistic at one moment, under Envoy's name (`cluster.outbound|9080||reviews….upstream_cx_total`).
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Full dotted name.
    pub name: String,
    /// Its value.
    pub value: SampleValue,
}

/// The value of a statistic.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// Cumulative buckets: upper bound and count up to it; then sum and count of everything.
    Histogram {
        /// Upper bound and how many values lay at or below it.
        buckets: Vec<(f64, u64)>,
        /// Sum of all values.
        sum: f64,
        /// How many values.
        count: u64,
    },
}

/// Counters of one endpoint of one cluster, summed over the workers (`/clusters`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointStats {
    /// The endpoint.
    pub address: SocketAddr,
    /// Open connections.
    pub cx_active: u64,
    /// Failed connection attempts.
    pub cx_connect_fail: u64,
    /// Connections opened.
    pub cx_total: u64,
    /// Requests in flight.
    pub rq_active: u64,
    /// Requests that ended with 5xx or a local failure.
    pub rq_error: u64,
    /// Requests that ended otherwise.
    pub rq_success: u64,
    /// Requests that timed out.
    pub rq_timeout: u64,
    /// Requests sent.
    pub rq_total: u64,
    /// Outlier detection keeps traffic away from it now.
    pub ejected: bool,
}

/// All statistics of the process.
#[derive(Debug, Default)]
pub struct Registry {
    clusters: Mutex<BTreeMap<Arc<str>, Arc<ClusterCounters>>>,
    hosts: Mutex<HashMap<(Arc<str>, SocketAddr), Arc<HostCounters>>>,
    health: Mutex<HashMap<(Arc<str>, SocketAddr), Arc<HostHealth>>>,
    http: Mutex<BTreeMap<String, Arc<HttpCounters>>>,
    listeners: Mutex<BTreeMap<String, Arc<HttpCounters>>>,
    named: Mutex<BTreeMap<String, Arc<Counter>>>,
    gauges: Mutex<BTreeMap<String, Arc<Counter>>>,
    shards: Mutex<Vec<Arc<Mutex<IstioShard>>>>,
    limits: Mutex<HashMap<Arc<str>, Thresholds>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    pub(crate) fn cluster(&self, name: &Arc<str>) -> Arc<ClusterCounters> {
        lock(&self.clusters).entry(name.clone()).or_default().clone()
    }

    /// The circuit breakers of a cluster, to be told beside its statistics.
    pub(crate) fn set_limits(&self, name: &Arc<str>, limits: Thresholds) {
        lock(&self.limits).insert(name.clone(), limits);
    }

    /// Whether each circuit breaker of a cluster is open (1), and how much is left until it is.
    fn breakers(&self, name: &Arc<str>, counters: &ClusterCounters) -> Vec<(&'static str, u64, bool)> {
        let Some(limits) = lock(&self.limits).get(name).copied() else { return Vec::new() };
        let states = [
            ("cx_open", "remaining_cx", limits.connections, &counters.upstream_cx_active),
            ("rq_pending_open", "remaining_pending", limits.pending, &counters.upstream_rq_pending_active),
            ("rq_open", "remaining_rq", limits.requests, &counters.upstream_rq_active),
            ("rq_retry_open", "remaining_retries", limits.retries, &counters.upstream_rq_retry_active),
        ];
        let each = states.into_iter().flat_map(|(open, left, limit, active)| {
            let rest = u64::from(limit).saturating_sub(active.get());
            [(open, u64::from(rest == 0), true), (left, rest, true)]
        });
        each.collect()
    }

    pub(crate) fn host(&self, cluster: &Arc<str>, address: SocketAddr) -> Arc<HostCounters> {
        lock(&self.hosts).entry((cluster.clone(), address)).or_default().clone()
    }

    /// What all workers know of an endpoint's failures.
    pub(crate) fn health(&self, cluster: &Arc<str>, address: SocketAddr) -> Arc<HostHealth> {
        lock(&self.health).entry((cluster.clone(), address)).or_default().clone()
    }

    /// Forgets endpoints that no worker has any more, and clusters that are gone: addresses come and go for as long as the process runs.
    pub(crate) fn forget_unused(&self) {
        lock(&self.hosts).retain(|_, counters| Arc::strong_count(counters) > 1);
        lock(&self.health).retain(|_, health| Arc::strong_count(health) > 1);
        let mut clusters = lock(&self.clusters);
        clusters.retain(|_, counters| Arc::strong_count(counters) > 1);
        lock(&self.limits).retain(|name, _| clusters.contains_key(name));
    }

    pub(crate) fn http(&self, prefix: &str) -> Arc<HttpCounters> {
        lock(&self.http).entry(prefix.to_owned()).or_default().clone()
    }

    pub(crate) fn listener(&self, address: &str) -> Arc<HttpCounters> {
        lock(&self.listeners).entry(address.to_owned()).or_default().clone()
    }

    /// A counter of a filter, under its full name.
    pub(crate) fn counter(&self, name: &str) -> Arc<Counter> {
        lock(&self.named).entry(name.to_owned()).or_default().clone()
    }

    /// A number of a filter that goes up and down, under its full name.
    pub(crate) fn gauge(&self, name: &str) -> Arc<Counter> {
        lock(&self.gauges).entry(name.to_owned()).or_default().clone()
    }

    /// A shard for a worker.
    pub(crate) fn shard(&self) -> Arc<Mutex<IstioShard>> {
        let shard = Arc::<Mutex<IstioShard>>::default();
        lock(&self.shards).push(shard.clone());
        shard
    }

    pub(crate) fn istio(&self) -> IstioShard {
        let mut merged = IstioShard::default();
        let shards = lock(&self.shards).clone();
        for shard in shards {
            merged.merge(&lock(&shard));
        }
        merged
    }

    /// How many endpoints of each cluster outlier detection keeps traffic away from now.
    fn ejected(&self) -> HashMap<Arc<str>, u64> {
        let mut ejected = HashMap::new();
        for ((cluster, _), health) in &*lock(&self.health) {
            if health.is_ejected() {
                *ejected.entry(cluster.clone()).or_default() += 1;
            }
        }
        ejected
    }

    /// Every statistic under Envoy's names, sorted (`/stats`).
    pub fn samples(&self) -> Vec<Sample> {
        let mut list = Vec::new();
        let mut add = |prefix: String, values: Vec<(&'static str, u64, bool)>| {
            for (name, value, gauge) in values {
                let of_filter =
                    ["rbac", "jwt_authn", "outlier_detection", "ssl"].into_iter().find_map(|filter| {
                        let rest = name.strip_prefix(filter)?.strip_prefix('_')?;
                        Some(format!("{prefix}.{filter}.{rest}"))
                    });
                let name = of_filter.unwrap_or_else(|| format!("{prefix}.{name}"));
                list.push(Sample {
                    name,
                    value: if gauge { SampleValue::Gauge(value) } else { SampleValue::Counter(value) },
                });
            }
        };
        let ejected = self.ejected();
        for (name, counters) in &*lock(&self.clusters) {
            add(format!("cluster.{name}"), counters.all());
            let active = ejected.get(name).copied().unwrap_or_default();
            add(format!("cluster.{name}"), vec![("outlier_detection_ejections_active", active, true)]);
            add(format!("cluster.{name}.circuit_breakers.default"), self.breakers(name, counters));
        }
        for (name, counters) in &*lock(&self.http) {
            add(format!("http.{}", name.trim_end_matches(';')), counters.all());
        }
        for (name, counters) in &*lock(&self.listeners) {
            add(format!("listener.{}", name.replace(':', "_")), counters.all());
        }
        list.extend(lock(&self.named).iter().map(|(name, counter)| Sample {
            name: name.clone(),
            value: SampleValue::Counter(counter.get()),
        }));
        list.extend(
            lock(&self.gauges)
                .iter()
                .map(|(name, gauge)| Sample { name: name.clone(), value: SampleValue::Gauge(gauge.get()) }),
        );
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Counters of the endpoints of one cluster (`/clusters`).
    pub fn endpoints(&self, cluster: &str) -> Vec<EndpointStats> {
        let hosts = lock(&self.hosts);
        let health = lock(&self.health);
        let mine = hosts.iter().filter(|((name, _), _)| &**name == cluster);
        let mut list: Vec<_> = mine
            .map(|(key @ (_, address), c)| EndpointStats {
                ejected: health.get(key).is_some_and(|health| health.is_ejected()),
                address: *address,
                cx_active: c.cx_active.get(),
                cx_connect_fail: c.cx_connect_fail.get(),
                cx_total: c.cx_total.get(),
                rq_active: c.rq_active.get(),
                rq_error: c.rq_error.get(),
                rq_success: c.rq_success.get(),
                rq_timeout: c.rq_timeout.get(),
                rq_total: c.rq_total.get(),
            })
            .collect();
        list.sort_by_key(|each| each.address);
        list
    }

    /// Sets every counter to zero (`/reset_counters`).
    pub fn reset_counters(&self) {
        lock(&self.clusters).values().for_each(|c| c.reset());
        lock(&self.hosts).values().for_each(|c| c.reset());
        lock(&self.http).values().for_each(|c| c.reset());
        lock(&self.listeners).values().for_each(|c| c.reset());
        lock(&self.named).values().for_each(|c| c.0.store(0, Ordering::Relaxed));
    }
}
