//! Request bodies in Kubernetes' protobuf encoding, which kubectl uses for the kinds it has types for. Answers are JSON.
//!
//! The shapes come from the schema of the built-in kinds, the field numbers from a table.

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::apiserver::schema::{Schema, SchemaKind, builtin, named};

static TABLE: &str = include_str!("protobuf.fields");
/// First bytes of every message.
const MAGIC: &[u8] = b"k8s\0";
/// Deepest nesting.
const DEPTH_LIMIT: usize = 64;
/// Message types of bodies that are no kinds of their own in the schema's index.
const DELETE_OPTIONS: &str = "apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Field numbers (joined by `/` for embedded messages) to JSON names.
type Numbers = HashMap<&'static str, &'static str>;

fn numbers(type_name: &str) -> Option<&'static Numbers> {
    static NUMBERS: OnceLock<HashMap<&'static str, Numbers>> = OnceLock::new();
    let all = NUMBERS.get_or_init(|| {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| {
                let (name, fields) = line.split_once(' ')?;
                Some((
                    name,
                    fields
                        .split(' ')
                        .filter_map(|field| field.split_once(':').map(|(json, number)| (number, json)))
                        .collect(),
                ))
            })
            .collect()
    });
    all.get(type_name)
}

/// One field on the wire.
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Reads fields one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next field; the error is a message that ends early.
    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        self.field().map(Some).ok_or_else(|| "unexpected end of protobuf data".to_owned())
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

/// Decodes a whole request body.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or("the protobuf body does not begin with k8s\\0")?;
    let (mut type_meta, mut raw): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader(envelope);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    let mut reader = Reader(type_meta);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => api_version = text(bytes),
            (2, Wire::Bytes(bytes)) => kind = text(bytes),
            _ => {}
        }
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let schema = if kind == "DeleteOptions" { named(DELETE_OPTIONS) } else { builtin(group, version, &kind) };
    let SchemaKind::Reference(name) = &schema.kind else {
        return Err(format!("{api_version} {kind} is not known in protobuf; send JSON"));
    };
    let mut object = message(name, raw, 0)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn message(type_name: &'static str, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    let Some(numbers) = numbers(type_name) else { return Ok(object) };
    fill(&mut object, type_name, numbers, "", bytes, depth)?;
    Ok(object)
}

/// Reads the fields of a message, or of a message embedded in it, into a JSON object.
fn fill(
    object: &mut Map<String, Value>,
    type_name: &'static str,
    numbers: &Numbers,
    prefix: &str,
    bytes: &[u8],
    depth: usize,
) -> Result<(), String> {
    if depth > DEPTH_LIMIT {
        return Err("the protobuf data is nested too deeply".to_owned());
    }
    let schema = named(type_name);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let path = format!("{prefix}{number}");
        if let Some(name) = numbers.get(path.as_str()) {
            if let Some(field) = schema.field(name) {
                add(object, name, field, &wire, depth)?;
            }
            continue;
        }
        let embedded = format!("{path}/");
        if let (Wire::Bytes(inner), true) = (wire, numbers.keys().any(|known| known.starts_with(&embedded))) {
            fill(object, type_name, numbers, &embedded, inner, depth + 1)?;
        }
    }
    Ok(())
}

