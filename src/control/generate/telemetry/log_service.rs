//! Access logs that are sent: to collectors of OpenTelemetry (`envoyOtelAls`) and to services of Envoy's own protocol (`envoyHttpAls`,
//! `envoyTcpAls`).

use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value as Kind;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use sagene_api::istio::mesh_config::extension_provider::{AccessLogServiceProvider, OtelAccessLogProvider};
use serde_json::Value;

use super::super::access_log::TEXT_FORMAT;
use super::super::proto::{accesslog, any, core};
use super::{Index, cluster};

/// Names of logs where nothing is said, as Istio has them.
const OTEL_LOG: &str = "otel_envoy_accesslog";
const HTTP_LOG: &str = "http_envoy_accesslog";
const TCP_LOG: &str = "tcp_envoy_accesslog";
/// API version 3 of Envoy.
const V3: i32 = 2;

/// Records for a collector of OpenTelemetry: `text` is their body, `labels` are their attributes.
pub(super) fn of_otel(declared: &OtelAccessLogProvider, index: &Index) -> accesslog::AccessLog {
    let format = declared.log_format.as_ref();
    let body = format.and_then(|format| format.text.clone()).filter(|text| !text.is_empty());
    let labels = format.and_then(|format| format.labels.as_ref());
    #[allow(deprecated, reason = "Istio writes this field, and every Envoy reads it")]
    let config = OpenTelemetryAccessLogConfig {
        common_config: Some(common(
            name(&declared.log_name, OTEL_LOG),
            (&declared.service, declared.port),
            index,
        )),
        disable_builtin_labels: true,
        body: Some(string(body.as_deref().unwrap_or(TEXT_FORMAT))),
        attributes: labels.and_then(Value::as_object).filter(|labels| !labels.is_empty()).map(list),
        ..OpenTelemetryAccessLogConfig::default()
    };
    logger("envoy.access_loggers.open_telemetry", any(&config))
}

/// Entries of requests.
pub(super) fn of_http(declared: &AccessLogServiceProvider, index: &Index) -> accesslog::AccessLog {
    let config = HttpGrpcAccessLogConfig {
        common_config: Some(service(declared, HTTP_LOG, index)),
        additional_request_headers_to_log: declared.additional_request_headers_to_log.clone(),
        additional_response_headers_to_log: declared.additional_response_headers_to_log.clone(),
        additional_response_trailers_to_log: declared.additional_response_trailers_to_log.clone(),
    };
    logger("envoy.access_loggers.http_grpc", any(&config))
}

/// Entries of connections.
pub(super) fn of_tcp(declared: &AccessLogServiceProvider, index: &Index) -> accesslog::AccessLog {
    let config = TcpGrpcAccessLogConfig { common_config: Some(service(declared, TCP_LOG, index)) };
    logger("envoy.access_loggers.tcp_grpc", any(&config))
}

fn service(declared: &AccessLogServiceProvider, log: &str, index: &Index) -> CommonGrpcAccessLogConfig {
    let target = (declared.service.as_str(), declared.port);
    CommonGrpcAccessLogConfig {
        filter_state_objects_to_log: declared.filter_state_objects_to_log.clone(),
        ..common(name(&declared.log_name, log), target, index)
    }
}

fn common(log: &str, (service, port): (&str, u32), index: &Index) -> CommonGrpcAccessLogConfig {
    let (cluster_name, authority) = cluster(index, service, port);
    let target = core::grpc_service::EnvoyGrpc { cluster_name, authority, ..Default::default() };
    CommonGrpcAccessLogConfig {
        log_name: log.to_owned(),
        grpc_service: Some(core::GrpcService {
            target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(target)),
            ..core::GrpcService::default()
        }),
        transport_api_version: V3,
        ..CommonGrpcAccessLogConfig::default()
    }
}

fn name<'n>(declared: &'n str, default: &'n str) -> &'n str {
    if declared.is_empty() { default } else { declared }
}

fn logger(name: &str, config: super::super::proto::Any) -> accesslog::AccessLog {
    accesslog::AccessLog {
        name: name.to_owned(),
        filter: None,
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(config)),
    }
}

fn string(text: &str) -> AnyValue {
    AnyValue { value: Some(Kind::StringValue(text.to_owned())) }
}

fn list(fields: &serde_json::Map<String, Value>) -> KeyValueList {
    let pair = |(key, value): (&String, &Value)| KeyValue {
        key: key.clone(),
        value: Some(of_json(value)),
        ..KeyValue::default()
    };
    KeyValueList { values: fields.iter().map(pair).collect() }
}

fn of_json(value: &Value) -> AnyValue {
    let kind = match value {
        Value::Null => return AnyValue { value: None },
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Kind::IntValue(whole),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ArrayValue(ArrayValue { values: items.iter().map(of_json).collect() }),
        Value::Object(fields) => Kind::KvlistValue(list(fields)),
    };
    AnyValue { value: Some(kind) }
}
