//! Access logs: which providers write, and for which requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::tracing::warn;
use sagene_api::Object;
use sagene_api::istio::mesh_config::extension_provider::FileAccessLogProvider;
use sagene_api::istio::telemetry::Telemetry;

use super::super::Settings;
use super::super::access_log::{self, LogShape};
use super::super::proto::{accesslog, any};
use super::{Index, Side, log_service, names, provider};
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;

/// The file of the mesh configuration, beside the providers that have names.
const MESH: &str = "";

/// What holds for one provider.
#[derive(Debug, Clone, Default)]
struct Rule {
    disabled: bool,
    expression: String,
}

/// The access logs of one side.
pub(super) fn access_log(
    levels: &[Arc<Object<Telemetry>>],
    index: &Index,
    side: Side,
) -> Vec<accesslog::AccessLog> {
    let mut made = Vec::new();
    for (name, rule) in rules(levels, &index.settings, side) {
        if rule.disabled {
            continue;
        }
        let Some(mut log) = logger(&name, index) else { continue };
        log.filter = (!rule.expression.is_empty()).then(|| expression(&rule.expression));
        made.push(log);
    }
    made
}

fn rules(levels: &[Arc<Object<Telemetry>>], settings: &Settings, side: Side) -> BTreeMap<String, Rule> {
    let declared = settings.default_providers.as_ref().map(|defaults| defaults.access_logging.clone());
    let mut current = declared.unwrap_or_default();
    if current.is_empty() && !settings.access_log_file.is_empty() {
        current = vec![MESH.to_owned()];
    }
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    for level in levels {
        let mut own = Vec::new();
        for entry in &level.spec.access_logging {
            if !side.is_meant(entry.r#match.as_ref().map(|wanted| wanted.mode).unwrap_or_default()) {
                continue;
            }
            let named = names(&entry.providers);
            own.extend(named.iter().cloned());
            let rule = Rule {
                disabled: entry.disabled.unwrap_or(false),
                expression: entry.filter.as_ref().map(|filter| filter.expression.clone()).unwrap_or_default(),
            };
            for name in if named.is_empty() { &current } else { &named } {
                rules.insert(name.clone(), rule.clone());
            }
        }
        if !own.is_empty() {
            current = own;
        }
    }
    current.into_iter().map(|name| (name.clone(), rules.remove(&name).unwrap_or_default())).collect()
}

/// The log of a provider; `None` where it cannot be written.
fn logger(name: &str, index: &Index) -> Option<accesslog::AccessLog> {
    let settings = &index.settings;
    if name == MESH {
        return access_log::logger(&settings.access_log_file, &access_log::of_mesh(settings));
    }
    let Some(found) = provider(settings, name) else {
        if name == "envoy" {
            return access_log::logger("/dev/stdout", &access_log::of_mesh(settings));
        }
        warn!(
            provider = name,
            "access log provider is not in meshConfig.extensionProviders: nothing is logged"
        );
        return None;
    };
    let sent = None
        .or_else(|| found.envoy_otel_als.as_ref().map(|otel| log_service::of_otel(otel, index)))
        .or_else(|| found.envoy_http_als.as_ref().map(|http| log_service::of_http(http, index)))
        .or_else(|| found.envoy_tcp_als.as_ref().map(|tcp| log_service::of_tcp(tcp, index)));
    if sent.is_some() {
        return sent;
    }
    let Some(file) = &found.envoy_file_access_log else {
        warn!(
            provider = name,
            "access logs go to envoyFileAccessLog, envoyOtelAls, envoyHttpAls and envoyTcpAls only: nothing is logged"
        );
        return None;
    };
    in_file(file, settings)
}

fn in_file(file: &FileAccessLogProvider, settings: &Settings) -> Option<accesslog::AccessLog> {
    let path = if file.path.is_empty() { "/dev/stdout" } else { &file.path };
    let shape = match &file.log_format {
        None => access_log::of_mesh(settings),
        Some(format) => match (&format.text, &format.labels) {
            (_, Some(labels)) => LogShape::json(labels),
            (Some(text), None) => LogShape::text(text),
            (None, None) => access_log::of_mesh(settings),
        },
    };
    access_log::logger(path, &LogShape { omit_empty: file.omit_empty_values, ..shape })
}

fn expression(text: &str) -> accesslog::AccessLogFilter {
    use accesslog::access_log_filter::FilterSpecifier;
    let config = ExpressionFilter { expression: text.to_owned(), ..ExpressionFilter::default() };
    accesslog::AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::ExtensionFilter(accesslog::ExtensionFilter {
            name: "envoy.access_loggers.extension_filters.cel".to_owned(),
            config_type: Some(accesslog::extension_filter::ConfigType::TypedConfig(any(&config))),
        })),
    }
}
