//! Connection pools and outlier detection of a traffic policy.

use sagene_api::Duration;
use sagene_api::istio::networking::traffic_policy::connection_pool::{
    H2UpgradePolicy, HttpSettings, TcpKeepalive, TcpSettings,
};
use sagene_api::istio::networking::traffic_policy::{ConnectionPoolSettings, OutlierDetection, RetryBudget};
use sagene_model::Protocol;

use super::super::Settings;
use super::super::proto::{UInt32Value, cluster, core, duration, types, uint};
use super::inbound::explicit_http2;
use super::well_known::{breakers, downstream_protocol, set_http_options, unlimited};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
};

/// A positive number, `None` for zero, which means no limit.
fn limit(value: i32) -> Option<UInt32Value> {
    u32::try_from(value).ok().filter(|value| *value > 0).map(|value| UInt32Value { value })
}

/// Applies limits and timeouts of connections.
pub(super) fn connection_pool(
    made: &mut cluster::Cluster,
    pool: Option<&ConnectionPoolSettings>,
    budget: Option<&RetryBudget>,
    settings: &Settings,
) {
    let default_tcp = TcpSettings::default();
    let default_http = HttpSettings::default();
    let tcp = pool.and_then(|pool| pool.tcp.as_ref()).unwrap_or(&default_tcp);
    let http = pool.and_then(|pool| pool.http.as_ref()).unwrap_or(&default_http);
    let mut thresholds = unlimited();
    let set = |threshold: &mut Option<UInt32Value>, value: i32| {
        if let Some(value) = limit(value) {
            *threshold = Some(value);
        }
    };
    set(&mut thresholds.max_connections, tcp.max_connections);
    set(&mut thresholds.max_pending_requests, http.http1_max_pending_requests);
    set(&mut thresholds.max_requests, http.http2_max_requests);
    set(&mut thresholds.max_retries, http.max_retries);
    if let Some(budget) = budget {
        thresholds.retry_budget = Some(retry_budget(budget));
    }
    made.circuit_breakers = Some(breakers(thresholds));
    if let Some(timeout) = tcp.connect_timeout {
        made.connect_timeout = Some(duration(timeout));
    }
    if let Some(keepalive) = tcp.tcp_keepalive.as_ref().or(settings.tcp_keepalive.as_ref()) {
        made.upstream_connection_options = Some(cluster::UpstreamConnectionOptions {
            tcp_keepalive: Some(tcp_keepalive(keepalive)),
            ..cluster::UpstreamConnectionOptions::default()
        });
    }
}

fn retry_budget(budget: &RetryBudget) -> cluster::circuit_breakers::thresholds::RetryBudget {
    let concurrency = if budget.min_retry_concurrency == 0 { 3 } else { budget.min_retry_concurrency };
    cluster::circuit_breakers::thresholds::RetryBudget {
        budget_percent: Some(types::Percent { value: budget.percent.unwrap_or(20.0) }),
        budget_interval: budget.budget_interval.map(duration),
        min_retry_concurrency: uint(concurrency),
    }
}

fn tcp_keepalive(keepalive: &TcpKeepalive) -> core::TcpKeepalive {
    let whole_seconds = |span: Option<Duration>| {
        span.and_then(|span| u32::try_from(span.seconds()).ok()).map(|value| UInt32Value { value })
    };
    core::TcpKeepalive {
        keepalive_probes: (keepalive.probes != 0).then_some(UInt32Value { value: keepalive.probes }),
        keepalive_time: whole_seconds(keepalive.time),
        keepalive_interval: whole_seconds(keepalive.interval),
    }
}

