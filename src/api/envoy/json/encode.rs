//! From messages to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value as Field,
};
use serde_json::{Map, Number, Value, json};

use super::{JsonError, full_name};

/// A message by its full name.
pub(super) fn message(pool: &DescriptorPool, name: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    let descriptor = pool.get_message_by_name(name).ok_or_else(|| JsonError::UnknownType(name.to_owned()))?;
    let message = DynamicMessage::decode(descriptor, bytes)
        .map_err(|source| JsonError::Bytes { type_name: name.to_owned(), source })?;
    Ok(of_message(pool, &message))
}

/// A message with its type.
pub(super) fn any(pool: &DescriptorPool, type_url: &str, bytes: &[u8]) -> Value {
    let mut map = Map::new();
    map.insert("@type".to_owned(), json!(type_url));
    match message(pool, full_name(type_url), bytes) {
        Ok(Value::Object(fields)) => map.extend(fields),
        // Messages with a JSON of their own stand under `value`.
        Ok(value) => drop(map.insert("value".to_owned(), value)),
        Err(_) => drop(map.insert("value".to_owned(), json!(STANDARD.encode(bytes)))),
    }
    Value::Object(map)
}

fn of_message(pool: &DescriptorPool, message: &DynamicMessage) -> Value {
    if let Some(value) = well_known(pool, message) {
        return value;
    }
    let mut map = Map::new();
    for field in message.descriptor().fields() {
        if message.has_field(&field) {
            map.insert(field.name().to_owned(), of_field(pool, &field, &message.get_field(&field)));
        }
    }
    Value::Object(map)
}

fn of_field(pool: &DescriptorPool, field: &FieldDescriptor, value: &Field) -> Value {
    match value {
        Field::List(values) => values.iter().map(|value| of_value(pool, &field.kind(), value)).collect(),
        Field::Map(entries) => {
            let Kind::Message(entry) = field.kind() else {
                return Value::Null;
            };
            let kind = entry.map_entry_value_field().kind();
            let mut sorted: Vec<(String, Value)> =
                entries.iter().map(|(key, value)| (key_text(key), of_value(pool, &kind, value))).collect();
            sorted.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(sorted.into_iter().collect())
        }
        value => of_value(pool, &field.kind(), value),
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

fn of_value(pool: &DescriptorPool, kind: &Kind, value: &Field) -> Value {
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
        Field::EnumNumber(number) => match kind {
            Kind::Enum(descriptor) => match descriptor.get_value(*number) {
                Some(value) => json!(value.name()),
                None => json!(number),
            },
            _ => json!(number),
        },
        Field::Message(message) => of_message(pool, message),
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
fn well_known(pool: &DescriptorPool, message: &DynamicMessage) -> Option<Value> {
    let descriptor = message.descriptor();
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    let get = |field: &str| message.get_field_by_name(field);
    let value = match name {
        "Any" => any(pool, get("type_url")?.as_str()?, get("value")?.as_bytes()?),
        "Duration" => json!(duration(get("seconds")?.as_i64()?, get("nanos")?.as_i32()?)),
        "Timestamp" => json!(timestamp(get("seconds")?.as_i64()?, get("nanos")?.as_i32()?)?),
        "BoolValue" | "Int32Value" | "UInt32Value" | "Int64Value" | "UInt64Value" | "FloatValue"
        | "DoubleValue" | "StringValue" | "BytesValue" => {
            let field = descriptor.get_field_by_name("value")?;
            of_value(pool, &field.kind(), &message.get_field(&field))
        }
        "Struct" => {
            let field = descriptor.get_field_by_name("fields")?;
            of_field(pool, &field, &message.get_field(&field))
        }
        "ListValue" => {
            let field = descriptor.get_field_by_name("values")?;
            of_field(pool, &field, &message.get_field(&field))
        }
        "Value" => {
            let field = descriptor.fields().find(|field| message.has_field(field));
            match field {
                Some(field) if field.name() != "null_value" => {
                    of_value(pool, &field.kind(), &message.get_field(&field))
                }
                _ => Value::Null,
            }
        }
        "FieldMask" => {
            let paths = get("paths")?;
            let paths: Vec<&str> = paths.as_list()?.iter().filter_map(Field::as_str).collect();
            json!(paths.join(","))
        }
        _ => return None,
    };
    Some(value)
}

/// `1.500s`: no fraction, or as many digits as are needed in threes.
fn duration(seconds: i64, nanos: i32) -> String {
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

fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
    let whole = jiff::Timestamp::from_second(seconds).ok()?.to_string();
    Some(format!("{}{}Z", whole.trim_end_matches('Z'), fraction(nanos.unsigned_abs())))
}
