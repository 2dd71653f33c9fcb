//! From messages to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value, json};

use super::{JsonError, read};
use crate::envoy::reflect::{FieldDescriptor, Kind, MapKey, Message, Value as Field};

/// A message by the type URL or full name of its type.
pub(super) fn message(type_url: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    Ok(of_message(&read(type_url, bytes)?))
}

/// A message with its type.
pub(super) fn any(type_url: &str, bytes: &[u8]) -> Value {
    let mut map = Map::new();
    map.insert("@type".to_owned(), json!(type_url));
    match message(type_url, bytes) {
        Ok(Value::Object(fields)) => map.extend(fields),
        // Messages with a JSON of their own stand under `value`.
        Ok(value) => drop(map.insert("value".to_owned(), value)),
        Err(_) => drop(map.insert("value".to_owned(), json!(STANDARD.encode(bytes)))),
    }
    Value::Object(map)
}

fn of_message(message: &Message) -> Value {
    if let Some(value) = well_known(message) {
        return value;
    }
    let fields = message.set_fields().map(|(field, value)| (field.name().to_owned(), of_field(field, value)));
    Value::Object(fields.collect())
}

fn of_field(field: FieldDescriptor, value: &Field) -> Value {
    match (value, field.map()) {
        (Field::List(values), _) => values.iter().map(|value| of_value(field.kind(), value)).collect(),
        (Field::Map(entries), Some((_, of))) => {
            let entries = entries.iter().map(|(key, value)| (key_text(key), of_value(of.kind(), value)));
            Value::Object(entries.collect())
        }
        (value, _) => of_value(field.kind(), value),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn of_value(kind: Kind, value: &Field) -> Value {
    match value {
        Field::Bool(value) => json!(value),
        Field::I32(value) => json!(value),
        Field::U32(value) => json!(value),
        // Proto JSON writes 64-bit numbers as text: JavaScript cannot hold them.
        Field::I64(value) => json!(value.to_string()),
        Field::U64(value) => json!(value.to_string()),
        Field::F32(value) => float(f64::from(*value)),
        Field::F64(value) => float(*value),
        Field::String(value) => json!(value),
        Field::Bytes(value) => json!(STANDARD.encode(value)),
        Field::Enum(number) => {
            let name = if let Kind::Enum(descriptor) = kind { descriptor.name(*number) } else { None };
            name.map_or_else(|| json!(number), |name| json!(name))
        }
        Field::Message(message) => of_message(message),
        Field::List(_) | Field::Map(_) => Value::Null,
    }
}

fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => json!("NaN"),
        None if value > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    }
}

/// Messages that JSON writes in a way of their own.
fn well_known(message: &Message) -> Option<Value> {
    let name = message.descriptor().well_known_name()?;
    let get = |field: &str| message.by_name(field);
    let seconds = || Some((get("seconds")?.as_i64()?, get("nanos")?.as_i32()?));
    let only = |field: &str| Some(of_field(message.descriptor().field(field)?, get(field)?.as_ref()));
    let value = match name {
        "Any" => any(get("type_url")?.as_str()?, get("value")?.as_bytes()?),
        "Duration" => json!(duration(seconds()?)),
        "Timestamp" => json!(timestamp(seconds()?)?),
        "BoolValue" | "Int32Value" | "UInt32Value" | "Int64Value" | "UInt64Value" | "FloatValue"
        | "DoubleValue" | "StringValue" | "BytesValue" => only("value")?,
        "Struct" => only("fields")?,
        "ListValue" => only("values")?,
        "Value" => match message.set_fields().next() {
            Some((field, value)) if field.name() != "null_value" => of_field(field, value),
            _ => Value::Null,
        },
        "FieldMask" => {
            let paths = get("paths")?;
            let Field::List(paths) = paths.as_ref() else { return None };
            let paths: Vec<&str> = paths.iter().filter_map(Field::as_str).collect();
            json!(paths.join(","))
        }
        _ => return None,
    };
    Some(value)
}

/// `1.500s`: no fraction, or as many digits as are needed in threes.
fn duration((seconds, nanos): (i64, i32)) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos.unsigned_abs()))
}

fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos % 1000 == 0 => format!(".{:06}", nanos / 1000),
        nanos => format!(".{nanos:09}"),
    }
}

fn timestamp((seconds, nanos): (i64, i32)) -> Option<String> {
    let whole = jiff::Timestamp::from_second(seconds).ok()?.to_string();
    Some(format!("{}{}Z", whole.trim_end_matches('Z'), fraction(nanos.unsigned_abs())))
}
