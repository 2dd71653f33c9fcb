//! YAML as Kubernetes' tools read it.
//!
//! They go by YAML 1.1 for plain scalars: `yes`, `on` and `y` are true, `0777` is octal, `1_000` is a number. The library here goes by
//! YAML 1.2 and takes such words for text, and merge keys (`<<`) for names: where a document has one, it is read again by its events.

mod reader;
mod scalar;
mod writer;

use serde::Deserialize;
use serde_json::Value;

pub use scalar::{resolve, word};
pub use writer::to_text;

/// Brackets that may be open at once. No object is nested so deeply.
pub const DEEPEST_NESTING: usize = 1000;

/// Where more brackets are open than any object needs: reading such text costs the square of its depth. Brackets within quotes count
/// too, which the limit leaves room for.
pub fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > DEEPEST_NESTING
    })
}

/// The one document of a text that seems to be nested too deeply. In JSON the brackets may all be within quotes, which is known soon.
fn deep(text: &str, at: usize) -> Result<Value, serde_yaml::Error> {
    serde_json::from_str(text).map_err(|_| {
        let line = text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
        serde::de::Error::custom(format!(
            "more than {DEEPEST_NESTING} brackets are open at line {line}; no object is nested so deeply"
        ))
    })
}

/// The value of a text of one document.
///
/// # Errors
/// Where it is no YAML, or nested more deeply than any object.
pub fn value(text: &str) -> Result<Value, serde_yaml::Error> {
    if let Some(at) = too_deep(text) {
        return deep(text, at);
    }
    let value: Value = serde_yaml::from_str(text)?;
    if !needs_events(&value) {
        return Ok(value);
    }
    let read = reader::documents(text).and_then(|mut documents| documents.pop());
    Ok(read.unwrap_or(value))
}

/// The values of a text of any number of documents; empty ones are `null`.
///
/// # Errors
/// Where it is no YAML, or nested more deeply than any object.
pub fn documents(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    if let Some(at) = too_deep(text) {
        return deep(text, at).map(|value| vec![value]);
    }
    let values: Vec<Value> =
        serde_yaml::Deserializer::from_str(text).map(Value::deserialize).collect::<Result<_, _>>()?;
    if !values.iter().any(needs_events) {
        return Ok(values);
    }
    let read = reader::documents(text).filter(|read| read.len() == values.len());
    Ok(read.unwrap_or(values))
}

/// Whether there is text that would be something else if it stood without quotes, or a mapping that may merge others.
fn needs_events(value: &Value) -> bool {
    match value {
        Value::String(text) => resolve(text).is_some(),
        Value::Array(items) => items.iter().any(needs_events),
        Value::Object(map) => {
            map.iter().any(|(key, value)| key == "<<" || resolve(key).is_some() || needs_events(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_nested_beyond_sense_is_refused_at_once() {
        let text = format!("a: 1\nb: {}", "[".repeat(200_000));
        let told = [value(&text).map(drop), documents(&text).map(drop)];
        for told in told.map(|told| told.expect_err("too deep").to_string()) {
            assert_eq!(told, "more than 1000 brackets are open at line 2; no object is nested so deeply");
        }
        let quoted = json!({"data": "[".repeat(2000)});
        assert_eq!(value(&quoted.to_string()).expect("JSON"), quoted);
    }

    #[test]
    fn plain_words_are_what_kubectl_takes_them_for() {
        for (text, expected) in [
            ("a: yes", json!({"a": true})),
            ("a: [y, Y, Yes, YES, on, On, ON]", json!({"a": [true, true, true, true, true, true, true]})),
            ("a: [n, No, off, OFF]", json!({"a": [false, false, false, false]})),
            ("a: [yEs, oN, 'yes', \"on\", !!str yes]", json!({"a": ["yEs", "oN", "yes", "on", "yes"]})),
            ("a: [0777, 0o17, 0x1F, -0x1f, 0b101, -0b11]", json!({"a": [511, 15, 31, -31, 5, -3]})),
            ("a: [1_000, 1__0, 1_, 1_0.5, 0_7, _1]", json!({"a": [1000, 10, 1, 10.5, 7, "_1"]})),
            (
                "a: [089, 0x, 0b12, 12:30, 2001-01-01]",
                json!({"a": [89.0, "0x", "0b12", "12:30", "2001-01-01"]}),
            ),
            ("yes: 1\n'no': 2\n", json!({"true": 1, "no": 2})),
            ("a: |\n  yes\nb: >\n  on\n  off\nc: y\n", json!({"a": "yes\n", "b": "on off\n", "c": true})),
            ("a: &x {b: on, c: d}\ne: *x\n", json!({"a": {"b": true, "c": "d"}, "e": {"b": true, "c": "d"}})),
            (
                "a: &x {b: on, c: d}\ne:\n  <<: *x\n  c: f\n",
                json!({"a": {"b": true, "c": "d"}, "e": {"b": true, "c": "f"}}),
            ),
            (
                "a: &x {b: 1, c: 2}\nd: &y {e: 3, b: 4}\nf: {<<: [*x, *y], c: 5}\ng: {'<<': *x}\n",
                json!({"a": {"b": 1, "c": 2}, "d": {"e": 3, "b": 4}, "f": {"b": 1, "c": 5, "e": 3}, "g": {"<<": {"b": 1, "c": 2}}}),
            ),
            ("- off\n-\n- ~\n- ''\n", json!([false, null, null, ""])),
        ] {
            assert_eq!(value(text).expect("YAML"), expected, "{text}");
        }
        assert!(value("a: [yes").is_err());
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for object in [
            json!({"a": "on", "b": ["yes", "0777", "1_000", "x"], "n": {"no": "No", "80": "80"}, "c": "a: on\n- yes\n", "d": "on: off"}),
            json!(["y", "", null, true, 1.5, "1e3", "a # on"]),
            json!("off"),
        ] {
            let text = to_text(&object).expect("YAML");
            assert_eq!(value(&text).expect("YAML"), object, "{text}");
        }
        assert_eq!(to_text(&json!({"a": "on", "b": "one"})).expect("YAML"), "a: 'on'\nb: one\n");
    }

    #[test]
    fn every_document_is_read() {
        let text = "# head\n---\na: yes\n---\n---\nb: 'no'\n...\n---\nc: no\n";
        assert_eq!(
            documents(text).expect("YAML"),
            [json!({"a": true}), Value::Null, json!({"b": "no"}), json!({"c": false})]
        );
    }

    #[test]
    fn aliases_of_aliases_do_not_grow_without_end() {
        let mut text = String::from("a0: &a0 [yes, yes, yes, yes, yes, yes, yes, yes, yes]\n");
        for level in 1..12 {
            let of = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![of; 9].join(", ")));
        }
        let _ = value(&text);
        assert!(reader::documents(&text).is_none());
    }
}
