//! Conversions, durations, points in time and quantities.

use std::str::FromStr;

use sagene_api::Duration;

use super::{Function, Outcome, error, global, method, no_overload};
use crate::value::Value;

const BILLION: i128 = 1_000_000_000;

pub(super) const FUNCTIONS: &[Function] = &[
    global("int", 1, int),
    global("uint", 1, int),
    global("double", 1, double),
    global("string", 1, string),
    global("bool", 1, boolean),
    global("dyn", 1, |values| values.first().cloned().map_or_else(|| no_overload("dyn", values), Ok)),
    global("type", 1, |values| Ok(Value::owned(values.first().map_or("", Value::type_name).to_owned()))),
    global("duration", 1, duration),
    global("timestamp", 1, timestamp),
    method("getSeconds", 1, 1, |values| span(values, BILLION)),
    method("getMinutes", 1, 1, |values| span(values, 60 * BILLION)),
    method("getHours", 1, 1, |values| span(values, 3600 * BILLION)),
    method("getMilliseconds", 1, 1, |values| span(values, 1_000_000)),
    global("quantity", 1, |values| match values {
        [Value::Text(text)] => quantity(text)
            .map_or_else(|| error(format!("{text:?} is no quantity")), |made| Ok(Value::Quantity(made))),
        _ => no_overload("quantity", values),
    }),
    global("isQuantity", 1, |values| match values {
        [Value::Text(text)] => Ok(Value::Boolean(quantity(text).is_some())),
        _ => no_overload("isQuantity", values),
    }),
    method("isGreaterThan", 2, 2, |values| compared(values, |left, right| left > right)),
    method("isLessThan", 2, 2, |values| compared(values, |left, right| left < right)),
    method("compareTo", 2, 2, |values| match values {
        [Value::Quantity(left), Value::Quantity(right)] => Ok(Value::Integer(left.cmp(right) as i64)),
        _ => no_overload("compareTo", values),
    }),
    method("sign", 1, 1, |values| match values {
        [Value::Quantity(of)] => Ok(Value::Integer(of.signum() as i64)),
        _ => no_overload("sign", values),
    }),
    method("isInteger", 1, 1, |values| match values {
        [Value::Quantity(of)] => Ok(Value::Boolean(of % BILLION == 0 && i64::try_from(of / BILLION).is_ok())),
        _ => no_overload("isInteger", values),
    }),
    method("asInteger", 1, 1, |values| match values {
        [Value::Quantity(of)] if of % BILLION == 0 => match i64::try_from(of / BILLION) {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) => error("the quantity is too large for an int".to_owned()),
        },
        _ => no_overload("asInteger", values),
    }),
    method("asApproximateFloat", 1, 1, |values| match values {
        [Value::Quantity(of)] => Ok(Value::Double(*of as f64 / 1e9)),
        _ => no_overload("asApproximateFloat", values),
    }),
    method("add", 2, 2, |values| sum(values, 1)),
    method("sub", 2, 2, |values| sum(values, -1)),
];

/// A duration in billionths of a second.
pub(crate) fn nanos(duration: Duration) -> i128 {
    i128::from(duration.seconds()) * BILLION + i128::from(duration.subsec_nanos())
}

/// The duration of so many billionths of a second.
pub(crate) fn duration_of(nanos: i128) -> Duration {
    let mut made = Duration::from_secs((nanos / BILLION) as i64).to_proto();
    made.nanos = (nanos % BILLION) as i32;
    Duration::from(made)
}

fn int<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Integer(number)] => Ok(Value::Integer(*number)),
        // Saturates; what lies beyond is refused.
        [Value::Double(number)] if number.abs() < 9.2e18 => Ok(Value::Integer(*number as i64)),
        [Value::Text(text)] => match text.parse() {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) => error(format!("{text:?} is no int")),
        },
        [Value::Timestamp(time)] => Ok(Value::Integer(time.as_second())),
        _ => no_overload("int", values),
    }
}

fn double<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Text(text)] => match text.parse() {
            Ok(number) => Ok(Value::Double(number)),
            Err(_) => error(format!("{text:?} is no double")),
        },
        [other] => {
            other.number().map_or_else(|| no_overload("double", values), |number| Ok(Value::Double(number)))
        }
        _ => no_overload("double", values),
    }
}