fn add(
    object: &mut Map<String, Value>,
    name: &str,
    field: &Schema,
    wire: &Wire<'_>,
    depth: usize,
) -> Result<(), String> {
    match (&field.kind, wire) {
        (SchemaKind::List { item, .. }, wire) => {
            let value = value(item, wire, depth)?;
            if let Some(list) = object.entry(name).or_insert_with(|| json!([])).as_array_mut() {
                list.push(value);
            }
        }
        (SchemaKind::Map(item), Wire::Bytes(entry)) => {
            let (mut key, mut content) = (String::new(), None);
            let mut reader = Reader(entry);
            while let Some((number, wire)) = reader.next()? {
                match (number, wire) {
                    (1, Wire::Bytes(bytes)) => key = text(bytes),
                    (2, wire) => content = Some(value(item, &wire, depth)?),
                    _ => {}
                }
            }
            let content = content.unwrap_or_else(|| json!(""));
            if let Some(map) = object.entry(name).or_insert_with(|| json!({})).as_object_mut() {
                map.insert(key, content);
            }
        }
        (_, wire) => {
            let value = value(field, wire, depth)?;
            // Go writes the zero value of plain strings and structs; JSON leaves them out.
            let empty = value.as_str().is_some_and(str::is_empty) || value.is_null();
            if !empty {
                object.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn value(schema: &Schema, wire: &Wire<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (&schema.kind, wire) {
        (SchemaKind::Text, Wire::Bytes(bytes)) => json!(text(bytes)),
        (SchemaKind::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (SchemaKind::Boolean, Wire::Varint(number)) => json!(*number != 0),
        (SchemaKind::Integer { bits: 32 }, Wire::Varint(number)) => json!(*number as i32),
        (SchemaKind::Integer { .. }, Wire::Varint(number)) => json!(*number as i64),
        (SchemaKind::Number, Wire::Fixed64(bits)) => json!(f64::from_bits(*bits)),
        (SchemaKind::Number, Wire::Fixed32(bits)) => json!(f32::from_bits(*bits)),
        (SchemaKind::Time, Wire::Bytes(bytes)) => time(bytes)?,
        (SchemaKind::Quantity, Wire::Bytes(bytes)) => first_text(bytes)?,
        (SchemaKind::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (SchemaKind::Any, Wire::Bytes(bytes)) => raw_json(bytes)?,
        (SchemaKind::Reference(name), Wire::Bytes(bytes)) => Value::Object(message(name, bytes, depth + 1)?),
        // A list inside a map (`extra` of user information) is a message with the items as field 1.
        (SchemaKind::List { item, .. }, Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            let mut reader = Reader(bytes);
            while let Some((_, wire)) = reader.next()? {
                items.push(value(item, &wire, depth + 1)?);
            }
            Value::Array(items)
        }
        _ => Value::Null,
    })
}

fn time(bytes: &[u8]) -> Result<Value, String> {
    let (mut seconds, mut nanoseconds) = (0i64, 0i32);
    let mut reader = Reader(bytes);
    let mut any = false;
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(number)) => seconds = number as i64,
            (2, Wire::Varint(number)) => nanoseconds = number as i32,
            _ => continue,
        }
        any = true;
    }
    // An empty message is Go's zero time, which JSON writes as null.
    Ok(match jiff::Timestamp::new(seconds, nanoseconds) {
        Ok(time) if any => json!(time.to_string()),
        _ => Value::Null,
    })
}

fn first_text(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader(bytes);
    Ok(match reader.next()? {
        Some((1, Wire::Bytes(bytes))) => json!(text(bytes)),
        _ => json!("0"),
    })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut string) = (false, 0i32, String::new());
    let mut reader = Reader(bytes);
    while let Some((field, wire)) = reader.next()? {
        match (field, wire) {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value as i32,
            (3, Wire::Bytes(bytes)) => string = text(bytes),
            _ => {}
        }
    }
    Ok(if is_text { json!(string) } else { json!(number) })
}

/// `RawExtension` and `FieldsV1` carry JSON as field 1.
fn raw_json(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader(bytes);
    Ok(match reader.next()? {
        Some((1, Wire::Bytes(bytes))) => serde_json::from_slice(bytes).unwrap_or_default(),
        _ => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn messages_become_objects_and_embedded_messages_dissolve() {
        let labels = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let metadata = field(1, &[field(1, b"web"), labels].concat());
        let host_path = field(2, &field(1, &field(1, b"/x")));
        let volume = field(1, &[field(1, b"v"), host_path].concat());
        let pod = [metadata, field(2, &volume)].concat();
        let decoded = decode(&body("v1", "Pod", &pod)).unwrap();
        let expected = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"a": "b"}},
            "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}});
        assert_eq!(decoded, expected);
    }

    #[test]
    fn cut_and_alien_bodies_are_refused() {
        let whole = body("v1", "Pod", &field(1, &field(1, b"web")));
        for end in 0..whole.len() {
            let _ = decode(&whole[..end]);
        }
        assert!(decode(&whole[..whole.len() - 1]).is_err());
        assert!(decode(b"{}").is_err());
        assert!(decode(&body("example.com/v1", "Thing", &[])).unwrap_err().contains("send JSON"));
    }
}
