//! What plain scalars mean: text, numbers, booleans, null.

use serde_json::{Number, Value};

/// The meaning of a plain scalar by YAML's core schema; `None` for numbers of unusual spelling.
pub(super) fn resolve(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if !matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') {
        return Some(match text {
            "null" | "Null" | "NULL" | "~" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        });
    }
    // No number of any spelling has one of these.
    if text.bytes().any(|byte| matches!(byte, b'g'..=b'h' | b'j'..=b'm' | b'p'..=b'w' | b'y'..=b'z' | b'/' | b':' | b' ' | b'*' | b','))
    {
        return Some(Value::String(text.to_owned()));
    }
    number(text)
}

fn number(text: &str) -> Option<Value> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let dots = digits.bytes().filter(|byte| *byte == b'.').count();
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_decimal || digits.len() > 15 || digits.starts_with('.') || digits.ends_with('.') {
        return None;
    }
    match dots {
        0 if digits == "0" && !sign.is_empty() => None,
        0 if digits.starts_with('0') && digits.len() > 1 => None,
        0 => {
            let number: i64 = text.parse().ok()?;
            Some(Value::Number(number.into()))
        }
        1 if digits.starts_with('0') && !digits.starts_with("0.") => None,
        1 => Number::from_f64(text.parse().ok()?).map(Value::Number),
        // An address.
        _ => Some(Value::String(text.to_owned())),
    }
}