fn string<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::owned(match values {
        [text @ Value::Text(_)] => return Ok(text.clone()),
        [Value::Boolean(flag)] => flag.to_string(),
        [Value::Integer(number)] => number.to_string(),
        [Value::Double(number)] => number.to_string(),
        [Value::Duration(duration)] => duration.to_string(),
        [Value::Timestamp(time)] => time.to_string(),
        [Value::Address(address)] => address.to_string(),
        [Value::Subnet(address, length)] => format!("{address}/{length}"),
        _ => return no_overload("string", values),
    }))
}

fn boolean<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Boolean(flag)] => Ok(Value::Boolean(*flag)),
        [Value::Text(text)] => match text.as_ref() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Boolean(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Boolean(false)),
            other => error(format!("{other:?} is no bool")),
        },
        _ => no_overload("bool", values),
    }
}

fn duration<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Text(text)] => match Duration::from_str(text) {
            Ok(duration) => Ok(Value::Duration(duration)),
            Err(reason) => error(reason.to_string()),
        },
        [Value::Duration(duration)] => Ok(Value::Duration(*duration)),
        _ => no_overload("duration", values),
    }
}

fn timestamp<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Text(text)] => match text.parse() {
            Ok(time) => Ok(Value::Timestamp(time)),
            Err(_) => error(format!("{text:?} is no timestamp")),
        },
        [Value::Timestamp(time)] => Ok(Value::Timestamp(*time)),
        _ => no_overload("timestamp", values),
    }
}

fn span<'a>(values: &[Value<'a>], unit: i128) -> Outcome<'a> {
    match values {
        [Value::Duration(duration)] => {
            Ok(Value::Integer(i64::try_from(nanos(*duration) / unit).unwrap_or(i64::MAX)))
        }
        _ => no_overload("getSeconds", values),
    }
}

fn compared<'a>(values: &[Value<'a>], test: fn(i128, i128) -> bool) -> Outcome<'a> {
    match values {
        [Value::Quantity(left), Value::Quantity(right)] => Ok(Value::Boolean(test(*left, *right))),
        _ => no_overload("isGreaterThan", values),
    }
}

fn sum<'a>(values: &[Value<'a>], sign: i128) -> Outcome<'a> {
    let right = match values {
        [Value::Quantity(_), Value::Quantity(right)] => Some(*right),
        [Value::Quantity(_), Value::Integer(right)] => Some(i128::from(*right) * BILLION),
        _ => None,
    };
    match (values.first(), right) {
        (Some(Value::Quantity(left)), Some(right)) => match left.checked_add(sign * right) {
            Some(made) => Ok(Value::Quantity(made)),
            None => error("quantity overflow".to_owned()),
        },
        _ => no_overload("add", values),
    }
}

/// A quantity of Kubernetes (`100m`, `1.5Gi`) in billionths.
fn quantity(text: &str) -> Option<i128> {
    let end = text
        .char_indices()
        .position(|(at, c)| !(c.is_ascii_digit() || c == '.' || (at == 0 && matches!(c, '+' | '-'))))
        .unwrap_or(text.len());
    let (number, suffix) = (text.get(..end)?, text.get(end..)?);
    let scale: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => BILLION,
        "k" => BILLION * 1_000,
        "M" => BILLION * 1_000_000,
        "G" => BILLION * BILLION,
        "T" => BILLION * BILLION * 1_000,
        "P" => BILLION * BILLION * 1_000_000,
        "E" => BILLION * BILLION * BILLION,
        "Ki" => BILLION << 10,
        "Mi" => BILLION << 20,
        "Gi" => BILLION << 30,
        "Ti" => BILLION << 40,
        "Pi" => BILLION << 50,
        "Ei" => BILLION << 60,
        _ => return None,
    };
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = fraction.get(..fraction.len().min(9))?;
    let parts = match fraction {
        "" => 0,
        digits => digits.parse::<i128>().ok()?.checked_mul(scale)? / 10_i128.pow(digits.len() as u32),
    };
    whole.checked_mul(scale)?.checked_add(parts).map(|made| sign * made)
}
