//! Bytes to messages and back, as protobuf's encoding has it: <https://protobuf.dev/programming-guides/encoding/>.

use std::collections::BTreeMap;

use super::message::{MapKey, Message, Value};
use super::table::{FieldDescriptor, Kind, MessageDescriptor};

/// Messages may hold one another so deep, as with every other reader of protobuf.
const DEEPEST: usize = 100;

const VARINT: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const LENGTH: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FOUR_BYTES: u8 = 5;

/// Why bytes are not the message they are taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They end within a field.
    #[error("the bytes end within a field")]
    Truncated,
    /// A number of more than 64 bits, or a field's number that none can have.
    #[error("a number is out of range")]
    Number,
    /// A field is of another kind.
    #[error("{message}.{field} is written as another kind of value")]
    Kind {
        /// Full name of the message.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("{message}.{field} is not UTF-8")]
    Text {
        /// Full name of the message.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
    /// Messages within messages without end.
    #[error("messages lie more than {DEEPEST} deep in one another")]
    Depth,
}

/// What is left of the bytes.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(WireError::Number);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(WireError::Number)
    }

    /// Bytes of a length that stands before them.
    fn counted(&mut self) -> Result<&'b [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        self.take(length)
    }

    /// The number and the kind of the next field.
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::Number)?;
        if tag >> 3 == 0 { Err(WireError::Number) } else { Ok((tag >> 3, (tag & 7) as u8)) }
    }

    /// Over a field that nobody knows.
    fn skip(&mut self, number: u32, kind: u8, depth: usize) -> Result<(), WireError> {
        match kind {
            VARINT => drop(self.varint()?),
            EIGHT_BYTES => drop(self.take(8)?),
            LENGTH => drop(self.counted()?),
            FOUR_BYTES => drop(self.take(4)?),
            GROUP => loop {
                let depth = depth.checked_sub(1).ok_or(WireError::Depth)?;
                match self.tag()? {
                    (end, GROUP_END) if end == number => break,
                    (inner, kind) => self.skip(inner, kind, depth)?,
                }
            },
            _ => return Err(WireError::Number),
        }
        Ok(())
    }
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`WireError`]
    pub(in crate::envoy) fn decode(descriptor: MessageDescriptor, bytes: &[u8]) -> Result<Self, WireError> {
        let mut message = Self::new(descriptor);
        message.merge(bytes, DEEPEST + 1)?;
        Ok(message)
    }

    /// Takes in what bytes say, over what is there.
    fn merge(&mut self, bytes: &[u8], depth: usize) -> Result<(), WireError> {
        let depth = depth.checked_sub(1).ok_or(WireError::Depth)?;
        let mut input = Input(bytes);
        while !input.0.is_empty() {
            let before = input.0;
            let (number, kind) = input.tag()?;
            if let Some(field) = self.descriptor().field_of_number(number) {
                let place = Place { message: self.descriptor(), field, depth };
                let value = place.read(self.take(field), &mut input, kind)?;
                self.set(field, value);
            } else {
                input.skip(number, kind, depth)?;
                let length = before.len() - input.0.len();
                self.unknown.extend_from_slice(&before[..length]);
            }
        }
        Ok(())
    }

    /// The message as bytes, fields by their numbers.
    pub(in crate::envoy) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (field, value) in self.numbered() {
            write_field(out, field, value);
        }
        out.extend_from_slice(&self.unknown);
    }
}

/// A field that is being read.
struct Place {
    message: MessageDescriptor,
    field: FieldDescriptor,
    /// How much deeper messages may be.
    depth: usize,
}

impl Place {
    fn wrong_kind(&self) -> WireError {
        WireError::Kind { message: self.message.full_name(), field: self.field.name() }
    }

    /// What the field holds once one more value was read, and held `before`.
    fn read(&self, before: Option<Value>, input: &mut Input<'_>, wire: u8) -> Result<Value, WireError> {
        let kind = self.field.kind();
        if let Some(entry) = self.field.map() {
            let mut entries = if let Some(Value::Map(entries)) = before { entries } else { BTreeMap::new() };
            let (key, value) = self.entry(kind, entry, input, wire)?;
            entries.insert(key, value);
            return Ok(Value::Map(entries));
        }
        if !self.field.is_repeated() {
            return self.single(kind, before, input, wire);
        }
        let mut values = if let Some(Value::List(values)) = before { values } else { Vec::new() };
        if wire == LENGTH && wire_of(kind) != LENGTH {
            // Numbers without tags of their own; every reader takes both.
            let mut packed = Input(input.counted()?);
            while !packed.0.is_empty() {
                values.push(self.single(kind, None, &mut packed, wire_of(kind))?);
            }
        } else {
            values.push(self.single(kind, None, input, wire)?);
        }
        Ok(Value::List(values))
    }

    fn entry(
        &self,
        kind: Kind,
        (key, value): (FieldDescriptor, FieldDescriptor),
        input: &mut Input<'_>,
        wire: u8,
    ) -> Result<(MapKey, Value), WireError> {
        let Value::Message(mut entry) = self.single(kind, None, input, wire)? else {
            return Err(self.wrong_kind());
        };
        let mut part = |field: FieldDescriptor| entry.take(field).unwrap_or_else(|| Value::unset(field));
        let (key, value) = (part(key), part(value));
        Ok((MapKey::of(key).ok_or_else(|| self.wrong_kind())?, value))
    }

