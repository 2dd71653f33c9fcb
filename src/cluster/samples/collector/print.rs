//! What the exporters `debug` and `logging` print.

use envoy_types::pb::opentelemetry::proto::common::v1 as common;
use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value;
use sagene_api::trace::opentelemetry as traces;
use sagene_api::trace::opentelemetry_logs as logs;

use super::config::Verbosity;

/// A report that can be printed.
pub(super) trait Printed {
    /// `Logs`, `Traces`: word of the head line, of the kind of data, of a resource's and of single items.
    const WORDS: [&'static str; 4];
    /// Resources and items.
    fn numbers(&self) -> (usize, usize);
    /// A line for each item.
    fn lines(&self) -> Vec<String>;
    /// All there is to say.
    fn details(&self) -> String;
}

/// Prints a report.
pub(super) fn print<P: Printed>(report: &P, name: &str, verbosity: Verbosity) {
    let [exporter, kind, of_resources, of_items] = P::WORDS;
    let (resources, items) = report.numbers();
    let facts = format!("\"kind\": \"exporter\", \"data_type\": \"{kind}\", \"name\": \"{name}\"");
    super::log(&format!("{exporter}\t{{{facts}, \"{of_resources}\": {resources}, \"{of_items}\": {items}}}"));
    match verbosity {
        Verbosity::Basic => {}
        Verbosity::Normal => report.lines().iter().for_each(|line| println!("{line}")),
        Verbosity::Detailed => {
            super::log(report.details().trim_end());
            println!("\t{{{facts}}}");
        }
    }
}

impl Printed for logs::ExportLogsServiceRequest {
    const WORDS: [&'static str; 4] = ["LogsExporter", "logs", "resource logs", "log records"];

    fn numbers(&self) -> (usize, usize) {
        let scopes = self.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        (self.resource_logs.len(), scopes.map(|scope| scope.log_records.len()).sum())
    }

    fn lines(&self) -> Vec<String> {
        let scopes = self.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        let line = |record: &logs::LogRecord| {
            let body = record.body.as_ref().map(plain).unwrap_or_default();
            let attributes = record.attributes.iter().map(|pair| format!(" {}={}", pair.key, of_pair(pair)));
            body.trim_end().to_owned() + &attributes.collect::<String>()
        };
        scopes.flat_map(|scope| &scope.log_records).map(line).collect()
    }

    fn details(&self) -> String {
        let mut text = String::new();
        for (number, resource) in self.resource_logs.iter().enumerate() {
            text += &format!("ResourceLog #{number}\nResource SchemaURL: \n");
            if let Some(resource) = resource.resource.as_ref().filter(|one| !one.attributes.is_empty()) {
                text += "Resource attributes:\n";
                text += &of_pairs(&resource.attributes);
            }
            for (number, scope) in resource.scope_logs.iter().enumerate() {
                let named = scope.scope.as_ref().map(|scope| format!("{} {}", scope.name, scope.version));
                text += &format!(
                    "ScopeLogs #{number}\nScopeLogs SchemaURL: \nInstrumentationScope {}\n",
                    named.unwrap_or_else(|| " ".to_owned())
                );
                for (number, record) in scope.log_records.iter().enumerate() {
                    text += &format!("LogRecord #{number}\n{}", of_record(record));
                }
            }
        }
        text
    }
}

fn of_record(record: &logs::LogRecord) -> String {
    let mut text = format!(
        "ObservedTimestamp: {}\nTimestamp: {}\nSeverityText: {}\nSeverityNumber: {}\nBody: {}\n",
        time(record.observed_time_unix_nano),
        time(record.time_unix_nano),
        record.severity_text,
        severity(record.severity_number),
        record.body.as_ref().map_or_else(|| "Empty()".to_owned(), typed),
    );
    if !record.attributes.is_empty() {
        text += "Attributes:\n";
        text += &of_pairs(&record.attributes);
    }
    text + &format!("Trace ID: {}\nSpan ID: {}\nFlags: 0\n", hex(&record.trace_id), hex(&record.span_id))
}

impl Printed for traces::ExportTraceServiceRequest {
    const WORDS: [&'static str; 4] = ["TracesExporter", "traces", "resource spans", "spans"];

    fn numbers(&self) -> (usize, usize) {
        let scopes = self.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        (self.resource_spans.len(), scopes.map(|scope| scope.spans.len()).sum())
    }

    fn lines(&self) -> Vec<String> {
        let scopes = self.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let line =
            |span: &traces::Span| format!("{} {} {}", span.name, hex(&span.trace_id), hex(&span.span_id));
        scopes.flat_map(|scope| &scope.spans).map(line).collect()
    }

    fn details(&self) -> String {
        let mut text = String::new();
        for (number, resource) in self.resource_spans.iter().enumerate() {
            text += &format!("ResourceSpans #{number}\nResource SchemaURL: \n");
            if let Some(resource) = resource.resource.as_ref().filter(|one| !one.attributes.is_empty()) {
                text += "Resource attributes:\n";
                text += &of_tags(&resource.attributes);
            }
            for (number, scope) in resource.scope_spans.iter().enumerate() {
                let named = scope.scope.as_ref().map(|scope| format!("{} {}", scope.name, scope.version));
                text += &format!(
                    "ScopeSpans #{number}\nScopeSpans SchemaURL: \nInstrumentationScope {}\n",
                    named.unwrap_or_else(|| " ".to_owned())
                );
                for (number, span) in scope.spans.iter().enumerate() {
                    text += &format!("Span #{number}\n{}", of_span(span));
                }
            }
        }
        text
    }
}

fn of_span(span: &traces::Span) -> String {
    const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
    let kind = usize::try_from(span.kind).ok().and_then(|kind| KINDS.get(kind)).copied();
    let status = match span.status.as_ref().map(|status| status.code) {
        Some(1) => "Ok",
        Some(2) => "Error",
        _ => "Unset",
    };
    let mut text = format!(
        "    Trace ID       : {}\n    Parent ID      : {}\n    ID             : {}\n    Name           : {}\n    Kind           : {}\n    \
         Start time     : {}\n    End time       : {}\n    Status code    : {status}\n    Status message : {}\n",
        hex(&span.trace_id),
        hex(&span.parent_span_id),
        hex(&span.span_id),
        span.name,
        kind.unwrap_or("Unspecified"),
        time(span.start_time_unix_nano),
        time(span.end_time_unix_nano),
        span.status.as_ref().map_or("", |status| status.message.as_str()),
    );
    if !span.attributes.is_empty() {
        text += "Attributes:\n";
        text += &of_tags(&span.attributes);
    }
    text
}

fn of_tags(pairs: &[traces::KeyValue]) -> String {
    let value = |pair: &traces::KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(traces::Value::Text(text)) => format!("Str({text})"),
        Some(traces::Value::Flag(flag)) => format!("Bool({flag})"),
        Some(traces::Value::Whole(number)) => format!("Int({number})"),
        Some(traces::Value::Number(number)) => format!("Double({number})"),
        None => "Empty()".to_owned(),
    };
    pairs.iter().map(|pair| format!("     -> {}: {}\n", pair.key, value(pair))).collect()
}

fn of_pairs(pairs: &[common::KeyValue]) -> String {
    let value = |pair: &common::KeyValue| pair.value.as_ref().map_or_else(|| "Empty()".to_owned(), typed);
    pairs.iter().map(|pair| format!("     -> {}: {}\n", pair.key, value(pair))).collect()
}

fn of_pair(pair: &common::KeyValue) -> String {
    pair.value.as_ref().map(plain).unwrap_or_default()
}

/// A value with its type: `Str(a)`.
fn typed(value: &common::AnyValue) -> String {
    let kind = match &value.value {
        Some(Value::StringValue(_)) => "Str",
        Some(Value::BoolValue(_)) => "Bool",
        Some(Value::IntValue(_)) => "Int",
        Some(Value::DoubleValue(_)) => "Double",
        Some(Value::ArrayValue(_)) => "Slice",
        Some(Value::KvlistValue(_)) => "Map",
        Some(Value::BytesValue(_)) => "Bytes",
        Some(_) | None => "Empty",
    };
    format!("{kind}({})", plain(value))
}

fn plain(value: &common::AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BytesValue(bytes)) => hex(bytes),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => json(value).to_string(),
        Some(_) | None => String::new(),
    }
}

fn json(value: &common::AnyValue) -> serde_json::Value {
    let item = |value: Option<&common::AnyValue>| value.map(json).unwrap_or_default();
    match &value.value {
        Some(Value::ArrayValue(list)) => list.values.iter().map(json).collect(),
        Some(Value::KvlistValue(list)) => {
            list.values.iter().map(|pair| (pair.key.clone(), item(pair.value.as_ref()))).collect()
        }
        Some(Value::BoolValue(flag)) => (*flag).into(),
        Some(Value::IntValue(number)) => (*number).into(),
        Some(Value::DoubleValue(number)) => (*number).into(),
        _ => plain(value).into(),
    }
}

fn severity(number: i32) -> String {
    let word = ["Unspecified", "Trace", "Debug", "Info", "Warn", "Error", "Fatal"];
    let at = usize::try_from((number + 3) / 4).unwrap_or_default();
    format!("{}({number})", word.get(at).unwrap_or(&"Unspecified"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `2020-11-25 21:26:18.409 +0000 UTC`.
fn time(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}
