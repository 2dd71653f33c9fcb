//! Rules of `defaultConfig.tracing`: where proxies send their spans.

use serde_json::Value;

use super::Report;
use super::proxy::address;
use crate::path::FieldPath;

/// The collectors, of which one may be named.
const COLLECTORS: [&str; 5] = ["zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"];
/// Those with an address that proxies connect to.
const WITH_ADDRESS: [&str; 3] = ["zipkin", "lightstep", "datadog"];

/// `tracing` as it was written: defaults stand beside what the reader wrote.
pub(super) fn rules(report: &mut Report, path: &FieldPath, tracing: &Value) {
    let named = |name: &&&str| tracing.get(**name).is_some_and(|collector| !collector.is_null());
    let set: Vec<&str> = COLLECTORS.iter().filter(named).copied().collect();
    report.require(
        set.len() < 2,
        path,
        format_args!("only one of {} may be set, not {}", COLLECTORS.join(", "), set.join(" and ")),
    );
    for name in WITH_ADDRESS.iter().filter(named) {
        // An address that is no text is told of as such.
        match &tracing[name]["address"] {
            Value::Null => report.error(&path.key(name).key("address"), "address is required"),
            Value::String(text) => address(report, &path.key(name).key("address"), text),
            _ => {}
        }
    }
    let token = &tracing["lightstep"]["accessToken"];
    report.require(
        !tracing["lightstep"].is_object() || token.as_str().is_some_and(|token| !token.is_empty()),
        &path.key("lightstep").key("accessToken"),
        "access token is required",
    );
}
