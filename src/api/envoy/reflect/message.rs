//! A message that was read, and what its fields hold.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::table::{FieldDescriptor, Kind, MessageDescriptor};

/// A message of any type. Fields that the type does not have are kept and written again.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::envoy) struct Message {
    descriptor: MessageDescriptor,
    /// By number.
    fields: BTreeMap<u32, Value>,
    /// Fields of other numbers, with their tags.
    pub(super) unknown: Vec<u8>,
}

/// What a field holds. Kinds that differ on the wire alone are one here.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::envoy) enum Value {
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    String(String),
    Bytes(Vec<u8>),
    Enum(i32),
    Message(Message),
    List(Vec<Value>),
    Map(BTreeMap<MapKey, Value>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::envoy) enum MapKey {
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    String(String),
}

impl Message {
    /// A message in which nothing is set.
    pub(in crate::envoy) fn new(descriptor: MessageDescriptor) -> Self {
        Self { descriptor, fields: BTreeMap::new(), unknown: Vec::new() }
    }

    pub(in crate::envoy) fn descriptor(&self) -> MessageDescriptor {
        self.descriptor
    }

    /// The fields that are set, as they were declared.
    pub(in crate::envoy) fn set_fields(&self) -> impl Iterator<Item = (FieldDescriptor, &Value)> {
        self.descriptor.fields().filter_map(|field| Some((field, self.get(field)?)))
    }

    /// What a field holds; `None` where it is not set. What is zero or empty is not set, but for fields that tell the two apart.
    pub(in crate::envoy) fn get(&self, field: FieldDescriptor) -> Option<&Value> {
        self.fields.get(&field.number()).filter(|value| field.has_presence() || !value.is_zero())
    }

    /// What a field of a message that is known to have it holds, or what its kind holds where nothing is set.
    pub(in crate::envoy) fn by_name(&self, name: &str) -> Option<Cow<'_, Value>> {
        let field = self.descriptor.field(name)?;
        Some(self.get(field).map_or_else(|| Cow::Owned(Value::unset(field)), Cow::Borrowed))
    }

    /// What a field holds, to be changed.
    pub(in crate::envoy) fn get_mut(&mut self, field: FieldDescriptor) -> Option<&mut Value> {
        self.fields.get_mut(&field.number())
    }

    /// Sets a field, and takes back the others of its oneof.
    pub(in crate::envoy) fn set(&mut self, field: FieldDescriptor, value: Value) {
        for other in self.descriptor.fields().filter(|other| field.excludes(*other)) {
            self.clear(other);
        }
        self.fields.insert(field.number(), value);
    }

    /// Sets a field of a message that is known to have it.
    pub(in crate::envoy) fn set_by_name(&mut self, name: &str, value: Value) {
        if let Some(field) = self.descriptor.field(name) {
            self.set(field, value);
        }
    }

    pub(in crate::envoy) fn clear(&mut self, field: FieldDescriptor) {
        self.fields.remove(&field.number());
    }

    /// Takes what a field holds, to be set again.
    pub(in crate::envoy) fn take(&mut self, field: FieldDescriptor) -> Option<Value> {
        self.fields.remove(&field.number())
    }

    /// The fields that are set, by number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (FieldDescriptor, &Value)> {
        let fields = self.fields.iter();
        let known =
            fields.filter_map(|(number, value)| Some((self.descriptor.field_of_number(*number)?, value)));
        known.filter(|(field, value)| field.has_presence() || !value.is_zero())
    }
}

impl Value {
    /// What a field holds that is not set.
    pub(super) fn unset(field: FieldDescriptor) -> Self {
        match field.map() {
            Some(_) => Self::Map(BTreeMap::new()),
            None if field.is_repeated() => Self::List(Vec::new()),
            None => Self::zero(field.kind()),
        }
    }

    /// What a single value of a kind is that nothing was said about.
    pub(super) fn zero(kind: Kind) -> Self {
        match kind {
            Kind::Double => Self::F64(0.0),
            Kind::Float => Self::F32(0.0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Self::I32(0),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Self::I64(0),
            Kind::Uint32 | Kind::Fixed32 => Self::U32(0),
            Kind::Uint64 | Kind::Fixed64 => Self::U64(0),
            Kind::Bool => Self::Bool(false),
            Kind::String => Self::String(String::new()),
            Kind::Bytes => Self::Bytes(Vec::new()),
            Kind::Enum(_) => Self::Enum(0),
            Kind::Message(descriptor) => Self::Message(Message::new(descriptor)),
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::I32(value) | Self::Enum(value) => *value == 0,
            Self::I64(value) => *value == 0,
            Self::U32(value) => *value == 0,
            Self::U64(value) => *value == 0,
            Self::F32(value) => *value == 0.0,
            Self::F64(value) => *value == 0.0,
            Self::String(value) => value.is_empty(),
            Self::Bytes(value) => value.is_empty(),
            Self::Message(_) => false,
            Self::List(values) => values.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    pub(in crate::envoy) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(in crate::envoy) fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(in crate::envoy) fn as_i64(&self) -> Option<i64> {
        if let Self::I64(number) = self { Some(*number) } else { None }
    }

    pub(in crate::envoy) fn as_i32(&self) -> Option<i32> {
        if let Self::I32(number) = self { Some(*number) } else { None }
    }
}
