//! What plain scalars mean: text, numbers, booleans, null.

use sagene_api::Tree;
use serde_json::Number;

/// The meaning of a plain scalar as [`sagene_api::yaml`] has it; `None` for numbers of unusual spelling.
pub(super) fn resolve(text: &str) -> Option<Tree<'_>> {
    let first = *text.as_bytes().first()?;
    if !matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') {
        return Some(match text {
            "null" | "Null" | "NULL" | "~" => Tree::Null,
            "true" | "True" | "TRUE" => Tree::Bool(true),
            "false" | "False" | "FALSE" => Tree::Bool(false),
            _ => match sagene_api::yaml::word(text) {
                Some(flag) => Tree::Bool(flag),
                None => Tree::Text(text),
            },
        });
    }
    // No number of any spelling has one of these.
    if text.bytes().any(|byte| matches!(byte, b'g'..=b'h' | b'j'..=b'm' | b'p'..=b'w' | b'y'..=b'z' | b'/' | b':' | b' ' | b'*' | b','))
    {
        return Some(Tree::Text(text));
    }
    number(text)
}

fn number(text: &str) -> Option<Tree<'_>> {
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
            Some(Tree::Number(number.into()))
        }
        1 if digits.starts_with('0') && !digits.starts_with("0.") => None,
        1 => Number::from_f64(text.parse().ok()?).map(Tree::Number),
        // An address.
        _ => Some(Tree::Text(text)),
    }
}
