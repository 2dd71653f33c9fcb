//! What plain scalars are in YAML 1.1 and not in 1.2.

use serde_json::Value;

/// What a plain scalar means to Kubernetes' tools where YAML 1.2 takes it for text; `None` where it is text to both.
pub fn resolve(text: &str) -> Option<Value> {
    match text.as_bytes().first()? {
        b'y' | b'Y' | b'n' | b'N' | b'o' | b'O' => word(text).map(Value::Bool),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => None,
    }
}

/// The boolean that a word is; `true` and `false` themselves are booleans to both.
pub fn word(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Numbers may be octal by a leading 0 alone, and have `_` between digits.
fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => ("-", &plain[1..]),
        b'+' => ("", &plain[1..]),
        _ => ("", &*plain),
    };
    let lower = digits.to_ascii_lowercase();
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, base)));
    let (digits, base) = match based {
        Some(found) => found,
        None if lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (&lower[1..], 8)
        }
        None => (&*lower, 10),
    };
    if !digits.starts_with(['+', '-']) {
        if let Ok(whole) = i64::from_str_radix(&format!("{sign}{digits}"), base) {
            return Some(whole.into());
        }
        if let Some(whole) = u64::from_str_radix(digits, base).ok().filter(|_| sign.is_empty()) {
            return Some(whole.into());
        }
    }
    let is_float = based.is_none() && is_float(&lower);
    let float = format!("{sign}{lower}").parse::<f64>().ok().filter(|_| is_float)?;
    serde_json::Number::from_f64(float).map(Value::Number)
}

/// Digits with at most one point among them, and an exponent.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits =
        all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_fits && exponent_fits
}