    fn single(
        &self,
        kind: Kind,
        before: Option<Value>,
        input: &mut Input<'_>,
        wire: u8,
    ) -> Result<Value, WireError> {
        if wire != wire_of(kind) {
            return Err(self.wrong_kind());
        }
        // Numbers are written with 64 bits and mean what their lower ones say.
        Ok(match kind {
            Kind::Double => Value::F64(f64::from_le_bytes(input.array()?)),
            Kind::Float => Value::F32(f32::from_le_bytes(input.array()?)),
            Kind::Int32 => Value::I32(input.varint()? as i32),
            Kind::Int64 => Value::I64(input.varint()? as i64),
            Kind::Uint32 => Value::U32(input.varint()? as u32),
            Kind::Uint64 => Value::U64(input.varint()?),
            Kind::Sint32 => Value::I32(unfolded(u64::from(input.varint()? as u32)) as i32),
            Kind::Sint64 => Value::I64(unfolded(input.varint()?)),
            Kind::Fixed32 => Value::U32(u32::from_le_bytes(input.array()?)),
            Kind::Fixed64 => Value::U64(u64::from_le_bytes(input.array()?)),
            Kind::Sfixed32 => Value::I32(i32::from_le_bytes(input.array()?)),
            Kind::Sfixed64 => Value::I64(i64::from_le_bytes(input.array()?)),
            Kind::Bool => Value::Bool(input.varint()? != 0),
            Kind::Enum(_) => Value::Enum(input.varint()? as i32),
            Kind::Bytes => Value::Bytes(input.counted()?.to_vec()),
            Kind::String => {
                let wrong =
                    |_| WireError::Text { message: self.message.full_name(), field: self.field.name() };
                Value::String(std::str::from_utf8(input.counted()?).map_err(wrong)?.to_owned())
            }
            Kind::Message(descriptor) => {
                let mut message =
                    if let Some(Value::Message(known)) = before { known } else { Message::new(descriptor) };
                message.merge(input.counted()?, self.depth)?;
                Value::Message(message)
            }
        })
    }
}

impl MapKey {
    fn of(value: Value) -> Option<Self> {
        Some(match value {
            Value::Bool(key) => Self::Bool(key),
            Value::I32(key) => Self::I32(key),
            Value::I64(key) => Self::I64(key),
            Value::U32(key) => Self::U32(key),
            Value::U64(key) => Self::U64(key),
            Value::String(key) => Self::String(key),
            _ => return None,
        })
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Bool(key) => Value::Bool(*key),
            Self::I32(key) => Value::I32(*key),
            Self::I64(key) => Value::I64(*key),
            Self::U32(key) => Value::U32(*key),
            Self::U64(key) => Value::U64(*key),
            Self::String(key) => Value::String(key.clone()),
        }
    }
}

/// How a kind is written.
fn wire_of(kind: Kind) -> u8 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => EIGHT_BYTES,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FOUR_BYTES,
        Kind::String | Kind::Bytes | Kind::Message(_) => LENGTH,
        _ => VARINT,
    }
}

/// Small numbers of both signs are small on the wire: 0, -1, 1, -2.
fn unfolded(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn folded(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn write_field(out: &mut Vec<u8>, field: FieldDescriptor, value: &Value) {
    let kind = field.kind();
    match value {
        Value::Map(entries) => {
            let Some((key_field, value_field)) = field.map() else { return };
            for (key, value) in entries {
                write_tag(out, field, LENGTH);
                write_counted(out, |out| {
                    write_field(out, key_field, &key.to_value());
                    write_field(out, value_field, value);
                });
            }
        }
        Value::List(values) if field.is_packed() => {
            write_tag(out, field, LENGTH);
            write_counted(out, |out| values.iter().for_each(|value| write_single(out, kind, value)));
        }
        Value::List(values) => {
            for value in values {
                write_tag(out, field, wire_of(kind));
                write_single(out, kind, value);
            }
        }
        value => {
            write_tag(out, field, wire_of(kind));
            write_single(out, kind, value);
        }
    }
}

fn write_tag(out: &mut Vec<u8>, field: FieldDescriptor, wire: u8) {
    write_varint(out, u64::from(field.number() << 3 | u32::from(wire)));
}

fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes something with its length before it.
fn write_counted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let end = out.len();
    write_varint(out, (end - start) as u64);
    let length = out.len() - end;
    out[start..].rotate_right(length);
}

fn write_single(out: &mut Vec<u8>, kind: Kind, value: &Value) {
    match value {
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::I32(value) => match kind {
            Kind::Sint32 => write_varint(out, folded(i64::from(*value))),
            Kind::Sfixed32 => out.extend_from_slice(&value.to_le_bytes()),
            _ => write_varint(out, i64::from(*value) as u64),
        },
        Value::Enum(value) => write_varint(out, i64::from(*value) as u64),
        Value::I64(value) => match kind {
            Kind::Sint64 => write_varint(out, folded(*value)),
            Kind::Sfixed64 => out.extend_from_slice(&value.to_le_bytes()),
            _ => write_varint(out, *value as u64),
        },
        Value::U32(value) => match kind {
            Kind::Fixed32 => out.extend_from_slice(&value.to_le_bytes()),
            _ => write_varint(out, u64::from(*value)),
        },
        Value::U64(value) => match kind {
            Kind::Fixed64 => out.extend_from_slice(&value.to_le_bytes()),
            _ => write_varint(out, *value),
        },
        Value::F32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::F64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::String(value) => write_bytes(out, value.as_bytes()),
        Value::Bytes(value) => write_bytes(out, value),
        Value::Message(value) => write_counted(out, |out| value.write(out)),
        Value::List(_) | Value::Map(_) => {}
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
