//! From JSON to messages, with the path of what does not fit.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{JsonError, descriptor, full_name};
use crate::envoy::reflect::{FieldDescriptor, Kind, MapKey, Message, MessageDescriptor, Value as Field};

/// A message by the type URL or full name of its type, encoded.
pub(super) fn message(type_url: &str, value: &Value) -> Result<Vec<u8>, JsonError> {
    Ok(read_message(descriptor(type_url)?, value, &Path::Root)?.encode())
}

/// Where in the JSON a value is; written out only when something is wrong there.
enum Path<'a> {
    Root,
    Name(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Name(Self::Root, name) => f.write_str(name),
            Self::Name(above, name) => write!(f, "{above}.{name}"),
            Self::Index(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}

fn wrong(path: &Path<'_>, reason: impl Into<String>) -> JsonError {
    let path = path.to_string();
    JsonError::Field {
        path: if path.is_empty() { "the top level".to_owned() } else { path },
        reason: reason.into(),
    }
}

fn read_message(descriptor: MessageDescriptor, value: &Value, path: &Path<'_>) -> Result<Message, JsonError> {
    if let Some(message) = well_known(descriptor, value, path)? {
        return Ok(message);
    }
    let Value::Object(map) = value else {
        return Err(wrong(path, format!("expected a map of the fields of {}", descriptor.full_name())));
    };
    let mut message = Message::new(descriptor);
    for (name, value) in map {
        if name == "@type" {
            continue;
        }
        let path = Path::Name(path, name);
        let field = descriptor
            .field_of_json(name)
            .ok_or_else(|| wrong(&path, format!("{} has no such field", descriptor.full_name())))?;
        // null means not set, except where null is a value.
        if value.is_null() && !is_value(field) {
            continue;
        }
        if let Some((other, _)) = message.set_fields().find(|(other, _)| field.excludes(*other)) {
            return Err(wrong(
                &path,
                format!("only one of {} and {} can be set", other.name(), field.name()),
            ));
        }
        let value = read_field(field, value, &path)?;
        message.set(field, value);
    }
    Ok(message)
}

fn read_field(field: FieldDescriptor, value: &Value, path: &Path<'_>) -> Result<Field, JsonError> {
    if let Some(entry) = field.map() {
        return read_map(entry, value, path);
    }
    if !field.is_repeated() {
        return read_value(field.kind(), value, path);
    }
    let Value::Array(values) = value else {
        return Err(wrong(path, "expected a list"));
    };
    let values: Result<Vec<Field>, JsonError> = values
        .iter()
        .enumerate()
        .map(|(index, value)| read_value(field.kind(), value, &Path::Index(path, index)))
        .collect();
    Ok(Field::List(values?))
}

fn read_map(
    (key_field, value_field): (FieldDescriptor, FieldDescriptor),
    value: &Value,
    path: &Path<'_>,
) -> Result<Field, JsonError> {
    let Value::Object(map) = value else {
        return Err(wrong(path, "expected a map"));
    };
    let mut entries = BTreeMap::new();
    for (key, value) in map {
        let path = Path::Name(path, key);
        let key = map_key(key_field.kind(), key).ok_or_else(|| wrong(&path, "the key does not fit"))?;
        entries.insert(key, read_value(value_field.kind(), value, &path)?);
    }
    Ok(Field::Map(entries))
}

fn read_value(kind: Kind, value: &Value, path: &Path<'_>) -> Result<Field, JsonError> {
    Ok(match kind {
        Kind::Bool => Field::Bool(value.as_bool().ok_or_else(|| wrong(path, "expected true or false"))?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Field::I32(integer(value, path)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Field::I64(integer(value, path)?),
        Kind::Uint32 | Kind::Fixed32 => Field::U32(integer(value, path)?),
        Kind::Uint64 | Kind::Fixed64 => Field::U64(integer(value, path)?),
        #[allow(clippy::cast_possible_truncation)] // that is what the message holds
        Kind::Float => Field::F32(float(value, path)? as f32),
        Kind::Double => Field::F64(float(value, path)?),
        Kind::String => Field::String(text(value).ok_or_else(|| wrong(path, "expected text"))?),
        Kind::Bytes => Field::Bytes(bytes(value).ok_or_else(|| wrong(path, "expected base64"))?),
        Kind::Enum(descriptor) => {
            let number = match value {
                Value::String(name) => descriptor.number(name),
                Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
                _ => None,
            };
            let names = || descriptor.names().collect::<Vec<_>>().join(", ");
            Field::Enum(number.ok_or_else(|| wrong(path, format!("expected one of {}", names())))?)
        }
        Kind::Message(descriptor) => Field::Message(read_message(descriptor, value, path)?),
    })
}

/// Messages that JSON writes in a way of their own.
fn well_known(
    descriptor: MessageDescriptor,
    value: &Value,
    path: &Path<'_>,
) -> Result<Option<Message>, JsonError> {
    let Some(name) = descriptor.well_known_name() else {
        return Ok(None);
    };
    let mut message = Message::new(descriptor);
    match name {
        "Any" => read_any(&mut message, value, path)?,
        "Duration" => {
            let (seconds, nanos) = value
                .as_str()
                .and_then(duration)
                .ok_or_else(|| wrong(path, "expected a duration such as \"1.5s\""))?;
            message.set_by_name("seconds", Field::I64(seconds));
            message.set_by_name("nanos", Field::I32(nanos));
        }
        "Timestamp" => {
            let at: jiff::Timestamp = value
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| wrong(path, "expected a time such as \"2026-01-31T12:00:00Z\""))?;
            message.set_by_name("seconds", Field::I64(at.as_second()));
            message.set_by_name("nanos", Field::I32(at.subsec_nanosecond()));
        }
        "Struct" => only_field(&mut message, "fields", value, path)?,
        "ListValue" => only_field(&mut message, "values", value, path)?,
        "BoolValue" | "Int32Value" | "UInt32Value" | "Int64Value" | "UInt64Value" | "FloatValue"
        | "DoubleValue" | "StringValue" | "BytesValue" => only_field(&mut message, "value", value, path)?,
        "Value" => match value {
            Value::Null => message.set_by_name("null_value", Field::Enum(0)),
            Value::Bool(_) => only_field(&mut message, "bool_value", value, path)?,
            Value::Number(_) => only_field(&mut message, "number_value", value, path)?,
            Value::String(_) => only_field(&mut message, "string_value", value, path)?,
            Value::Array(_) => only_field(&mut message, "list_value", value, path)?,
            Value::Object(_) => only_field(&mut message, "struct_value", value, path)?,
        },
        "FieldMask" => {
            let paths = value.as_str().ok_or_else(|| wrong(path, "expected paths separated by commas"))?;
            let paths = paths.split(',').filter(|path| !path.is_empty());
            let paths = paths.map(|path| Field::String(path.to_owned())).collect();
            message.set_by_name("paths", Field::List(paths));
        }
        _ => return Ok(None),
    }
    Ok(Some(message))
}

fn only_field(message: &mut Message, name: &str, value: &Value, path: &Path<'_>) -> Result<(), JsonError> {
    if let Some(field) = message.descriptor().field(name) {
        message.set(field, read_field(field, value, path)?);
    }
    Ok(())
}

fn read_any(message: &mut Message, value: &Value, path: &Path<'_>) -> Result<(), JsonError> {
    let type_url = value
        .get("@type")
        .and_then(Value::as_str)
        .ok_or_else(|| wrong(path, "expected a message with \"@type\""))?;
    let name = full_name(type_url);
    let descriptor = MessageDescriptor::named(name)
        .ok_or_else(|| wrong(&Path::Name(path, "@type"), format!("{name} is not a message known here")))?;
    let own_json = descriptor.well_known_name().is_some_and(|name| name != "Empty");
    let inner = match value.get("value") {
        Some(inner) if own_json => read_message(descriptor, inner, &Path::Name(path, "value"))?,
        _ => read_message(descriptor, value, path)?,
    };
    message.set_by_name("type_url", Field::String(type_url.to_owned()));
    message.set_by_name("value", Field::Bytes(inner.encode()));
    Ok(())
}

fn is_value(field: FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(descriptor) if descriptor.well_known_name() == Some("Value"))
}

fn map_key(kind: Kind, key: &str) -> Option<MapKey> {
    Some(match kind {
        Kind::String => MapKey::String(key.to_owned()),
        Kind::Bool => MapKey::Bool(key.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(key.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(key.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(key.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(key.parse().ok()?),
        _ => return None,
    })
}

/// A whole number, as a number or as text.
fn integer<T: TryFrom<i128>>(value: &Value, path: &Path<'_>) -> Result<T, JsonError> {
    let number: Option<i128> = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Some(number.into()),
            (_, Some(number), _) => Some(number.into()),
            #[allow(clippy::cast_possible_truncation)] // whole and small
            (_, _, Some(number)) if number.fract() == 0.0 && number.abs() < 1e15 => Some(number as i128),
            _ => None,
        },
        _ => None,
    };
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(path, "expected a whole number in the field's range"))
}

fn float(value: &Value, path: &Path<'_>) -> Result<f64, JsonError> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            text => text.parse().ok(),
        },
        _ => None,
    };
    number.ok_or_else(|| wrong(path, "expected a number"))
}

/// Text; YAML reads `80` and `true` as something else where Envoy's reader takes them as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}

/// `1.5s`: whole seconds and nanoseconds, both with the sign.
fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || !fraction.bytes().chain(whole.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}
