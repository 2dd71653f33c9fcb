//! What is said of values that do not fit.

use sagene_api::{Duration, Tree};

use super::compile::{Check, Kind, Node};

/// What is wrong with a duration, where something is.
pub(super) fn duration_problem(text: &str) -> Option<String> {
    match text.parse::<Duration>() {
        Err(error) => Some(error.to_string()),
        Ok(duration) if duration < Duration::from_millis(1) => {
            Some(format!("{text:?} is too short; a duration must be at least 1ms"))
        }
        Ok(_) => None,
    }
}

/// The value has the wrong type: what is wanted, and how to write it.
pub(super) fn mismatch(node: &Node, value: &Tree<'_>) -> String {
    let wanted = match &node.kind {
        Kind::Object { .. } | Kind::Map { .. } => "a mapping",
        Kind::List { .. } => "a list",
        Kind::Text { .. } => "a string",
        Kind::Integer { .. } => "a whole number",
        Kind::Number { .. } => "a number",
        Kind::Boolean => "true or false",
        Kind::IntegerOrText => "a number or a string",
        Kind::Any => "something else",
    };
    let is_whole = matches!(node.kind, Kind::Integer { .. });
    let found = match value {
        Tree::Null => "null",
        Tree::Bool(_) => "a boolean",
        Tree::Number(number) if number.is_f64() && is_whole => "a fraction",
        Tree::Number(_) => "a number",
        Tree::Text(_) => "a string",
        Tree::List(_) => "a list",
        Tree::Map(_) => "a mapping",
    };
    let is_duration = node.rules.iter().any(|rule| matches!(rule.check, Check::Duration));
    let way_out = match (&node.kind, value) {
        (Kind::Text { .. }, Tree::Number(number)) if is_duration => format!("; add a unit, as in {number}s"),
        (Kind::Text { .. }, Tree::Number(_) | Tree::Bool(_)) if !node.words.is_empty() => {
            format!("; want one of {}", node.words.join(", "))
        }
        // What it was before it was read as a number, `1.10` or `yes`, is what belongs in quotes.
        (Kind::Text { .. }, Tree::Number(_) | Tree::Bool(_)) => "; put it in quotes".to_owned(),
        (Kind::Integer { .. } | Kind::Number { .. }, Tree::Text(text)) if text.parse::<f64>().is_ok() => {
            format!("; write {text} without quotes")
        }
        (Kind::Boolean, Tree::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => "; write true, without quotes".to_owned(),
            "false" | "no" | "off" | "n" => "; write false, without quotes".to_owned(),
            _ => String::new(),
        },
        (Kind::List { .. }, _) => "; begin each element with \"- \"".to_owned(),
        _ => String::new(),
    };
    format!("must be {wanted}, not {found}{way_out}")
}
