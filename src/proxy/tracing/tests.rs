//! Tracing settings that cannot be honored are refused by name.

use envoy_types::pb::envoy::config::trace::v3 as trace;

use super::config::TracingConfig;
use crate::config::proto::{Any, network};
use network::http_connection_manager::v3::http_connection_manager::Tracing;

#[test]
fn an_unknown_tracer_is_refused_by_name() {
    let any = Any {
        type_url: "type.googleapis.com/envoy.config.trace.v3.DatadogConfig".to_owned(),
        ..Any::default()
    };
    let config_type = Some(trace::tracing::http::ConfigType::TypedConfig(any));
    let provider = Some(trace::tracing::Http { name: "envoy.tracers.datadog".to_owned(), config_type });
    let error = TracingConfig::compile(&Tracing { provider, ..Tracing::default() }).expect_err("refused");
    let error = format!("{error:?}");
    assert!(
        error.contains("DatadogConfig is not supported; known tracers: zipkin, opentelemetry"),
        "{error}"
    );
}
