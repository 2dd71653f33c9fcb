//! The agent's own metrics, `istio_agent_*`.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dns::DnsStatistics;

/// What the agent counts.
#[derive(Debug)]
pub(crate) struct AgentMetrics {
    started: Instant,
    /// Milliseconds from start to ready; 0 while not ready.
    startup_millis: AtomicU64,
    scrapes: AtomicU64,
    scrape_failures: AtomicU64,
    discovery_requests: AtomicU64,
    discovery_responses: AtomicU64,
    discovery_failures: AtomicU64,
    certificate_requests: AtomicU64,
    certificate_failures: AtomicU64,
    /// Seconds since the epoch; 0 without a certificate.
    certificate_expiry: AtomicU64,
    dns: Arc<DnsStatistics>,
}

impl AgentMetrics {
    pub(crate) fn new(dns: Arc<DnsStatistics>) -> Self {
        Self {
            started: Instant::now(),
            startup_millis: AtomicU64::default(),
            scrapes: AtomicU64::default(),
            scrape_failures: AtomicU64::default(),
            discovery_requests: AtomicU64::default(),
            discovery_responses: AtomicU64::default(),
            discovery_failures: AtomicU64::default(),
            certificate_requests: AtomicU64::default(),
            certificate_failures: AtomicU64::default(),
            certificate_expiry: AtomicU64::default(),
            dns,
        }
    }

    /// Time since start.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The proxy became ready; only the first time counts.
    pub(crate) fn ready(&self) -> Duration {
        let elapsed = self.started.elapsed();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let _ = self.startup_millis.compare_exchange(0, millis, Relaxed, Relaxed);
        elapsed
    }

    pub(crate) fn scrape(&self) {
        self.scrapes.fetch_add(1, Relaxed);
    }

    pub(crate) fn scrape_failure(&self) {
        self.scrape_failures.fetch_add(1, Relaxed);
    }

    /// A discovery response was taken and answered.
    pub(crate) fn discovery_response(&self) {
        self.discovery_responses.fetch_add(1, Relaxed);
        self.discovery_requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn discovery_failure(&self) {
        self.discovery_failures.fetch_add(1, Relaxed);
    }

    /// The outcome of a certificate request: when the new certificate ends, or none.
    pub(crate) fn certificate(&self, expiry: Option<SystemTime>) {
        self.certificate_requests.fetch_add(1, Relaxed);
        match expiry.and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok()) {
            Some(expiry) => self.certificate_expiry.store(expiry.as_secs(), Relaxed),
            None => {
                self.certificate_failures.fetch_add(1, Relaxed);
            }
        }
    }

    /// Prometheus text.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let counters = [
            ("scrapes_total", "The total number of scrapes.", self.scrapes.load(Relaxed)),
            (
                "xds_proxy_requests",
                "The total number of xDS requests sent.",
                self.discovery_requests.load(Relaxed),
            ),
            (
                "xds_proxy_responses",
                "The total number of xDS responses received.",
                self.discovery_responses.load(Relaxed),
            ),
            (
                "istiod_connection_failures",
                "The total number of connection failures to Istiod.",
                self.discovery_failures.load(Relaxed),
            ),
            ("dns_requests_total", "Total number of DNS requests.", self.dns.requests()),
            (
                "dns_upstream_requests_total",
                "Total number of DNS requests forwarded to upstream.",
                self.dns.upstream_requests(),
            ),
            (
                "dns_upstream_failures_total",
                "Total number of DNS failures from upstream.",
                self.dns.upstream_failures(),
            ),
        ];
        for (name, help, value) in counters {
            metric(&mut text, "counter", name, help, "", value);
        }
        let failures = self.scrape_failures.load(Relaxed);
        metric(
            &mut text,
            "counter",
            "scrape_failures_total",
            "The total number of failed scrapes.",
            "{type=\"application\"}",
            failures,
        );
        let requests = self.certificate_requests.load(Relaxed);
        let outgoing = "{request_type=\"csr\"}";
        metric(
            &mut text,
            "counter",
            "num_outgoing_requests",
            "Number of total outgoing requests.",
            outgoing,
            requests,
        );
        let failures = self.certificate_failures.load(Relaxed);
        metric(
            &mut text,
            "counter",
            "num_failed_outgoing_requests",
            "Number of failed outgoing requests.",
            outgoing,
            failures,
        );
        self.render_gauges(&mut text);
        text
    }

    fn render_gauges(&self, text: &mut String) {
        let startup = self.startup_millis.load(Relaxed);
        if startup > 0 {
            #[allow(clippy::cast_precision_loss)] // milliseconds of a start
            let seconds = startup as f64 / 1000.0;
            let help = "The time from the process starting to being marked ready.";
            metric(text, "gauge", "startup_duration_seconds", help, "", seconds);
        }
        let expiry = self.certificate_expiry.load(Relaxed);
        if expiry > 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
            let left = i64::try_from(expiry).unwrap_or(i64::MAX) - i64::try_from(now).unwrap_or(0);
            let help = "The time remaining, in seconds, before the certificate chain will expire.";
            metric(text, "gauge", "cert_expiry_seconds", help, "{resource_name=\"default\"}", left);
        }
    }
}

fn metric(
    text: &mut String,
    kind: &str,
    name: &str,
    help: &str,
    labels: &str,
    value: impl std::fmt::Display,
) {
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# HELP istio_agent_{name} {help}\n# TYPE istio_agent_{name} {kind}\nistio_agent_{name}{labels} {value}\n"
    );
}
