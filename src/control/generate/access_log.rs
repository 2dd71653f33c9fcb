//! The access log of proxies.

use super::Settings;
use super::proto::{accesslog, any, core, structure, text};
use super::settings::AccessLogEncoding;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};

/// Istio's line, with its newline.
const TEXT_FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
);

/// Istio's fields of a line in JSON.
const JSON_FIELDS: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// The log of requests and connections; none where the mesh wants none.
pub(crate) fn access_log(settings: &Settings) -> Vec<accesslog::AccessLog> {
    logger(settings).into_iter().collect()
}

/// The log of listeners: only connections for which there is no route.
pub(crate) fn listener_access_log(settings: &Settings) -> Vec<accesslog::AccessLog> {
    if settings.disable_envoy_listener_log {
        return Vec::new();
    }
    let filter =
        accesslog::access_log_filter::FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter {
            flags: vec!["NR".to_owned()],
        });
    let mut log: Vec<_> = logger(settings).into_iter().collect();
    for entry in &mut log {
        entry.filter = Some(accesslog::AccessLogFilter { filter_specifier: Some(filter.clone()) });
    }
    log
}

fn logger(settings: &Settings) -> Option<accesslog::AccessLog> {
    if settings.access_log_file.is_empty() {
        return None;
    }
    let file = FileAccessLog {
        path: settings.access_log_file.clone(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(
            core::SubstitutionFormatString { format: Some(format(settings)), ..Default::default() },
        )),
    };
    Some(accesslog::AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        filter: None,
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(any(&file))),
    })
}

#[allow(deprecated, reason = "Istio writes this field, and its tools show it")]
fn format(settings: &Settings) -> core::substitution_format_string::Format {
    use core::substitution_format_string::Format::{JsonFormat, TextFormat};
    let own = &settings.access_log_format;
    match settings.access_log_encoding {
        AccessLogEncoding::Text if own.is_empty() => TextFormat(TEXT_FORMAT.to_owned()),
        AccessLogEncoding::Text if own.ends_with('\n') => TextFormat(own.clone()),
        AccessLogEncoding::Text => TextFormat(format!("{own}\n")),
        AccessLogEncoding::Json => {
            let declared: std::collections::BTreeMap<String, String> =
                serde_json::from_str(own).unwrap_or_default();
            let fields: Vec<(&str, &str)> = if declared.is_empty() {
                JSON_FIELDS.to_vec()
            } else {
                declared.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            };
            JsonFormat(structure(fields.into_iter().map(|(name, value)| (name, text(value)))))
        }
    }
}
