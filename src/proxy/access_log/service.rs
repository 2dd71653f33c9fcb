//! Access logs that are sent: their compiled configuration.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::opentelemetry::proto::common::v1::KeyValue;
use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value as Kind;

use super::entry::{self, Headers};
use super::format::Facts;
use super::record::RecordFormat;
use super::remote::{Entry, Receiver, Waiting};
use crate::config::proto::{self, Any, core};
use crate::config::{FieldError, Within, refuse_if};
use crate::filter::grpc_service::GrpcService;
use crate::worker::context::Worker;

/// How long entries gather where nothing is said, as Envoy has it.
const GATHERING: Duration = Duration::from_secs(1);
/// Time that a service has to take a batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A log that is sent.
#[derive(Debug)]
pub(crate) struct SentLog {
    receiver: Arc<Receiver>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Record(RecordFormat),
    Http(Headers),
    Tcp,
}

impl SentLog {
    /// Compiles the configuration of a logger; `None` where it is of another type.
    pub(crate) fn compile(any: &Any) -> Option<Result<Self, FieldError>> {
        Some(match proto::short_type(&any.type_url) {
            "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig" => {
                proto::decode(any).and_then(|config| open_telemetry(&config))
            }
            "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig" => {
                proto::decode(any).and_then(|config| http(&config))
            }
            "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig" => {
                proto::decode::<TcpGrpcAccessLogConfig>(any).and_then(|config| {
                    let receiver = of_common(config.common_config.as_ref()).within("common_config")?;
                    Ok(Self { receiver: Arc::new(receiver), form: Form::Tcp })
                })
            }
            _ => return None,
        })
    }

    /// Hands an entry over to the worker's queue.
    pub(crate) fn log(&self, worker: &Rc<Worker>, facts: &Facts<'_>) {
        let entry = match &self.form {
            Form::Record(format) => Entry::Record(format.record(facts)),
            Form::Http(headers) => Entry::Http(Box::new(entry::of_request(facts, headers))),
            Form::Tcp => Entry::Tcp(Box::new(entry::of_connection(facts))),
        };
        Waiting::take(worker, &self.receiver, entry);
    }
}

fn http(from: &HttpGrpcAccessLogConfig) -> Result<SentLog, FieldError> {
    let trailers = !from.additional_response_trailers_to_log.is_empty();
    refuse_if(trailers, "additional_response_trailers_to_log", "is not supported")?;
    let lower =
        |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase().into_boxed_str()).collect();
    let headers = Headers {
        request: lower(&from.additional_request_headers_to_log),
        response: lower(&from.additional_response_headers_to_log),
    };
    let receiver = of_common(from.common_config.as_ref()).within("common_config")?;
    Ok(SentLog { receiver: Arc::new(receiver), form: Form::Http(headers) })
}

#[allow(deprecated, reason = "control planes write `common_config`")]
fn open_telemetry(from: &OpenTelemetryAccessLogConfig) -> Result<SentLog, FieldError> {
    refuse_if(from.http_service.is_some(), "http_service", "is not supported; use grpc_service")?;
    refuse_if(!from.resource_detectors.is_empty(), "resource_detectors", "is not supported")?;
    refuse_if(!from.custom_tags.is_empty(), "custom_tags", "is not supported")?;
    refuse_if(from.buffer_size_bytes.is_some(), "buffer_size_bytes", "is not supported")?;
    let mut receiver = match (&from.common_config, &from.grpc_service) {
        (Some(common), None) => of_common(Some(common)).within("common_config")?,
        (None, Some(service)) => of_service(service, &from.log_name).within("grpc_service")?,
        _ => return Err(FieldError::new("grpc_service", "give one of common_config and grpc_service")),
    };
    if let Some(interval) = &from.buffer_flush_interval {
        receiver.gathering = proto::duration(interval);
    }
    receiver.is_open_telemetry = true;
    receiver.names_node = !from.disable_builtin_labels;
    let resource = from.resource_attributes.iter().flat_map(|list| &list.values);
    receiver.resource = resource.map(plain).collect::<Result<_, _>>().within("resource_attributes")?;
    let format = RecordFormat::compile(from.body.as_ref(), from.attributes.as_ref())?;
    Ok(SentLog { receiver: Arc::new(receiver), form: Form::Record(format) })
}

/// A fact about the proxy, which is a text.
fn plain(from: &KeyValue) -> Result<(Box<str>, Box<str>), FieldError> {
    match from.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Kind::StringValue(text)) => Ok((from.key.as_str().into(), text.as_str().into())),
        _ => Err(FieldError::new("value", format!("{}: only string values are supported", from.key))),
    }
}

/// Filter state that is asked for and that no filter leaves is absent from entries, as with Envoy.
fn of_common(from: Option<&CommonGrpcAccessLogConfig>) -> Result<Receiver, FieldError> {
    let from = from.ok_or_else(|| FieldError::new("", "is missing"))?;
    refuse_if(!from.custom_tags.is_empty(), "custom_tags", "is not supported")?;
    refuse_if(from.buffer_size_bytes.is_some(), "buffer_size_bytes", "is not supported")?;
    refuse_if(from.grpc_stream_retry_policy.is_some(), "grpc_stream_retry_policy", "is not supported")?;
    let service = from.grpc_service.as_ref().ok_or_else(|| FieldError::new("grpc_service", "is missing"))?;
    let mut receiver = of_service(service, &from.log_name).within("grpc_service")?;
    if let Some(interval) = &from.buffer_flush_interval {
        receiver.gathering = proto::duration(interval);
    }
    Ok(receiver)
}

fn of_service(from: &core::GrpcService, log_name: &str) -> Result<Receiver, FieldError> {
    let timeout = proto::timeout(from.timeout.as_ref(), Some(TIMEOUT));
    Ok(Receiver {
        service: GrpcService::compile(from, timeout)?,
        log_name: log_name.into(),
        resource: Vec::new(),
        names_node: false,
        is_open_telemetry: false,
        gathering: GATHERING,
    })
}
