//! Descriptors: which fields a message has, and of what kind they are. The tables are made by `build.rs` out of the `.proto` files; nothing
//! is read or allocated before they can be used, and no pointer in them is relocated when the program starts.

use crate::camel_case;

/// The names of all messages, fields and values of enumerations, without anything between them.
static NAMES: &str = include_str!(concat!(env!("OUT_DIR"), "/envoy_names.txt"));

/// The tables themselves.
mod rows {
    use super::{EnumRow, FieldRow, MessageRow, Name, ValueRow};

    include!(concat!(env!("OUT_DIR"), "/envoy_tables.rs"));
}

/// A part of [`NAMES`].
#[derive(Clone, Copy)]
struct Name {
    at: u32,
    length: u8,
}

impl Name {
    fn text(self) -> &'static str {
        let start = self.at as usize;
        NAMES.get(start..start + usize::from(self.length)).unwrap_or_default()
    }
}

/// A message; rows are in the order of full names.
struct MessageRow {
    name: Name,
    /// Its fields in their table.
    first: u16,
    count: u16,
    /// True for what an entry of a map is on the wire.
    is_entry: bool,
}

/// A field.
struct FieldRow {
    name: Name,
    number: u32,
    /// The message or enumeration that it holds.
    of: u16,
    /// As `FieldDescriptorProto.Type` numbers them.
    kind: u8,
    /// The oneof of the message that it belongs to, from 1; 0 for none.
    oneof: u8,
    repeated: bool,
    /// Whether a value that is zero or empty differs from none.
    presence: bool,
    /// Whether a list's numbers are written without a tag for each.
    packed: bool,
}

/// An enumeration.
struct EnumRow {
    /// Its values in their table, as they were declared.
    first: u16,
    count: u16,
}

/// A value of an enumeration.
struct ValueRow {
    name: Name,
    number: i32,
}

/// The part of a table that belongs to one row of another.
fn part<T>(rows: &'static [T], first: u16, count: u16) -> &'static [T] {
    let first = usize::from(first);
    rows.get(first..first + usize::from(count)).unwrap_or_default()
}

/// A type of message.
#[derive(Clone, Copy)]
pub(in crate::envoy) struct MessageDescriptor(&'static MessageRow);

/// A field of a message.
#[derive(Clone, Copy)]
pub(in crate::envoy) struct FieldDescriptor(&'static FieldRow);

/// An enumeration.
#[derive(Clone, Copy)]
pub(in crate::envoy) struct EnumDescriptor(&'static EnumRow);

/// What a field, or each item of a list, holds.
#[derive(Clone, Copy)]
pub(in crate::envoy) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumDescriptor),
    Message(MessageDescriptor),
}

impl MessageDescriptor {
    /// The message of a full name, `envoy.config.cluster.v3.Cluster`.
    pub(in crate::envoy) fn named(full_name: &str) -> Option<Self> {
        let at = rows::MESSAGES.binary_search_by(|row| row.name.text().cmp(full_name)).ok()?;
        rows::MESSAGES.get(at).map(Self)
    }

    pub(in crate::envoy) fn full_name(self) -> &'static str {
        self.0.name.text()
    }

    /// The name of one of protobuf's own messages, `Duration`.
    pub(in crate::envoy) fn well_known_name(self) -> Option<&'static str> {
        self.full_name().strip_prefix("google.protobuf.")
    }

    /// Its fields, as they were declared.
    pub(in crate::envoy) fn fields(self) -> impl Iterator<Item = FieldDescriptor> {
        part(rows::FIELDS, self.0.first, self.0.count).iter().map(FieldDescriptor)
    }

    /// The field of a name as `.proto` files have it, `connect_timeout`.
    pub(in crate::envoy) fn field(self, name: &str) -> Option<FieldDescriptor> {
        self.fields().find(|field| field.name() == name)
    }

    /// The field of a name as JSON may have it, too, `connectTimeout`.
    pub(in crate::envoy) fn field_of_json(self, name: &str) -> Option<FieldDescriptor> {
        self.field(name).or_else(|| self.fields().find(|field| camel_case(field.name()) == name))
    }

    pub(super) fn field_of_number(self, number: u32) -> Option<FieldDescriptor> {
        self.fields().find(|field| field.number() == number)
    }

    /// The key and the value of a map's entry.
    fn entry(self) -> Option<(FieldDescriptor, FieldDescriptor)> {
        self.0.is_entry.then(|| Some((self.field_of_number(1)?, self.field_of_number(2)?)))?
    }
}

impl PartialEq for MessageDescriptor {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl std::fmt::Debug for MessageDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.full_name())
    }
}

impl FieldDescriptor {
    pub(in crate::envoy) fn name(self) -> &'static str {
        self.0.name.text()
    }

    pub(super) fn number(self) -> u32 {
        self.0.number
    }

    pub(in crate::envoy) fn kind(self) -> Kind {
        match self.0.kind {
            1 => Kind::Double,
            2 => Kind::Float,
            3 => Kind::Int64,
            4 => Kind::Uint64,
            5 => Kind::Int32,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            8 => Kind::Bool,
            9 => Kind::String,
            11 => rows::MESSAGES
                .get(usize::from(self.0.of))
                .map_or(Kind::Bytes, |row| Kind::Message(MessageDescriptor(row))),
            13 => Kind::Uint32,
            14 => rows::ENUMS
                .get(usize::from(self.0.of))
                .map_or(Kind::Int32, |row| Kind::Enum(EnumDescriptor(row))),
            15 => Kind::Sfixed32,
            16 => Kind::Sfixed64,
            17 => Kind::Sint32,
            18 => Kind::Sint64,
            _ => Kind::Bytes,
        }
    }

    /// The fields of an entry, key first, where this field is a map.
    pub(in crate::envoy) fn map(self) -> Option<(FieldDescriptor, FieldDescriptor)> {
        match self.kind() {
            Kind::Message(entry) if self.0.repeated => entry.entry(),
            _ => None,
        }
    }

    /// True for a list, and for a map, which is a list of entries on the wire.
    pub(in crate::envoy) fn is_repeated(self) -> bool {
        self.0.repeated
    }

    pub(super) fn has_presence(self) -> bool {
        self.0.presence
    }

    pub(super) fn is_packed(self) -> bool {
        self.0.packed
    }

    /// Whether at most one of the two can be set. Both are of one message.
    pub(in crate::envoy) fn excludes(self, other: Self) -> bool {
        self.0.oneof != 0 && self.0.oneof == other.0.oneof && self.number() != other.number()
    }
}

impl EnumDescriptor {
    fn values(self) -> &'static [ValueRow] {
        part(rows::VALUES, self.0.first, self.0.count)
    }

    /// All names, as they were declared.
    pub(in crate::envoy) fn names(self) -> impl Iterator<Item = &'static str> {
        self.values().iter().map(|value| value.name.text())
    }

    /// The number of a name.
    pub(in crate::envoy) fn number(self, name: &str) -> Option<i32> {
        self.values().iter().find(|value| value.name.text() == name).map(|value| value.number)
    }

    /// The first name of a number.
    pub(in crate::envoy) fn name(self, number: i32) -> Option<&'static str> {
        self.values().iter().find(|value| value.number == number).map(|value| value.name.text())
    }
}
