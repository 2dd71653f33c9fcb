//! The collector's configuration, as far as it is served: receivers `otlp`, processors that change nothing, exporters `debug`, `logging`,
//! `otlp` and `nop`, the extension `health_check`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Without a file everything that comes is counted in the log.
pub(super) const DEFAULT: &str = "{receivers: {otlp: {protocols: {grpc: {}, http: {}}}}, exporters: {debug: {}}, service: {pipelines: \
     {traces: {receivers: [otlp], exporters: [debug]}, logs: {receivers: [otlp], exporters: [debug]}}}}";

/// Processors that only gather or refuse.
const HARMLESS: [&str; 2] = ["batch", "memory_limiter"];

/// What the collector does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// Endpoint of OTLP by gRPC.
    pub(super) grpc: Option<String>,
    /// Endpoint of OTLP by HTTP.
    pub(super) http: Option<String>,
    /// Endpoint of the extension `health_check`; empty means its default.
    pub(super) health_check: Option<String>,
    /// Where log records go.
    pub(super) logs: Vec<Exporter>,
    /// Where spans go.
    pub(super) traces: Vec<Exporter>,
}

/// Where data goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exporter {
    /// Into this program's own log.
    Debug { name: String, verbosity: Verbosity },
    /// To another collector, by gRPC: its URL.
    Otlp { url: String },
}

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verbosity {
    /// How many there are.
    Basic,
    /// One line for each.
    Normal,
    /// All there is to say.
    Detailed,
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let written: Value = sagene_api::yaml::value(text).map_err(|error| error.to_string())?;
        let mut config = Self::default();
        for name in names(&written, "/service/extensions") {
            match kind(name) {
                "health_check" => {
                    let endpoint = at(&written, &["extensions", name, "endpoint"]).and_then(Value::as_str);
                    config.health_check = Some(endpoint.unwrap_or_default().to_owned());
                }
                other => super::log(&format!("extension {other} is not served by this program")),
            }
        }
        let nothing = serde_json::Map::new();
        let pipelines = written.pointer("/service/pipelines").and_then(Value::as_object).unwrap_or(&nothing);
        if pipelines.is_empty() {
            return Err("service.pipelines: want at least one pipeline".to_owned());
        }
        for (name, pipeline) in pipelines {
            config.pipeline(&written, name, pipeline)?;
        }
        Ok(config)
    }

    fn pipeline(&mut self, written: &Value, name: &str, pipeline: &Value) -> Result<(), String> {
        let place = |part: &str, one: &str| format!("service.pipelines.{name}.{part}: {one}");
        for receiver in names(pipeline, "/receivers") {
            if kind(receiver) != "otlp" {
                return Err(place("receivers", receiver) + " is not served by this program; it knows otlp");
            }
            let protocols = at(written, &["receivers", receiver, "protocols"])
                .and_then(Value::as_object)
                .ok_or_else(|| format!("receivers.{receiver}.protocols: want grpc or http"))?;
            for (protocol, settings) in protocols {
                let endpoint = settings.get("endpoint").and_then(Value::as_str);
                match protocol.as_str() {
                    "grpc" => self.grpc = Some(endpoint.unwrap_or("0.0.0.0:4317").to_owned()),
                    "http" => self.http = Some(endpoint.unwrap_or("0.0.0.0:4318").to_owned()),
                    other => return Err(format!("receivers.{receiver}.protocols: {other} is not known")),
                }
            }
        }
        for processor in names(pipeline, "/processors") {
            if !HARMLESS.contains(&kind(processor)) {
                let known = HARMLESS.join(" and ");
                return Err(place("processors", processor)
                    + &format!(" is not served by this program; it knows {known}"));
            }
        }
        let mut exporters = BTreeMap::new();
        for exporter in names(pipeline, "/exporters") {
            let settings = at(written, &["exporters", exporter]).unwrap_or(&Value::Null);
            if let Some(made) =
                Exporter::of(exporter, settings).map_err(|wrong| place("exporters", &wrong))?
            {
                exporters.insert(exporter, made);
            }
        }
        match kind(name) {
            "logs" => self.logs.extend(exporters.into_values()),
            "traces" => self.traces.extend(exporters.into_values()),
            "metrics" => super::log("metrics are not taken by this program"),
            other => return Err(format!("service.pipelines: {other} is none of logs, traces, metrics")),
        }
        Ok(())
    }
}

impl Exporter {
    fn of(name: &str, settings: &Value) -> Result<Option<Self>, String> {
        let text = |key: &str| settings.get(key).and_then(Value::as_str);
        Ok(match kind(name) {
            "nop" => None,
            "debug" | "logging" => {
                let level = text("verbosity").or_else(|| text("loglevel")).or_else(|| text("logLevel"));
                let verbosity = match level {
                    Some("detailed" | "debug") => Verbosity::Detailed,
                    Some("normal" | "info") => Verbosity::Normal,
                    _ => Verbosity::Basic,
                };
                Some(Self::Debug { name: name.to_owned(), verbosity })
            }
            "otlp" => {
                let endpoint = text("endpoint").ok_or_else(|| format!("{name} wants an endpoint"))?;
                let (insecure, endpoint) = match endpoint.split_once("://") {
                    Some((scheme, rest)) => (scheme != "https", rest),
                    None => (settings.pointer("/tls/insecure") == Some(&Value::Bool(true)), endpoint),
                };
                let scheme = if insecure { "http" } else { "https" };
                Some(Self::Otlp { url: format!("{scheme}://{}", endpoint.trim_end_matches('/')) })
            }
            _ => {
                return Err(format!(
                    "{name} is not served by this program; it knows debug, logging, otlp and nop"
                ));
            }
        })
    }
}

/// `otlp/jaeger` is of the kind `otlp`.
fn kind(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn names<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}
