//! `/logging`: levels of the log, under Envoy's logger names.

use std::borrow::Cow;
use std::fmt::Write;

use sagene_base::logging::{LogHandle, parse_level};
use tracing::level_filters::LevelFilter;

/// Envoy's loggers and the parts of this program that stand behind them. Several of Envoy's can mean one part.
const LOGGERS: [(&str, &str); 32] = [
    ("admin", "sagene_proxy::admin"),
    ("agent", "sagene_proxy::agent"),
    ("client", "sagene_proxy::upstream"),
    ("compression", "sagene_proxy::filter::compressor"),
    ("config", "sagene_proxy::config"),
    ("conn_handler", "sagene_proxy::listen"),
    ("connection", "sagene_proxy::tls"),
    ("dns", "sagene_proxy::dns"),
    ("ext_authz", "sagene_proxy::filter::ext_authz"),
    ("filter", "sagene_proxy::filter"),
    ("forward_proxy", "sagene_proxy::upstream"),
    ("grpc", "sagene_xds"),
    ("hc", "sagene_proxy::upstream"),
    ("health_checker", "sagene_proxy::upstream"),
    ("http", "sagene_proxy::http"),
    ("http2", "h2"),
    ("init", "sagene_proxy::worker"),
    ("io", "sagene_proxy::listen"),
    ("jwt", "sagene_proxy::filter::jwt_authn"),
    ("local_rate_limit", "sagene_proxy::filter::local_ratelimit"),
    ("main", "sagene_proxy::worker"),
    ("pool", "sagene_proxy::upstream"),
    ("rbac", "sagene_proxy::filter::rbac"),
    ("rds", "sagene_proxy::config"),
    ("router", "sagene_proxy::http"),
    ("secret", "sagene_identity"),
    ("stats", "sagene_proxy::stats"),
    ("tracing", "sagene_proxy::filter::tracing"),
    ("upstream", "sagene_proxy::upstream"),
    ("wasm", "sagene_proxy::filter::attribute_gen"),
    ("websocket", "sagene_proxy::http"),
    ("xds", "sagene_xds"),
];

/// Loggers of Envoy's with nothing behind them here: their levels are kept and shown, as in an Envoy that logs nothing there.
const SILENT: [&str; 43] = [
    "a2a",
    "ai_protocol_manager",
    "alternate_protocols_cache",
    "assert",
    "aws",
    "backtrace",
    "basic_auth",
    "cache_filter",
    "credential_injector",
    "decompression",
    "dubbo",
    "dynamic_modules",
    "envoy_bug",
    "ext_proc",
    "file",
    "geolocation",
    "golang",
    "happy_eyeballs",
    "hystrix",
    "ip_tagging",
    "json_rpc",
    "kafka",
    "key_value_store",
    "lua",
    "matcher",
    "mcp",
    "misc",
    "mongo",
    "multi_connection",
    "notification",
    "oauth2",
    "quic",
    "quic_stream",
    "rate_limit_quota",
    "redis",
    "rocketmq",
    "runtime",
    "sse",
    "stats_sinks",
    "tap",
    "testing",
    "thrift",
    "udp",
];
/// What stands for a silent logger among the targets.
const SILENT_TARGET: &str = "envoy::";

/// What to write instead.
pub(super) const USAGE: &str = "usage: /logging?<name>=<level> (change single level)\n\
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n\
usage: /logging?level=<level> (change all levels)\n\
levels: trace debug info warning error critical off\n";

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoggingError {
    /// No such logger.
    #[error("unknown logger name {0:?}")]
    UnknownLogger(String),
    /// No such level.
    #[error("unknown logger level {0:?}")]
    UnknownLevel(String),
    /// `paths` is not `name:level,…`.
    #[error("{0:?} is not name:level")]
    Pair(String),
    /// The log did not take it.
    #[error("the levels could not be changed")]
    Refused(#[source] sagene_base::logging::LoggingError),
}

/// Every logger with its level.
pub(super) fn list(log: &LogHandle) -> String {
    let levels = log.levels();
    let mut text = String::from("active loggers:\n");
    let mut loggers: Vec<_> = LOGGERS.iter().map(|(name, target)| (*name, Cow::Borrowed(*target))).collect();
    loggers.extend(SILENT.iter().map(|name| (*name, Cow::Owned(format!("{SILENT_TARGET}{name}")))));
    loggers.sort();
    for (name, target) in loggers {
        let own = levels
            .targets
            .iter()
            .filter(|(prefix, _)| covers(prefix, &target))
            .max_by_key(|(prefix, _)| prefix.len());
        let level = own.map_or(levels.default, |(_, level)| *level);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name}: {}", word(level));
    }
    text
}

