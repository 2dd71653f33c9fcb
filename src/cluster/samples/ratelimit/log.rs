//! Lines of the log, as the original writes them (logrus, text).

use std::sync::atomic::{AtomicU8, Ordering};

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Error = 2,
    Warning = 3,
    Info = 4,
    Debug = 5,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Warning as u8);

impl Level {
    /// A level by its name; `trace` is what `debug` is here.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "panic" | "fatal" | "error" => Some(Self::Error),
            "warn" | "warning" => Some(Self::Warning),
            "info" => Some(Self::Info),
            "debug" | "trace" => Some(Self::Debug),
            _ => None,
        }
    }
}

pub(super) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

pub(super) fn error(text: &str) {
    write(Level::Error, "error", text);
}

pub(super) fn warning(text: &str) {
    write(Level::Warning, "warning", text);
}

/// The text is made only where it is written.
pub(super) fn debug(text: impl FnOnce() -> String) {
    if Level::Debug as u8 <= LEVEL.load(Ordering::Relaxed) {
        write(Level::Debug, "debug", &text());
    }
}

fn write(level: Level, name: &str, text: &str) {
    if level as u8 <= LEVEL.load(Ordering::Relaxed) {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        eprintln!("time=\"{now}\" level={name} msg={text:?}");
    }
}
