//! Rules of `defaultConfig`: how proxies run.

use std::net::IpAddr;

use sagene_api::Duration;
use sagene_api::istio::mesh_config::ProxyConfig;
use serde_json::Value;

use super::super::Report;
use super::super::common::port;
use super::super::host::host_problem;
use crate::path::FieldPath;

/// Rules of `defaultConfig`, whatever of it was written.
pub(super) fn rules(report: &mut Report, path: &FieldPath, proxy: &ProxyConfig) {
    for (field, value, words) in [
        ("configPath", &proxy.config_path, "config path must be set"),
        ("binaryPath", &proxy.binary_path, "binary path must be set"),
        ("serviceCluster", &proxy.service_cluster, "service cluster must be set"),
    ] {
        report.require(!value.is_empty(), &path.key(field), words);
    }
    for (field, value) in [
        ("discoveryAddress", &proxy.discovery_address),
        ("zipkinAddress", &proxy.zipkin_address),
        ("statsdUdpAddress", &proxy.statsd_udp_address),
    ] {
        if !value.is_empty() {
            address(report, &path.key(field), value);
        }
    }
    for (field, service) in [
        ("envoyAccessLogService", &proxy.envoy_access_log_service),
        ("envoyMetricsService", &proxy.envoy_metrics_service),
    ] {
        if let Some(service) = service.as_ref().filter(|service| !service.address.is_empty()) {
            address(report, &path.key(field).key("address"), &service.address);
        }
    }
    if let Some(provider) = &proxy.private_key_provider {
        private_keys(report, &path.key("privateKeyProvider"), provider);
    }
    for (field, value) in [
        ("drainDuration", proxy.drain_duration),
        ("terminationDrainDuration", proxy.termination_drain_duration),
    ] {
        report.require(
            value > Duration::ZERO && value.subsec_nanos() == 0,
            &path.key(field),
            "drain durations must be positive and in whole seconds",
        );
    }
    port(report, &path.key("proxyAdminPort"), proxy.proxy_admin_port);
    port(report, &path.key("statusPort"), proxy.status_port);
    report.require(
        proxy.stat_name_length > 0,
        &path.key("statNameLength"),
        "stat name length must be positive",
    );
    report.require(
        proxy.concurrency.is_none_or(|threads| threads >= 0),
        &path.key("concurrency"),
        "concurrency must be greater than or equal to 0",
    );
    let sampling = proxy.tracing.as_ref().and_then(|tracing| tracing.sampling).unwrap_or(0.0);
    report.require(
        (0.0..=100.0).contains(&sampling),
        &path.key("tracing").key("sampling"),
        format_args!("sampling {sampling} is not in range 0..100"),
    );
}

/// `host:port`, as proxies are told where to go.
pub(super) fn address(report: &mut Report, path: &FieldPath, text: &str) {
    let parts = text.rsplit_once(':');
    let fits = parts.is_some_and(|(host, number)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let named =
            host.parse::<IpAddr>().is_ok() || host_problem(host, false).is_none() || host.starts_with("$(");
        named && number.parse::<u16>().is_ok_and(|number| number != 0)
    });
    report.require(fits, path, format_args!("{text:?} is no address; want HOST:PORT"));
}

/// What computes with private keys in place of the proxy.
const KEY_PROVIDERS: [&str; 2] = ["cryptomb", "qat"];

fn private_keys(report: &mut Report, path: &FieldPath, provider: &Value) {
    let set: Vec<&str> =
        KEY_PROVIDERS.into_iter().filter(|name| provider.get(name).is_some_and(|it| !it.is_null())).collect();
    let [name] = set[..] else {
        report.error(path, format!("set exactly one of {}", KEY_PROVIDERS.join(" and ")));
        return;
    };
    let delay = provider[name]["pollDelay"].as_str().and_then(|text| text.parse::<Duration>().ok());
    report.require(
        delay.is_some_and(|delay| delay > Duration::ZERO),
        &path.key(name).key("pollDelay"),
        "want a duration of more than zero, such as 10ms",
    );
}
