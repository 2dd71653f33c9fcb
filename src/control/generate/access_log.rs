//! The access log of proxies.

use super::Settings;
use super::proto::{accesslog, any, core, structure, text};
use super::settings::AccessLogEncoding;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};

/// Istio's line, with its newline.
pub(crate) const TEXT_FORMAT: &str = concat!(
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

/// How the lines of a log look.
pub(crate) struct LogShape {
    pub(crate) format: core::substitution_format_string::Format,
    /// Whether values that are missing are left out.
    pub(crate) omit_empty: bool,
}

impl LogShape {
    #[allow(deprecated, reason = "Istio writes this field, and its tools show it")]
    fn of(format: core::substitution_format_string::Format) -> Self {
        Self { format, omit_empty: false }
    }

    /// Lines of text; a newline is added where there is none.
    #[allow(deprecated, reason = "Istio writes this field, and its tools show it")]
    pub(crate) fn text(own: &str) -> Self {
        let end = if own.ends_with('\n') { "" } else { "\n" };
        Self::of(core::substitution_format_string::Format::TextFormat(format!("{own}{end}")))
    }

    /// Lines in JSON, with these fields; values that are no text have none.
    pub(crate) fn json(labels: &serde_json::Value) -> Self {
        let fields = labels.as_object().into_iter().flatten();
        let fields = fields.filter_map(|(name, value)| Some((name.as_str(), text(value.as_str()?))));
        Self::of(core::substitution_format_string::Format::JsonFormat(structure(fields)))
    }
}

/// The lines that the mesh configuration asks for.
pub(crate) fn of_mesh(settings: &Settings) -> LogShape {
    let own = &settings.access_log_format;
    match settings.access_log_encoding {
        AccessLogEncoding::Text if own.is_empty() => LogShape::text(TEXT_FORMAT),
        AccessLogEncoding::Text => LogShape::text(own),
        AccessLogEncoding::Json => {
            let declared: serde_json::Value = serde_json::from_str(own).unwrap_or_default();
            let istio =
                || JSON_FIELDS.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            LogShape::json(&if declared.as_object().is_some_and(|fields| !fields.is_empty()) {
                declared
            } else {
                serde_json::Value::Object(istio())
            })
        }
    }
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
    let mut log: Vec<_> = logger(&settings.access_log_file, &of_mesh(settings)).into_iter().collect();
    for entry in &mut log {
        entry.filter = Some(accesslog::AccessLogFilter { filter_specifier: Some(filter.clone()) });
    }
    log
}

/// A log in a file; `None` without a path.
pub(crate) fn logger(path: &str, shape: &LogShape) -> Option<accesslog::AccessLog> {
    if path.is_empty() {
        return None;
    }
    let format = core::SubstitutionFormatString {
        format: Some(shape.format.clone()),
        omit_empty_values: shape.omit_empty,
        ..Default::default()
    };
    let file = FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
    };
    Some(accesslog::AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        filter: None,
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(any(&file))),
    })
}