/// Applies the HTTP version of a port and the HTTP settings of the pool.
pub(super) fn http_options(
    made: &mut cluster::Cluster,
    protocol: Protocol,
    http: Option<&HttpSettings>,
    names: Option<core::UpstreamHttpProtocolOptions>,
    settings: &Settings,
) {
    let upgrade = match http.map(|http| http.h2_upgrade_policy) {
        Some(H2UpgradePolicy::Upgrade) => true,
        Some(H2UpgradePolicy::DoNotUpgrade) => false,
        _ => settings.h2_upgrade,
    };
    let keep_client = http.is_some_and(|http| http.use_client_protocol);
    let mut options = match protocol {
        Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb if keep_client => {
            Some(downstream_protocol())
        }
        Protocol::Http2 | Protocol::Grpc => Some(explicit_http2()),
        Protocol::Http | Protocol::GrpcWeb if upgrade => Some(explicit_http2()),
        Protocol::Unspecified => Some(downstream_protocol()),
        _ => None,
    };
    if let Some(http) = http.filter(|_| protocol.is_http() || protocol.is_unspecified()) {
        apply_http(&mut options, http);
    }
    if names.is_some() && (protocol.is_http() || protocol.is_unspecified()) {
        options.get_or_insert_with(explicit_http1).upstream_http_protocol_options = names;
    }
    if let Some(options) = options {
        set_http_options(made, &options);
    }
}

/// Applies the HTTP settings of a pool.
pub(super) fn apply_http(options: &mut Option<HttpProtocolOptions>, http: &HttpSettings) {
    let per_connection = limit(http.max_requests_per_connection);
    if per_connection.is_some() || http.idle_timeout.is_some() {
        options.get_or_insert_with(explicit_http1).common_http_protocol_options =
            Some(core::HttpProtocolOptions {
                max_requests_per_connection: per_connection,
                idle_timeout: http.idle_timeout.map(duration),
                ..core::HttpProtocolOptions::default()
            });
    }
    let Some(http2) = options.as_mut().and_then(http2_options) else { return };
    http2.max_concurrent_streams = limit(http.max_concurrent_streams);
    http2.connection_keepalive = http.http2_keep_alive.as_ref().map(|keep| core::KeepaliveSettings {
        interval: keep.interval.map(duration),
        timeout: keep.timeout.map(duration),
        ..core::KeepaliveSettings::default()
    });
}

fn http2_options(options: &mut HttpProtocolOptions) -> Option<&mut core::Http2ProtocolOptions> {
    match options.upstream_protocol_options.as_mut()? {
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(config) => {
            config.http2_protocol_options.as_mut()
        }
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(http2)),
        }) => Some(http2),
        _ => None,
    }
}

fn explicit_http1() -> HttpProtocolOptions {
    let config = ExplicitHttpConfig {
        protocol_config: Some(ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())),
    };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)),
        ..HttpProtocolOptions::default()
    }
}

/// Applies outlier detection; where it is on, the panic threshold is written too, even 0.
pub(super) fn outlier_detection(made: &mut cluster::Cluster, outlier: Option<&OutlierDetection>) {
    let Some(outlier) = outlier else { return };
    let enforcing = |count: u32| uint(if count > 0 { 100 } else { 0 });
    let mut detection = cluster::OutlierDetection {
        interval: outlier.interval.map(duration),
        base_ejection_time: outlier.base_ejection_time.map(duration),
        max_ejection_percent: limit(outlier.max_ejection_percent),
        enforcing_success_rate: uint(0),
        ..cluster::OutlierDetection::default()
    };
    if let Some(count) = outlier.consecutive_5xx_errors {
        detection.consecutive_5xx = uint(count);
        detection.enforcing_consecutive_5xx = enforcing(count);
    }
    let deprecated = u32::try_from(outlier.consecutive_errors).ok().filter(|count| *count > 0);
    if let Some(count) = outlier.consecutive_gateway_errors.or(deprecated) {
        detection.consecutive_gateway_failure = uint(count);
        detection.enforcing_consecutive_gateway_failure = enforcing(count);
    }
    if outlier.split_external_local_origin_errors {
        detection.split_external_local_origin_errors = true;
        if let Some(count) = outlier.consecutive_local_origin_failures {
            detection.consecutive_local_origin_failure = uint(count);
            detection.enforcing_consecutive_local_origin_failure = enforcing(count);
        }
        detection.enforcing_local_origin_success_rate = uint(0);
    }
    made.outlier_detection = Some(detection);
    let threshold = types::Percent { value: f64::from(outlier.min_health_percent.clamp(0, 100)) };
    made.common_lb_config.get_or_insert_with(Default::default).healthy_panic_threshold = Some(threshold);
}
