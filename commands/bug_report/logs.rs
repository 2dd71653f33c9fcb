//! How important a log is, for when not all fit; and which of its lines were asked for.

use jiff::Timestamp;

use super::selection::glob;
use super::settings::Settings;

/// What was seen in a log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Importance {
    critical: u64,
    fatal: u64,
    errors: u64,
    warnings: u64,
}

impl Importance {
    /// Takes a line into account.
    pub(super) fn see(&mut self, line: &str, settings: &Settings) {
        let anywhere = |pattern: &String| glob(&format!("*{pattern}*"), line);
        let level = level(line);
        if level.is_empty() || settings.ignored.iter().any(anywhere) {
            return;
        }
        if settings.critical.iter().any(anywhere) {
            self.critical += 1;
        }
        match level {
            "fatal" => self.fatal += 1,
            "error" => self.errors += 1,
            _ => self.warnings += 1,
        }
    }

    /// More is more important; anything critical beats everything else.
    pub(super) fn weight(self) -> u64 {
        let least = self.errors.saturating_mul(10).saturating_add(self.warnings).min(1 << 40);
        self.critical.min(1 << 10) << 52 | self.fatal.min(1 << 10) << 41 | least
    }
}

/// The level of a line, where it is one that matters: a word among the first few, whatever its case.
fn level(line: &str) -> &'static str {
    for word in line.split([' ', '\t', '[', ']']).filter(|word| !word.is_empty()).take(4) {
        for (names, level) in
            [(["fatal", "critical"], "fatal"), (["error", "err"], "error"), (["warn", "warning"], "warn")]
        {
            if names.iter().any(|name| word.eq_ignore_ascii_case(name)) {
                return level;
            }
        }
    }
    ""
}

/// Divides a line into the time that the API server put before it and the rest.
pub(super) fn stamped(line: &str) -> (Option<Timestamp>, &str) {
    match line.split_once(' ') {
        Some((time, rest)) => match time.parse() {
            Ok(time) => (Some(time), rest),
            Err(_) => (None, line),
        },
        None => (line.parse().ok(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_in_the_usual_places() {
        for (line, expected) in [
            ("2026-11-21T10:00:00.1Z\terror\txds\tno", "error"),
            ("2026-11-21T10:00:00.1Z  WARN xds: no", "warn"),
            ("[2026-11-21 10:00:00.1][12][critical][main] x", "fatal"),
            ("2026-11-21T10:00:00.1Z info x: an error", ""),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_critical_comes_first() {
        let critical = Importance { critical: 1, ..Importance::default() };
        let many = Importance { errors: u64::MAX, fatal: u64::MAX, warnings: 3, critical: 0 };
        assert!(critical.weight() > many.weight());
        assert!(many.weight() > Importance { errors: 5, ..Importance::default() }.weight());
    }
}