fn covers(prefix: &str, target: &str) -> bool {
    target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn word(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::TRACE => "trace",
        LevelFilter::DEBUG => "debug",
        LevelFilter::INFO => "info",
        LevelFilter::WARN => "warning",
        LevelFilter::ERROR => "error",
        _ => "off",
    }
}

/// Takes `level=L`, `name=L` and `paths=name:L,…`; all or nothing.
pub(super) fn change(log: &LogHandle, query: &[(String, String)]) -> Result<(), LoggingError> {
    let mut levels = log.levels();
    for (name, value) in query {
        match name.as_str() {
            "level" => {
                levels.default = level(value)?;
                levels.targets.clear();
            }
            "paths" => {
                for pair in value.split(',').filter(|pair| !pair.is_empty()) {
                    let (name, value) =
                        pair.split_once(':').ok_or_else(|| LoggingError::Pair(pair.to_owned()))?;
                    levels.targets.insert(target(name)?.into_owned(), level(value)?);
                }
            }
            name => {
                levels.targets.insert(target(name)?.into_owned(), level(value)?);
            }
        }
    }
    log.set_levels(levels).map_err(LoggingError::Refused)
}

fn level(word: &str) -> Result<LevelFilter, LoggingError> {
    parse_level(word).ok_or_else(|| LoggingError::UnknownLevel(word.to_owned()))
}

fn target(name: &str) -> Result<Cow<'static, str>, LoggingError> {
    if let Some((_, target)) = LOGGERS.iter().find(|(known, _)| *known == name) {
        return Ok(Cow::Borrowed(target));
    }
    let silent = SILENT.contains(&name).then(|| Cow::Owned(format!("{SILENT_TARGET}{name}")));
    silent.ok_or_else(|| LoggingError::UnknownLogger(name.to_owned()))
}

/// The log specification for `--proxyLogLevel` and `--proxyComponentLogLevel`; components that are unknown here
/// are left out.
pub(crate) fn specification(agent: &str, proxy: &str, components: &str) -> String {
    let mut parts = vec![agent.to_owned()];
    for entry in
        proxy.split(',').chain(components.split(',')).map(str::trim).filter(|entry| !entry.is_empty())
    {
        match entry.split_once(':') {
            None => parts.push(format!("sagene_proxy={entry}")),
            Some((name, level)) => parts.extend(target(name).ok().map(|target| format!("{target}={level}"))),
        }
    }
    // What the agent does is its own level, not the proxy's.
    let agent_level = agent.rsplit([':', '=']).next().unwrap_or("info");
    parts.push(format!("sagene_proxy::agent={agent_level}"));
    parts.push(format!("sagene_proxy::capture={agent_level}"));
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use sagene_base::logging::LogLevels;

    use super::*;

    #[test]
    fn istios_flags_make_a_specification_that_the_log_takes() {
        let text = specification("default:info", "warning", "misc:error,http:debug");
        let levels = LogLevels::parse(&text).unwrap();
        assert_eq!(levels.default, LevelFilter::INFO);
        assert_eq!(levels.targets["sagene_proxy"], LevelFilter::WARN);
        assert_eq!(levels.targets["sagene_proxy::http"], LevelFilter::DEBUG);
        assert_eq!(levels.targets["sagene_proxy::agent"], LevelFilter::INFO);
    }

    #[test]
    fn every_logger_of_envoys_is_known() {
        assert_eq!(target("wasm").unwrap(), "sagene_proxy::filter::attribute_gen");
        assert_eq!(target("redis").unwrap(), "envoy::redis");
        assert!(matches!(target("nope"), Err(LoggingError::UnknownLogger(_))));
        let twice = SILENT.iter().find(|name| LOGGERS.iter().any(|(known, _)| known == *name));
        assert_eq!(twice, None);
    }
}
