//! Compiled access logs: file or service, format, filter.

use std::rc::Rc;
use std::sync::Arc;

use crate::access_log::format::Template;
use crate::access_log::json::JsonValue;
use crate::access_log::service::SentLog;
use crate::access_log::writer::LogFile;
use crate::filter::cel::{Cel, CelFacts};
use crate::worker::context::Worker;

use super::field::{FieldError, Within};
use super::proto::{self, accesslog, core};

/// Envoy's default format.
const DEFAULT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// A compiled access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sink: Sink,
    filter: Option<Filter>,
}

#[derive(Debug)]
enum Sink {
    File { file: Arc<LogFile>, format: Format },
    Service(SentLog),
}

/// How a line or a body is made.
#[derive(Debug)]
pub(super) enum Format {
    Text { template: Template, omit_empty: bool },
    Json { fields: JsonValue, omit_empty: bool },
}

/// Which requests are meant.
#[derive(Debug)]
pub(super) enum Filter {
    Flags(Vec<String>),
    Status(i32, u32),
    Duration(i32, u32),
    Expression(Cel),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// Compiles the access logs of a listener, connection manager or TCP proxy.
pub(crate) fn compile_all(from: &[accesslog::AccessLog]) -> Result<Vec<Arc<AccessLog>>, FieldError> {
    from.iter()
        .enumerate()
        .map(|(i, log)| AccessLog::compile(log).map(Arc::new).within_item("access_log", i))
        .collect()
}

impl AccessLog {
    fn compile(from: &accesslog::AccessLog) -> Result<Self, FieldError> {
        let Some(accesslog::access_log::ConfigType::TypedConfig(any)) = &from.config_type else {
            return Err(FieldError::new("typed_config", "is missing"));
        };
        let sink = match SentLog::compile(any) {
            Some(sent) => Sink::Service(sent.within("typed_config")?),
            None => Sink::in_file(any)?,
        };
        Ok(Self { sink, filter: from.filter.as_ref().map(Filter::compile).transpose().within("filter")? })
    }

    /// Writes one line, or hands one entry over, if the filter lets it pass.
    pub(crate) fn log(&self, worker: &Rc<Worker>, facts: &CelFacts<'_>) {
        if self.filter.as_ref().is_some_and(|filter| !filter.passes(facts)) {
            return;
        }
        let facts = &facts.facts;
        let (file, format) = match &self.sink {
            Sink::File { file, format } => (file, format),
            Sink::Service(sent) => return sent.log(worker, facts),
        };
        let mut line = LINE.take();
        line.clear();
        match format {
            Format::Text { template, omit_empty } => template.render(facts, *omit_empty, &mut line),
            Format::Json { fields, omit_empty } => fields.write_line(facts, *omit_empty, &mut line),
        }
        file.write(&line);
        LINE.set(line);
    }
}

impl Sink {
    fn in_file(any: &proto::Any) -> Result<Self, FieldError> {
        let (path, format) = match proto::short_type(&any.type_url) {
            "envoy.extensions.access_loggers.file.v3.FileAccessLog" => {
                file_log(any).within("typed_config")?
            }
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" => {
                ("/dev/stdout".to_owned(), default_format()?)
            }
            "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" => {
                ("/dev/stderr".to_owned(), default_format()?)
            }
            other => {
                return Err(FieldError::new(
                    "typed_config",
                    format!(
                        "{other} is not supported; known: file, stdout, stderr, open_telemetry, http_grpc, tcp_grpc"
                    ),
                ));
            }
        };
        let file = LogFile::open(&path)
            .map_err(|error| FieldError::new("typed_config.path", format!("cannot open {path}: {error}")))?;
        Ok(Self::File { file, format })
    }
}

thread_local! {
    /// The memory of the last line, for the next.
    static LINE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

fn default_format() -> Result<Format, FieldError> {
    Ok(Format::Text { template: Template::compile(DEFAULT)?, omit_empty: false })
}

fn file_log(any: &proto::Any) -> Result<(String, Format), FieldError> {
    use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
        FileAccessLog, file_access_log::AccessLogFormat,
    };
    let log: FileAccessLog = proto::decode(any)?;
    let format = match &log.access_log_format {
        None => default_format()?,
        Some(AccessLogFormat::Format(text)) => {
            Format::Text { template: Template::compile(text).within("format")?, omit_empty: false }
        }
        Some(AccessLogFormat::JsonFormat(fields) | AccessLogFormat::TypedJsonFormat(fields)) => {
            json(fields, false).within("json_format")?
        }
        Some(AccessLogFormat::LogFormat(each)) => substitution(each).within("log_format")?,
    };
    Ok((log.path, format))
}

