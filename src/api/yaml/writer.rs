//! Values as text, with quotes around what YAML 1.1 would take for something else.

use serde::Serialize;
use serde_json::{Map, Value};

use super::scalar;

/// Stands before a text that needs quotes, which the library would leave away. Of the private use area: nobody writes it.
const MARK: char = '\u{e000}';

/// The text of one document.
///
/// # Errors
/// Where a value has no form in JSON or YAML.
pub fn to_text(value: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let value = serde_yaml::to_value(value).and_then(serde_yaml::from_value::<Value>)?;
    let marked = serde_yaml::to_string(&mark(&value))?;
    if !marked.contains(MARK) {
        return Ok(marked);
    }
    let mut text = String::with_capacity(marked.len() + 16);
    let mut parts = marked.split(MARK);
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // What is marked is a word of letters and digits, and ends with the line, or as a key.
        let end = part.find([':', '\n']).unwrap_or(part.len());
        let (word, rest) = part.split_at(end);
        text.push('\'');
        text.push_str(word);
        text.push('\'');
        text.push_str(rest);
    }
    Ok(text)
}

fn mark(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mark_text(text)),
        Value::Array(items) => Value::Array(items.iter().map(mark).collect()),
        Value::Object(map) => {
            let mut marked = Map::new();
            for (key, value) in map {
                marked.insert(mark_text(key), mark(value));
            }
            Value::Object(marked)
        }
        other => other.clone(),
    }
}

fn mark_text(text: &str) -> String {
    if scalar::resolve(text).is_some() { format!("{MARK}{text}") } else { text.to_owned() }
}
