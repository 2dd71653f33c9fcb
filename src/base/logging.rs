//! Logging set-up: one line per event in Istio's layout (or JSON), levels per target that an admin endpoint can change at run time.
//!
//! A level specification is a comma-separated list as in `info`, `info,sagene_xds=debug`, or istioctl's `default:info,xds:debug`:
//! an entry without target (or with `default`, `all`, `*`) sets the level of everything else. A target without `sagene_` in front
//! that names one of our crates is completed.

use std::{collections::BTreeMap, sync::Mutex, sync::PoisonError};

use thiserror::Error;
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Registry,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

/// Where log lines go. Servers log to stdout as istiod does; command lines keep stdout for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    #[default]
    Stderr,
}

/// How a line is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `time<TAB>level<TAB>scope<TAB>message key=value`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Options of [`init`].
#[derive(Debug, Clone, Default)]
pub struct LoggingOptions {
    /// Level specification; empty means `info`.
    pub levels: String,
    /// Destination.
    pub target: LogTarget,
    /// Layout.
    pub format: LogFormat,
}

/// Why logging could not be set up or changed.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// A word that is no level.
    #[error("unknown log level {level:?} in {entry:?}: use trace, debug, info, warn, error or none")]
    UnknownLevel {
        /// The whole entry.
        entry: String,
        /// The part that is wrong.
        level: String,
    },
    /// [`init`] ran before in this process.
    #[error("logging is already set up in this process")]
    AlreadySetUp,
    /// The logging layer is gone (process exit).
    #[error("logging is shut down")]
    ShutDown,
}

/// Levels by target, with a default for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels {
    /// Level of every target without an entry of its own.
    pub default: LevelFilter,
    /// Own levels.
    pub targets: BTreeMap<String, LevelFilter>,
}

impl LogLevels {
    /// Reads a level specification; see the module text.
    pub fn parse(specification: &str) -> Result<Self, LoggingError> {
        let mut levels = Self { default: LevelFilter::INFO, targets: BTreeMap::new() };
        for entry in specification.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (target, level) = match entry.rsplit_once([':', '=']) {
                Some((target, level)) => (target, level),
                None => ("default", entry),
            };
            let level = parse_level(level).ok_or_else(|| LoggingError::UnknownLevel {
                entry: entry.to_owned(),
                level: level.to_owned(),
            })?;
            match target {
                "default" | "all" | "*" => levels.default = level,
                _ => {
                    levels.targets.insert(complete_target(target), level);
                }
            }
        }
        Ok(levels)
    }

    fn filter(&self) -> Targets {
        Targets::new()
            .with_default(self.default)
            .with_targets(self.targets.iter().map(|(target, level)| (target.clone(), *level)))
    }
}

/// Reads one level word; Envoy's and Istio's spellings are accepted.
pub fn parse_level(word: &str) -> Option<LevelFilter> {
    match word.to_ascii_lowercase().as_str() {
        "trace" => Some(LevelFilter::TRACE),
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "error" | "critical" | "fatal" => Some(LevelFilter::ERROR),
        "none" | "off" => Some(LevelFilter::OFF),
        _ => None,
    }
}

fn complete_target(target: &str) -> String {
    const OURS: [&str; 9] =
        ["base", "store", "identity", "xds", "control", "proxy", "console", "cluster", "manifest"];
    if OURS.contains(&target) { format!("sagene_{target}") } else { target.to_owned() }
}

/// Changes levels of a running process; cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct LogHandle {
    reload: reload::Handle<Targets, Registry>,
    levels: Mutex<LogLevels>,
}

impl LogHandle {
    /// The levels in force.
    pub fn levels(&self) -> LogLevels {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces every level.
    pub fn set_levels(&self, levels: LogLevels) -> Result<(), LoggingError> {
        self.reload.reload(levels.filter()).map_err(|_| LoggingError::ShutDown)?;
        *self.levels.lock().unwrap_or_else(PoisonError::into_inner) = levels;
        Ok(())
    }

    /// Sets the level of one target, or of everything else with `None`.
    pub fn set_level(&self, target: Option<&str>, level: LevelFilter) -> Result<(), LoggingError> {
        let mut levels = self.levels();
        match target {
            Some(target) => {
                levels.targets.insert(complete_target(target), level);
            }
            None => levels.default = level,
        }
        self.set_levels(levels)
    }
}

/// Sets up logging for this process; at most once.
pub fn init(options: &LoggingOptions) -> Result<LogHandle, LoggingError> {
    let levels = LogLevels::parse(&options.levels)?;
    let (filter, reload) = reload::Layer::new(levels.filter());
    let writer = match options.target {
        LogTarget::Stdout => tracing_subscriber::fmt::writer::BoxMakeWriter::new(std::io::stdout),
        LogTarget::Stderr => tracing_subscriber::fmt::writer::BoxMakeWriter::new(std::io::stderr),
    };
    let registry = tracing_subscriber::registry().with(filter);
    // A log that cannot be written, as on a full disk, must not end the threads that write it.
    let layer =
        tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).log_internal_errors(false);
    let done = match options.format {
        LogFormat::Text => registry.with(layer.event_format(IstioText)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    done.map_err(|_| LoggingError::AlreadySetUp)?;
    Ok(LogHandle { reload, levels: Mutex::new(levels) })
}

/// Istio's text layout.
struct IstioText;

impl<S, N> FormatEvent<S, N> for IstioText
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let target = event.metadata().target();
        let scope = target.strip_prefix("sagene_").unwrap_or(target);
        write!(writer, "\t{level}\t{scope}\t")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istioctl_and_tracing_spellings_mean_the_same() {
        let istio = LogLevels::parse("default:warn,xds:debug").unwrap();
        let tracing = LogLevels::parse("warn,sagene_xds=debug").unwrap();
        assert_eq!(istio, tracing);
        assert_eq!(istio.targets["sagene_xds"], LevelFilter::DEBUG);
    }

    #[test]
    fn a_module_path_may_stand_before_the_level() {
        let levels = LogLevels::parse("info,sagene_proxy::agent=debug").unwrap();
        assert_eq!(levels.targets["sagene_proxy::agent"], LevelFilter::DEBUG);
    }

    #[test]
    fn a_wrong_level_is_named() {
        let error = LogLevels::parse("info,xds:loud").unwrap_err().to_string();
        assert!(error.contains("\"loud\"") && error.contains("xds:loud"), "{error}");
    }
}