fn json(from: &envoy_types::pb::google::protobuf::Struct, omit_empty: bool) -> Result<Format, FieldError> {
    Ok(Format::Json { fields: JsonValue::compile(from)?, omit_empty })
}

pub(super) fn substitution(from: &core::SubstitutionFormatString) -> Result<Format, FieldError> {
    use core::substitution_format_string::Format as From;
    let omit_empty = from.omit_empty_values;
    match &from.format {
        Some(From::TextFormat(text)) => {
            Ok(Format::Text { template: Template::compile(text).within("text_format")?, omit_empty })
        }
        Some(From::TextFormatSource(source)) => {
            let text = String::from_utf8(proto::data(source)?)
                .map_err(|_| FieldError::new("text_format_source", "is not UTF-8"))?;
            Ok(Format::Text { template: Template::compile(&text)?, omit_empty })
        }
        Some(From::JsonFormat(fields)) => json(fields, omit_empty).within("json_format"),
        None => default_format(),
    }
}

/// The filter of an extension; the only one known is a CEL expression.
fn expression(from: &accesslog::ExtensionFilter) -> Result<Cel, FieldError> {
    use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
    let Some(accesslog::extension_filter::ConfigType::TypedConfig(any)) = &from.config_type else {
        return Err(FieldError::new("extension_filter.typed_config", "is missing"));
    };
    match proto::short_type(&any.type_url) {
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter" => {
            let filter: ExpressionFilter = proto::decode(any)?;
            Cel::compile(&filter.expression).within("extension_filter.typed_config.expression")
        }
        other => {
            let reason =
                format!("{other} is not supported; known: envoy.access_loggers.extension_filters.cel");
            Err(FieldError::new("extension_filter.typed_config", reason))
        }
    }
}

impl Filter {
    pub(super) fn compile(from: &accesslog::AccessLogFilter) -> Result<Self, FieldError> {
        use accesslog::access_log_filter::FilterSpecifier;
        let comparison = |c: Option<&accesslog::ComparisonFilter>| {
            let c = c.ok_or_else(|| FieldError::new("comparison", "is missing"))?;
            Ok((c.op, c.value.as_ref().map_or(0, |v| v.default_value)))
        };
        let all = |list: &[accesslog::AccessLogFilter]| {
            list.iter().map(Self::compile).collect::<Result<Vec<_>, _>>()
        };
        Ok(match &from.filter_specifier {
            Some(FilterSpecifier::ResponseFlagFilter(filter)) => Self::Flags(filter.flags.clone()),
            Some(FilterSpecifier::StatusCodeFilter(filter)) => {
                comparison(filter.comparison.as_ref()).map(|(op, n)| Self::Status(op, n))?
            }
            Some(FilterSpecifier::DurationFilter(filter)) => {
                comparison(filter.comparison.as_ref()).map(|(op, n)| Self::Duration(op, n))?
            }
            Some(FilterSpecifier::ExtensionFilter(filter)) => Self::Expression(expression(filter)?),
            Some(FilterSpecifier::AndFilter(filter)) => Self::And(all(&filter.filters)?),
            Some(FilterSpecifier::OrFilter(filter)) => Self::Or(all(&filter.filters)?),
            _ => {
                return Err(FieldError::new(
                    "filter_specifier",
                    "only response_flag, status_code, duration, CEL expressions, and, or are supported",
                ));
            }
        })
    }

    pub(super) fn passes(&self, facts: &CelFacts<'_>) -> bool {
        let info = facts.facts.info;
        let compare = |op: i32, left: u64, right: u32| match op {
            0 => left == u64::from(right),
            1 => left >= u64::from(right),
            2 => left <= u64::from(right),
            _ => left != u64::from(right),
        };
        match self {
            Self::Flags(flags) if flags.is_empty() => !info.flags.is_empty(),
            Self::Flags(flags) => flags.iter().any(|flag| info.flags.has(flag)),
            Self::Status(op, n) => compare(*op, u64::from(info.response_code), *n),
            Self::Duration(op, n) => compare(*op, info.duration.as_millis() as u64, *n),
            Self::Expression(expression) => expression.is_true(facts),
            Self::And(list) => list.iter().all(|each| each.passes(facts)),
            Self::Or(list) => list.iter().any(|each| each.passes(facts)),
        }
    }
}
