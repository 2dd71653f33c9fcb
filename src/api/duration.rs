//! Durations as proto JSON writes them (`"1.5s"`), which on reading also accepts Go's spelling (`3m`, `1h30m`, `250ms`)
//! because Istio does and its documentation uses it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};
use thiserror::Error;

use crate::shape::{Form, Mistake, Reader, Shape};

/// The longest duration protobuf allows: 10,000 years, in seconds.
const LIMIT_SECONDS: i64 = 315_576_000_000;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A signed span of time with nanosecond resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Nanoseconds in total; at most ±10,000 years.
    nanos: i128,
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid duration {text:?}: write a number with a unit, such as \"1.5s\", \"250ms\" or \"3m\"")]
pub struct DurationError {
    text: String,
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self { nanos: 0 };

    /// A duration of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self { nanos: seconds as i128 * NANOS_PER_SECOND }
    }

    /// A duration of whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self { nanos: millis as i128 * 1_000_000 }
    }

    /// The whole seconds, rounded towards zero (protobuf's `seconds`).
    pub const fn seconds(self) -> i64 {
        (self.nanos / NANOS_PER_SECOND) as i64
    }

    /// The nanoseconds beyond the whole seconds, of the same sign (protobuf's `nanos`).
    pub const fn subsec_nanos(self) -> i32 {
        (self.nanos % NANOS_PER_SECOND) as i32
    }

    /// The whole milliseconds, rounded towards zero.
    pub const fn as_millis(self) -> i64 {
        (self.nanos / 1_000_000) as i64
    }

    /// The same span for timers; negative spans become zero.
    pub fn to_std(self) -> std::time::Duration {
        let nanos = self.nanos.max(0) as u128;
        std::time::Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    /// The protobuf message of the same span.
    pub fn to_proto(self) -> prost_types::Duration {
        prost_types::Duration { seconds: self.seconds(), nanos: self.subsec_nanos() }
    }
}

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Self {
        Self { nanos: span.as_nanos().min(LIMIT_SECONDS as u128 * 1_000_000_000) as i128 }
    }
}

impl From<prost_types::Duration> for Duration {
    fn from(span: prost_types::Duration) -> Self {
        Self { nanos: i128::from(span.seconds) * NANOS_PER_SECOND + i128::from(span.nanos) }
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let fail = || DurationError { text: text.to_owned() };
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        let mut nanos: i128 = 0;
        while !rest.is_empty() {
            let (part, tail) = leading_component(rest).ok_or_else(fail)?;
            nanos = nanos.checked_add(part).ok_or_else(fail)?;
            rest = tail;
        }
        if !text.ends_with(['s', 'm', 'h']) || nanos > i128::from(LIMIT_SECONDS) * NANOS_PER_SECOND {
            return Err(fail());
        }
        Ok(Self { nanos: sign * nanos })
    }
}

/// Splits `1.5s…` into its nanoseconds and the rest.
fn leading_component(text: &str) -> Option<(i128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 15 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = fraction.get(..fraction.len().min(18))?;
    let fraction_nanos = match fraction {
        "" => 0,
        digits => digits.parse::<i128>().ok()? * scale / 10_i128.pow(digits.len() as u32),
    };
    Some((whole * scale + fraction_nanos, rest))
}

impl fmt::Display for Duration {
    /// Writes proto JSON: seconds with 0, 3, 6 or 9 decimals and the suffix `s`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let (seconds, nanos) = (self.seconds().unsigned_abs(), self.subsec_nanos().unsigned_abs());
        match nanos {
            0 => write!(formatter, "{sign}{seconds}s"),
            n if n % 1_000_000 == 0 => write!(formatter, "{sign}{seconds}.{:03}s", n / 1_000_000),
            n if n % 1_000 == 0 => write!(formatter, "{sign}{seconds}.{:06}s", n / 1_000),
            n => write!(formatter, "{sign}{seconds}.{n:09}s"),
        }
    }
}

impl Shape for Duration {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = reader.text("a string")?.parse().map_err(Mistake::custom)?;
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Text(Cow::Owned(self.to_string()))
    }

    fn is_blank(&self) -> bool {
        *self == Self::ZERO
    }

    fn schema() -> Value {
        json!({
            "type": "string",
            "x-kubernetes-validations": [{
                "message": "must be a valid duration greater than 1ms",
                "rule": "duration(self) >= duration('1ms')",
            }],
        })
    }
}

serde_by_shape!(Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proto_and_go_spellings_and_writes_proto() {
        for (text, written) in [
            ("1.5s", "1.500s"),
            ("3m", "180s"),
            ("1h30m", "5400s"),
            ("250ms", "0.250s"),
            ("0", "0s"),
            ("0s", "0s"),
            ("-2.000001s", "-2.000001s"),
            ("1ns", "0.000000001s"),
        ] {
            assert_eq!(text.parse::<Duration>().map(|d| d.to_string()), Ok(written.to_owned()), "{text}");
        }
    }

    #[test]
    fn rejects_what_has_no_unit_or_overflows() {
        for text in ["", "1", "s", "1.2.3s", "5 s", "1d", "-", "999999999999999h", "1é"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
